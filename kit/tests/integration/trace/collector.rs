//! A collector that keeps what it is sent, or behaves badly.

use std::{
    io::Read as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::support::soon;

/// What it does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Answers with a status.
    Answer(u16),
    /// Reads, and answers nothing.
    Never,
    /// Closes the connection in the middle of its answer.
    Cut,
}

/// A request as it came, its body unpacked.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

struct Inner {
    steps: Mutex<Vec<Step>>,
    taken: Mutex<Vec<Received>>,
    requests: watch::Sender<usize>,
    answer: Vec<u8>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Collector {
    /// Does one step for each request, the last one for ever.
    pub(crate) async fn start(steps: &[Step]) -> Self {
        Self::answering(steps, Vec::new()).await
    }

    pub(crate) async fn answering(steps: &[Step], answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let steps = Mutex::new(steps.iter().rev().copied().collect());
        let inner = Arc::new(Inner { steps, taken: Mutex::default(), requests: watch::Sender::new(0), answer });
        let shared = Arc::clone(&inner);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { shared.serve(stream).await });
            }
        });
        Self { address, inner, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests that were answered with success.
    pub(crate) fn taken(&self) -> Vec<Received> {
        self.inner.taken.lock().unwrap().clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn wait_for_requests(&self, count: usize) {
        let mut requests = self.inner.requests.subscribe();
        soon(requests.wait_for(|requests| *requests >= count)).await.unwrap();
    }

    /// The spans of all requests that were taken, as JSON.
    pub(crate) fn spans(&self) -> Vec<serde_json::Value> {
        let taken = self.taken();
        let lists = taken.iter().map(|request| serde_json::from_slice::<Vec<_>>(&request.body).unwrap());
        lists.flatten().collect()
    }
}

impl Inner {
    async fn serve(&self, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        while let Some(request) = read(&mut stream, &mut buffer).await {
            let step = {
                let mut steps = self.steps.lock().unwrap();
                if steps.len() > 1 { steps.pop().unwrap() } else { steps[0] }
            };
            if let Step::Answer(200..=299) = step {
                self.taken.lock().unwrap().push(request);
            }
            self.requests.send_modify(|requests| *requests += 1);
            match step {
                Step::Answer(status) => {
                    let head = format!("HTTP/1.1 {status} .\r\ncontent-length: {}\r\n\r\n", self.answer.len());
                    stream.write_all(head.as_bytes()).await.unwrap();
                    stream.write_all(&self.answer).await.unwrap();
                }
                Step::Never => std::future::pending().await,
                Step::Cut => return stream.write_all(b"HTTP/1.1 20").await.unwrap(),
            }
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let whole = end + 4 + length.parse::<usize>().unwrap();
            if buffer.len() >= whole {
                let mut body = Vec::new();
                flate2::read::GzDecoder::new(&buffer[end + 4..whole]).read_to_end(&mut body).unwrap();
                buffer.drain(..whole);
                return Some(Received { head, body });
            }
        }
        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}
