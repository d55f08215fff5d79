//! A stop under load loses no call.
//!
//! What counts as accepted says the process itself: a call whose request id stands in its access log. Every such call must
//! have come to its caller, whole. What else fails, a refused connection, one that closes before the first byte of an answer,
//! a stream that GOAWAY refused, was never accepted, and may be made again elsewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bookcomments::proto::comments::{BookComments, BookCommentsClient, PostReq, WatchReq};
use bookcommon::testing::{Process, UNLIMITED};
use bookdetails::proto::details::{BookDetails, BookDetailsClient, DetailReq};
use kit::{Code, Context, RequestId, client::Channel};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::support::FREE;

/// Both services, each with its ports: details asks comments for every book, also while it stops.
const PROGRAM: &str = env!("CARGO_BIN_EXE_bookinfo");

/// So many of each kind: 200 connections that are kept, and some that are new for each call.
const HTTP: usize = 100;
const GRPC: usize = 80;
const STREAMS: usize = 20;
const FRESH: usize = 20;
/// A connection that is made in the very moment in which a port closes is reset. The moment is microseconds long.
const UNLUCKY: usize = 2;

/// The calls of all clients that were answered, by request id.
type Answered = Arc<Mutex<BTreeSet<String>>>;

fn id(client: &str, number: usize, call: usize) -> String {
    format!("{client}-{number}-{call}")
}

/// Calls over one HTTP/1.1 connection until it ends.
async fn http(
    addr: String,
    target: &'static str,
    number: usize,
    answered: Answered,
    warm: tokio::sync::mpsc::Sender<()>,
) {
    let mut connection = TcpStream::connect(&addr).await.unwrap();
    for call in 0.. {
        let id = id("http", number, call);
        let request = format!("GET {target} HTTP/1.1\r\nhost: {addr}\r\nx-request-id: {id}\r\n\r\n");
        if connection.write_all(request.as_bytes()).await.is_err() {
            return;
        }
        let mut answer = Vec::new();
        loop {
            match connection.read_buf(&mut answer).await {
                Ok(0) | Err(_) => {
                    assert!(answer.is_empty(), "half an answer: {:?}", String::from_utf8_lossy(&answer));
                    return;
                }
                Ok(_) if is_whole(&answer) => break,
                Ok(_) => {}
            }
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&answer));
        answered.lock().unwrap().insert(id);
        if call == 0 {
            warm.send(()).await.unwrap();
        }
    }
}

/// Calls over a connection of their own each, until the port is closed. Whoever is connected is to be answered; `reset` counts the
/// others.
async fn fresh(
    addr: String,
    number: usize,
    answered: Answered,
    reset: Arc<AtomicUsize>,
    warm: tokio::sync::mpsc::Sender<()>,
) {
    for call in 0.. {
        let Ok(mut connection) = TcpStream::connect(&addr).await else { return };
        let id = id("fresh", number, call);
        let request =
            format!("GET /v1/get?id=1 HTTP/1.1\r\nhost: {addr}\r\nx-request-id: {id}\r\nconnection: close\r\n\r\n");
        let mut answer = Vec::new();
        let written = connection.write_all(request.as_bytes()).await;
        let read = connection.read_to_end(&mut answer).await;
        if answer.is_empty() {
            assert!(call > 0, "{written:?} {read:?}");
            reset.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        assert!(is_whole(&answer), "half an answer: {:?}", String::from_utf8_lossy(&answer));
        answered.lock().unwrap().insert(id);
        if call == 0 {
            warm.send(()).await.unwrap();
        }
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
    answer.len() == head.len() + 4 + length.expect("a length").parse::<usize>().unwrap()
}

fn cx(id: &str) -> Context {
    Context::background().with_request_id(RequestId::parse(id).unwrap())
}

/// How long a call may take, and how long whatever must happen. With a deadline, as every call should have: now and then a
/// request that was handed to a connection just when that ended stays there, unsent, and hyper tells nobody.
const PATIENCE: Duration = Duration::from_secs(30);

/// Calls over one gRPC connection until the service is not there any more.
async fn grpc(addr: String, number: usize, answered: Answered, warm: tokio::sync::mpsc::Sender<()>) {
    let client = BookDetailsClient::new(&Channel::new(&format!("grpc://{addr}")).unwrap());
    for call in 0.. {
        let id = id("grpc", number, call);
        match client.detail(&cx(&id).with_timeout(PATIENCE), DetailReq { id: 1 }).await {
            Ok(answer) => {
                // Comments are there until details is done.
                assert_eq!(answer.data.unwrap().comments.len(), 3, "{id}");
                answered.lock().unwrap().insert(id);
            }
            // Whether it was accepted shows in the log.
            Err(error) => {
                let refused = matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded);
                return assert!(refused, "{}", error.to_log());
            }
        }
        if call == 0 {
            warm.send(()).await.unwrap();
        }
    }
}

/// Watches until it is told to call again.
async fn watch(addr: String, number: usize, answered: Answered, warm: tokio::sync::mpsc::Sender<()>) {
    let client = BookCommentsClient::new(&Channel::new(&format!("grpc://{addr}")).unwrap());
    let id = id("watch", number, 0);
    let mut comments = client.watch(&cx(&id), WatchReq { id: 7 }).await.unwrap();
    warm.send(()).await.unwrap();
    loop {
        match comments.message().await {
            Ok(comment) => assert_eq!(comment.expect("no end without a reason").content, "news"),
            Err(error) => {
                assert_eq!((error.code(), error.message()), (Code::Unavailable, "the service stops: call again"));
                answered.lock().unwrap().insert(id);
                return;
            }
        }
    }
}

/// HTTP and gRPC of a service, from the line that the program says of it.
fn addresses(line: &str) -> (String, String) {
    let after = |mark: &str| line.split_once(mark).unwrap().1.split(' ').next().unwrap().to_owned();
    (after("http://"), after("gRPC "))
}

/// The value of a text field of a log line.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(&format!("\"{name}\":\""))?.1.split('"').next()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_loses_no_call_that_was_accepted() {
    loses_nothing("multi_thread").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_with_a_thread_for_each_core() {
    loses_nothing("thread_per_core").await;
}

async fn loses_nothing(runtime: &str) {
    let mut settings = [&FREE[..], &UNLIMITED].concat();
    settings.extend([
        ("BOOKDETAILS_SERVER_RUNTIME", runtime),
        ("BOOKCOMMENTS_SERVER_RUNTIME", runtime),
        // Also where there is one.
        ("BOOKDETAILS_SERVER_CORES_THREADS", "2"),
        ("BOOKCOMMENTS_SERVER_CORES_THREADS", "2"),
        // A machine that is busy with other tests is slow, and slow is not lost.
        ("BOOKDETAILS_COMMENTS_TIMEOUT", "1m"),
        ("BOOKDETAILS_STANDARD_TIMEOUT_UNARY", "2m"),
        ("BOOKCOMMENTS_STANDARD_TIMEOUT_UNARY", "2m"),
        ("BOOKDETAILS_DATABASE_ACQUIRE_TIMEOUT", "1m"),
        ("BOOKCOMMENTS_DATABASE_ACQUIRE_TIMEOUT", "1m"),
    ]);
    let mut program = Process::spawn(PROGRAM, &[], &settings);
    let (details_http, details_grpc) = addresses(&program.line("  details "));
    let (comments_http, comments_grpc) = addresses(&program.line("  comments "));
    let number = program.id();
    // The log is read all the while: a pipe that is full would hold the program up.
    let log = tokio::task::spawn_blocking(move || {
        let lines = program.lines_until("\"stopped\"");
        (program.wait(), lines)
    });

    let answered = Answered::default();
    let reset = Arc::new(AtomicUsize::new(0));
    let (warm, mut warmed) = tokio::sync::mpsc::channel(HTTP + GRPC + STREAMS + FRESH);
    let mut clients = JoinSet::new();
    for number in 0..HTTP {
        let (addr, target) = match number % 2 {
            0 => (details_http.clone(), "/v1/detail?id=2"),
            _ => (comments_http.clone(), "/v1/get?id=1"),
        };
        clients.spawn(http(addr, target, number, Arc::clone(&answered), warm.clone()));
    }
    for number in 0..GRPC {
        clients.spawn(grpc(details_grpc.clone(), number, Arc::clone(&answered), warm.clone()));
    }
    for number in 0..STREAMS {
        clients.spawn(watch(comments_grpc.clone(), number, Arc::clone(&answered), warm.clone()));
    }
    for number in 0..FRESH {
        let (answered, reset) = (Arc::clone(&answered), Arc::clone(&reset));
        clients.spawn(fresh(comments_http.clone(), number, answered, reset, warm.clone()));
    }
    let all = async {
        for _ in 0..HTTP + GRPC + STREAMS + FRESH {
            warmed.recv().await.unwrap();
        }
        let client = BookCommentsClient::new(&Channel::new(&format!("grpc://{comments_grpc}")).unwrap());
        client.post(&cx("news"), PostReq { id: 7, content: "news".to_owned() }).await.unwrap();
    };
    timeout(PATIENCE * 2, all).await.expect("every client is served");

    let sent = Command::new("kill").arg("-TERM").arg(number.to_string()).status().unwrap();
    assert!(sent.success());
    let mut failed = 0;
    let ended = async {
        while let Some(client) = clients.join_next().await {
            failed += usize::from(client.is_err());
        }
    };
    timeout(PATIENCE * 2, ended).await.expect("every client comes to an end");
    let (code, lines) = timeout(PATIENCE * 2, log).await.expect("the program ends").unwrap();
    let troubles: Vec<_> = lines.iter().filter(|line| !line.contains("\"INFO\"")).collect();
    assert_eq!((failed, code), (0, Some(0)), "{failed} clients met what they should not; the log: {troubles:#?}");

    let answered = answered.lock().unwrap();
    let accepted: BTreeMap<&str, &String> = lines
        .iter()
        .filter(|line| line.contains("\"kit::access\""))
        .filter_map(|line| Some((field(line, "request_id")?, line)))
        .filter(|(id, _)| ["http-", "grpc-", "watch-", "fresh-"].iter().any(|client| id.starts_with(client)))
        .collect();
    let lost: Vec<_> = accepted.iter().filter(|(id, _)| !answered.contains(**id)).collect();
    assert!(lost.is_empty(), "{} of {} accepted calls are lost: {lost:#?}", lost.len(), accepted.len());
    // The other way round: the log knows of all that was answered, so it is fit to judge.
    assert_eq!(accepted.len(), answered.len());
    assert!(answered.len() >= HTTP + GRPC + STREAMS + FRESH);
    let reset = reset.load(Ordering::Relaxed);
    assert!(reset <= UNLUCKY, "{reset} new connections were reset");
}
