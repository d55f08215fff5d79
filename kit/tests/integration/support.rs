//! Servers on free ports, and an HTTP client that sends exactly the bytes it is told to.

use std::{
    future::Future,
    io::Write,
    net::SocketAddr,
    sync::{Mutex, OnceLock},
    time::Duration,
};

use kit::{
    Context, Endpoint, Endpoints, Error, Streaming,
    server::Server,
    telemetry::log::{LogConfig, LogFormat},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::chat::{
    Room,
    proto::chat::{CHAT_COUNT, CHAT_SAY, ChatEndpoints, CountRequest, Line},
};

/// Waits for what must happen. The time is no assertion: it makes a test fail that would hang.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("what had to happen did not")
}

/// Waits until a port is closed. A port of several sockets closes one after the other, and a connection that waits in the first
/// is reset while the second one still takes some.
pub(crate) async fn closed(port: SocketAddr) {
    let is_closed = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    soon(async {
        while !TcpStream::connect(port).await.is_err_and(is_closed) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Sends its name when it is dropped: held by a future or a stream, it tells when that is gone.
pub(crate) struct OnDrop(pub(crate) mpsc::UnboundedSender<&'static str>, pub(crate) &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}

pub(crate) fn line(text: &str) -> Line {
    Line { text: text.to_owned() }
}

/// The service of `examples/streaming.rs`.
pub(crate) fn room() -> ChatEndpoints {
    ChatEndpoints::new(Room)
}

/// The same with another `Say`.
pub(crate) fn saying<F, Fut>(say: F) -> ChatEndpoints
where
    F: Fn(Context, Line) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Line, Error>> + Send + 'static,
{
    ChatEndpoints { say: Endpoint::from_fn(CHAT_SAY.clone(), say), ..room() }
}

/// The same with another `Count`.
pub(crate) fn counting<F, Fut>(count: F) -> ChatEndpoints
where
    F: Fn(Context, CountRequest) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Streaming<Line>, Error>> + Send + 'static,
{
    ChatEndpoints { count: Endpoint::from_fn(CHAT_COUNT.clone(), count), ..room() }
}

/// What the process has logged; calls are told apart by their request ids.
pub(crate) struct Log {
    lines: Mutex<Vec<Value>>,
    written: watch::Sender<()>,
}

impl Log {
    /// Starts the log of the process with the first test that asks for it.
    pub(crate) fn start() -> &'static Self {
        static LOG: OnceLock<&'static Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log: &'static Self =
                Box::leak(Box::new(Self { lines: Mutex::default(), written: watch::Sender::new(()) }));
            let config = LogConfig { format: LogFormat::Json, ..LogConfig::default() };
            let spans = kit::telemetry::spans::layer(tracing::Level::INFO, config.secrets());
            tracing_subscriber::registry().with(config.layer_to(move || log).unwrap()).with(spans).init();
            log
        })
    }

    pub(crate) fn of(&self, request_id: &str) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line["request_id"] == request_id).cloned().collect()
    }

    /// The lines with a message.
    pub(crate) fn with(&self, message: &str) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line["message"] == message).cloned().collect()
    }

    /// Waits for a line with a message and a text somewhere in it.
    pub(crate) async fn wait_for(&self, message: &str, text: &str) {
        let mut written = self.written.subscribe();
        soon(async {
            while !self.with(message).iter().any(|line| line.to_string().contains(text)) {
                written.changed().await.unwrap();
            }
        })
        .await;
    }

    /// The access log of a request.
    pub(crate) fn calls(&self, request_id: &str) -> Vec<Value> {
        self.of(request_id).into_iter().filter(|line| line["target"] == "kit::access").collect()
    }

    /// Waits until a request has that many lines in the access log.
    pub(crate) async fn wait_for_calls(&self, request_id: &str, count: usize) -> Vec<Value> {
        let mut written = self.written.subscribe();
        soon(async {
            loop {
                let calls = self.calls(request_id);
                if calls.len() >= count {
                    return calls;
                }
                written.changed().await.unwrap();
            }
        })
        .await
    }
}

impl Write for &Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.lines.lock().unwrap().push(serde_json::from_slice(bytes).unwrap());
        self.written.send_replace(());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A server that stops when it is dropped or told to.
pub(crate) struct Running {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), kit::server::ServeError>>,
}

impl Running {
    pub(crate) async fn start(server: Server) -> Self {
        let bound = server.http("127.0.0.1:0").grpc("127.0.0.1:0").bind().await.unwrap();
        let (http, grpc) = (bound.http_addr().unwrap(), bound.grpc_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(bound.run(async move {
            let _ = stopped.await;
        }));
        Self { http, grpc, stop: Some(stop), served }
    }

    /// One that somebody else stops.
    pub(crate) fn of(
        http: SocketAddr,
        grpc: SocketAddr,
        served: JoinHandle<Result<(), kit::server::ServeError>>,
    ) -> Self {
        Self { http, grpc, stop: None, served }
    }

    pub(crate) async fn serve(endpoints: &impl Endpoints) -> Self {
        Self::start(Server::new().service(endpoints)).await
    }

    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn stopped(mut self) -> Result<(), kit::server::ServeError> {
        self.stop();
        self.served.await.unwrap()
    }

    pub(crate) fn grpc_url(&self) -> String {
        format!("grpc://{}", self.grpc)
    }

    pub(crate) fn http_url(&self) -> String {
        format!("http://{}", self.http)
    }
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its proper end.
    pub(crate) complete: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// Sends a request and reads the answer to its end.
pub(crate) async fn request(addr: SocketAddr, method: &str, target: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
    if !body.is_empty() && !headers.iter().any(|header| header.starts_with("transfer-encoding")) {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    let mut sent = head.into_bytes();
    sent.extend_from_slice(body);
    raw(addr, &sent).await
}

pub(crate) async fn get(addr: SocketAddr, target: &str) -> Answer {
    request(addr, "GET", target, &[], b"").await
}

pub(crate) async fn post(addr: SocketAddr, target: &str, json: &str) -> Answer {
    request(addr, "POST", target, &["content-type: application/json"], json.as_bytes()).await
}

/// Sends bytes and reads until the server closes.
pub(crate) async fn raw(addr: SocketAddr, sent: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // A server that refuses a large body closes before it has all of it.
    let _ = stream.write_all(sent).await;
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received).await;
    parse(&received)
}

fn parse(received: &[u8]) -> Answer {
    let end = received.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| panic!("no head: {received:?}"));
    let head = std::str::from_utf8(&received[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut rest = &received[end + 4..];
    let is = |name: &str, value: &str| headers.iter().any(|(n, v)| n == name && v == value);
    let (mut body, mut complete) = (rest.to_vec(), true);
    if is("transfer-encoding", "chunked") {
        (body, complete) = (Vec::new(), false);
        while let Some(at) = rest.windows(2).position(|w| w == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..at]).unwrap(), 16).unwrap();
            if size == 0 {
                complete = true;
                break;
            }
            if rest.len() < at + 2 + size + 2 {
                break;
            }
            body.extend_from_slice(&rest[at + 2..at + 2 + size]);
            rest = &rest[at + 2 + size + 2..];
        }
    } else if let Some((_, length)) = headers.iter().find(|(n, _)| n == "content-length") {
        complete = body.len() >= length.parse().unwrap();
    }
    Answer { status, headers, body, complete }
}
