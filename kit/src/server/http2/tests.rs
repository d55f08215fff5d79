//! Connections of HTTP/2, without a network.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::{Router, routing::get};
use h2::{Reason, client::SendRequest};
use http_body_util::BodyExt as _;
use tokio::{
    io::{DuplexStream, ReadBuf},
    sync::Notify,
    task::JoinHandle,
    time::sleep,
};

use super::{super::calls::Calls, keep_alive::PING_TIMEOUT, *};

/// Counts the writes that have bytes.
struct Counting {
    inner: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

struct Client {
    send: SendRequest<Bytes>,
    writes: Arc<AtomicUsize>,
    calls: ConnectionCalls,
    served: JoinHandle<Result<(), Error>>,
    close: Arc<AtomicBool>,
    closing: Arc<Notify>,
}

async fn connect(router: Router) -> Client {
    let (client, server) = tokio::io::duplex(64 * 1024);
    let (writes, calls) = (Arc::<AtomicUsize>::default(), Calls::default().of_connection());
    let stream = Counting { inner: server, writes: Arc::clone(&writes) };
    let http2 = Http2::new(&ServerConfig::default());
    let mut connection = http2.serve(stream, App::new(router), Arc::default(), calls.clone());
    let (close, closing) = (Arc::<AtomicBool>::default(), Arc::<Notify>::default());
    let (closes, is_closing) = (Arc::clone(&close), Arc::clone(&closing));
    let served = tokio::spawn(async move {
        tokio::select! {
            biased;
            result = &mut connection => return result,
            () = is_closing.notified() => connection.close(),
        }
        closes.store(true, Ordering::Relaxed);
        connection.await
    });
    let (send, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    Client { send: send.ready().await.unwrap(), writes, calls, served, close, closing }
}

impl Client {
    /// Sends a request, and says what reads its answer.
    fn ask(&mut self, path: &str) -> impl Future<Output = Result<(u16, usize), h2::Error>> + Send + use<> {
        let request = http::Request::get(format!("http://here{path}")).body(()).unwrap();
        let (answer, _) = self.send.send_request(request, true).unwrap();
        async move {
            let (head, mut body) = answer.await?.into_parts();
            let mut length = 0;
            while let Some(data) = body.data().await {
                let data = data?;
                length += data.len();
                body.flow_control().release_capacity(data.len())?;
            }
            Ok((head.status.as_u16(), length))
        }
    }
}

fn router() -> Router {
    Router::new()
        .route("/", get(async || "here"))
        .route("/large", get(async || vec![7u8; 3_000_000]))
        .route("/later", get(async || sleep(Duration::from_secs(1)).await))
        .route("/yields", get(async || tokio::task::yield_now().await))
        .route("/never", get(std::future::pending::<()>))
        .route("/panic", get(async || if true { panic!("of one call") } else { "" }))
}

#[tokio::test(start_paused = true)]
async fn the_answers_of_a_turn_are_one_write() {
    let mut client = connect(router()).await;
    // What the greeting brings is over.
    assert_eq!(client.ask("/").await.unwrap(), (200, 4));
    sleep(Duration::from_millis(1)).await;
    let before = client.writes.load(Ordering::Relaxed);
    let answers: Vec<_> = (0..50).map(|_| client.ask("/")).collect();
    for answer in answers {
        assert_eq!(answer.await.unwrap(), (200, 4));
    }
    let writes = client.writes.load(Ordering::Relaxed) - before;
    assert!(writes <= 2, "{writes} writes");
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_hold_no_other_up() {
    let mut client = connect(router()).await;
    let (never, later) = (client.ask("/never"), client.ask("/later"));
    assert_eq!(client.ask("/").await.unwrap(), (200, 4));
    assert_eq!(client.calls.running_here(), 2);
    assert_eq!(later.await.unwrap(), (200, 0));
    assert_eq!(client.calls.running_here(), 1);
    drop(never);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_wait_go_on_in_tasks_of_their_own() {
    let mut client = connect(router()).await;
    let never = client.ask("/never");
    let yielding: Vec<_> = (0..20).map(|_| client.ask("/yields")).collect();
    for answer in yielding {
        assert_eq!(answer.await.unwrap(), (200, 0));
    }
    assert_eq!(client.ask("/large").await.unwrap(), (200, 3_000_000));
    drop(never);
}

/// A handler that blocks is tried in the task of the connection, and then the calls behind it go on elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_behind_one_that_blocks_go_to_other_tasks() {
    let task = || tokio::task::id().to_string();
    let blocks = async move || {
        let began = Instant::now();
        while began.elapsed() <= LONG {}
        task()
    };
    let mut client =
        connect(Router::new().route("/blocks", get(blocks)).route("/task", get(async move || task()))).await;
    let mut text = async |path| {
        let request = http::Request::get(format!("http://here{path}")).body(()).unwrap();
        let (answer, _) = client.send.send_request(request, true).unwrap();
        answer.await.unwrap().into_body().data().await.unwrap().unwrap()
    };
    text("/blocks").await;
    // In the task of the connection both would be in the same.
    let apart = [text("/task").await, text("/task").await];
    assert_ne!(apart[0], apart[1]);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_does_not_open_ends_the_answer() {
    let pieces = || futures_util::stream::iter((0..100).map(|_| Ok::<_, std::convert::Infallible>(vec![7u8; 100_000])));
    let pieces = get(async move || axum::body::Body::from_stream(pieces()));
    let mut client = connect(router().route("/pieces", pieces)).await;
    let request = http::Request::get("http://here/pieces").body(()).unwrap();
    let (answer, _) = client.send.send_request(request, true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    sleep(ServerConfig::default().write_timeout / 2).await;
    assert_eq!(client.calls.running_here(), 1);
    sleep(ServerConfig::default().write_timeout).await;
    assert_eq!(client.calls.running_here(), 0);
    let error = loop {
        if let Err(error) = body.data().await.unwrap() {
            break error;
        }
    };
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    // The connection goes on.
    assert_eq!(client.ask("/yields").await.unwrap(), (200, 0));
}

/// The half of a request must not look like all of it, whatever reason its end is given.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_reset_without_an_error_is_not_complete() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = Arc::new(std::sync::Mutex::new(Some(tell)));
    let reads = move |body: axum::body::Body| {
        let tell = tell.lock().unwrap().take().unwrap();
        // In a task of its own, which is not dropped with the stream.
        tokio::spawn(async move { tell.send(body.collect().await.map(|_| ()).map_err(|_| ())) });
        std::future::pending::<()>()
    };
    let mut client = connect(Router::new().route("/reads", axum::routing::post(reads))).await;
    let request = http::Request::post("http://here/reads").body(()).unwrap();
    let (_answer, mut stream) = client.send.send_request(request, false).unwrap();
    stream.send_data(Bytes::from_static(b"half"), false).unwrap();
    sleep(Duration::from_millis(1)).await;
    stream.send_reset(Reason::NO_ERROR);
    assert_eq!(told.await.unwrap(), Err(()));
}

/// What a service does before its future is there ended the connection, and all calls on it.
#[tokio::test(start_paused = true)]
async fn a_panic_before_the_call_has_begun_ends_only_that() {
    let service = tower::service_fn(|request: http::Request<crate::transport::http::Body>| {
        assert_ne!(request.uri().path(), "/panic", "on purpose");
        async { Ok(http::Response::new(crate::transport::http::Body::empty())) }
    });
    let app = App::new(service);
    let served =
        Served { app, peer: Arc::default(), calls: Calls::default().of_connection(), write_timeout: Duration::ZERO };
    let (client, server) = tokio::io::duplex(64 * 1024);
    let serve = async move {
        let mut connection = h2::server::handshake(server).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            if let Some(exchange) = Exchange::new(&served, request, respond) {
                exchange.await;
            }
        }
    };
    tokio::spawn(serve);
    let (mut send, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    for (path, reason) in [("/panic", Some(Reason::INTERNAL_ERROR)), ("/", None)] {
        let request = http::Request::get(format!("http://here{path}")).body(()).unwrap();
        let (answer, _) = send.send_request(request, true).unwrap();
        assert_eq!(answer.await.err().and_then(|error| error.reason()), reason);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_own_call() {
    let mut client = connect(router()).await;
    let (panics, other) = (client.ask("/panic"), client.ask("/later"));
    assert_eq!(panics.await.unwrap_err().reason(), Some(Reason::INTERNAL_ERROR));
    assert_eq!(other.await.unwrap(), (200, 0));
    assert_eq!(client.calls.running_here(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_stream_is_reset_is_dropped() {
    let dropped = Arc::new(Notify::new());
    let tell = Arc::clone(&dropped);
    let handler = move || {
        let tell = Arc::clone(&tell);
        async move {
            let _guard = scope(move || tell.notify_one());
            std::future::pending::<()>().await;
        }
    };
    let mut client = connect(router().route("/guarded", get(handler))).await;
    let request = http::Request::get("http://here/guarded").body(()).unwrap();
    let (_answer, mut stream) = client.send.send_request(request, false).unwrap();
    assert_eq!(client.ask("/").await.unwrap(), (200, 4));
    stream.send_reset(Reason::CANCEL);
    dropped.notified().await;
}

/// Does something when it is dropped.
fn scope(run: impl FnOnce()) -> impl Sized {
    struct Scope<F: FnOnce()>(Option<F>);
    impl<F: FnOnce()> Drop for Scope<F> {
        fn drop(&mut self) {
            if let Some(run) = self.0.take() {
                run();
            }
        }
    }
    Scope(Some(run))
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_waits_for_the_window() {
    let mut client = connect(router()).await;
    let request = http::Request::get("http://here/large").body(()).unwrap();
    let (answer, _) = client.send.send_request(request, true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    // Nothing is read for a while, and other calls go on.
    sleep(Duration::from_secs(10)).await;
    assert_eq!(client.ask("/panic").await.unwrap_err().reason(), Some(Reason::INTERNAL_ERROR));
    let mut length = 0;
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        length += data.len();
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    assert_eq!(length, 3_000_000);
    assert_eq!(client.ask("/").await.unwrap(), (200, 4));
    assert_eq!(client.calls.running_here(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_calls() {
    let mut client = connect(router()).await;
    let later = client.ask("/later");
    assert_eq!(client.ask("/").await.unwrap(), (200, 4));
    client.closing.notify_one();
    while !client.close.load(Ordering::Relaxed) {
        tokio::task::yield_now().await;
    }
    assert_eq!(later.await.unwrap(), (200, 0));
    client.served.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_dropped_and_one_that_does_is_not() {
    let mut client = connect(router()).await;
    sleep(ServerConfig::default().keep_alive * 10).await;
    assert_eq!(client.ask("/").await.unwrap(), (200, 4));

    let (mut silent, server) = tokio::io::duplex(64 * 1024);
    let http2 = Http2::new(&ServerConfig::default());
    let calls = Calls::default().of_connection();
    let served = http2.serve(server, App::new(router()), Arc::default(), calls);
    let greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    tokio::io::AsyncWriteExt::write_all(&mut silent, greeting).await.unwrap();
    let started = Instant::now();
    assert!(matches!(served.await, Err(Error::Silent)));
    let patience = ServerConfig::default().keep_alive + PING_TIMEOUT;
    assert!((patience..patience + Duration::from_secs(1)).contains(&started.elapsed()), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_has_a_date_and_a_length_and_nothing_of_http1() {
    let handler = async || ([("connection", "close"), ("keep-alive", "1")], "text");
    let mut client = connect(router().route("/headers", get(handler))).await;
    let request = http::Request::get("http://here/headers").body(()).unwrap();
    let (answer, _) = client.send.send_request(request, true).unwrap();
    let answer = answer.await.unwrap();
    assert!(answer.headers()["date"].to_str().unwrap().ends_with(" GMT"));
    assert_eq!(answer.headers()["content-length"], "4");
    assert!(!answer.headers().contains_key("connection") && !answer.headers().contains_key("keep-alive"));
}

#[tokio::test(start_paused = true)]
async fn bodies_and_trailers_come_as_they_were_sent() {
    let echo = async |body: axum::body::Body| {
        let collected = body.collect().await.unwrap();
        let trailer = collected.trailers().and_then(|trailers| trailers.get("x-last")).cloned();
        format!("{} {trailer:?}", collected.to_bytes().len())
    };
    let mut client = connect(router().route("/echo", axum::routing::post(echo))).await;
    let request = http::Request::post("http://here/echo").body(()).unwrap();
    let (answer, mut stream) = client.send.send_request(request, false).unwrap();
    // More than the window: it opens as the handler reads.
    for _ in 0..40 {
        stream.send_data(Bytes::from(vec![1; 100_000]), false).unwrap();
    }
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-last", http::HeaderValue::from_static("yes"));
    stream.send_trailers(trailers).unwrap();
    let text = answer.await.unwrap().into_body().data().await.unwrap().unwrap();
    assert_eq!(text, "4000000 Some(\"yes\")");
}
