//! The service over real sockets.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

use bookcomments::{
    app::App,
    config::Config,
    proto::comments::{BookComments, BookCommentsClient, GetReq, PostReq, WatchReq},
    repository::DatabaseConfig,
};
use bookcommon::testing::{Answer, http, instruments};
use kit::{Code, Context, client::Channel, middleware::ServerStackConfig, sql::testing::Folder};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// The service on free ports; it stops when the value is dropped.
struct Running {
    http: String,
    grpc: String,
    app: App,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(database: DatabaseConfig) -> Self {
        let any = "127.0.0.1:0".parse().unwrap();
        // Tests call more often than the limits of the demo allow.
        let standard = ServerStackConfig::default();
        let config = Config { http_addr: any, grpc_addr: any, database, standard, ..Config::default() };
        let stop = CancellationToken::new();
        let app = App::build(&config, instruments("comments")).await.unwrap();
        let server = app.server(&config).bind().await.unwrap();
        let (http, grpc) = (server.http_addr().unwrap().to_string(), server.grpc_addr().unwrap().to_string());
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move { server.run(stopped).await.unwrap() });
        Self { http, grpc, app, stop, task }
    }

    async fn in_memory() -> Self {
        let database = DatabaseConfig { migrate: true, seed: true, ..DatabaseConfig::new("sqlite::memory:") };
        Self::start(database).await
    }

    async fn http(&self, method: &'static str, target: &str, body: &str) -> Answer {
        let (addr, target, body) = (self.http.clone(), target.to_owned(), body.to_owned());
        tokio::task::spawn_blocking(move || http(&addr, method, &target, body)).await.unwrap()
    }

    fn clients(&self) -> [BookCommentsClient; 2] {
        let addresses = [format!("grpc://{}", self.grpc), format!("http://{}", self.http)];
        addresses.map(|address| BookCommentsClient::new(&Channel::new(&address).unwrap()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn cx() -> Context {
    Context::background().with_timeout(Duration::from_secs(20))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calls_of_the_original_have_its_answers() {
    let server = Running::in_memory().await;
    let posted = server.http("POST", "/v1/post", r#"{"id": 2, "content": "Read it twice. 📚"}"#).await;
    assert_eq!((posted.status, posted.body.as_str()), (200, r#"{"code":200,"msg":"success"}"#));
    let listed = server.http("GET", "/v1/get?id=2", "").await;
    assert_eq!(listed.status, 200);
    let start = r#"{"code":200,"msg":"success","data":[{"content":"Read it twice. 📚","createdAt":"20"#;
    assert!(listed.body.starts_with(start), "{}", listed.body);
    let samples = server.http("GET", "/v1/get?id=1", "").await;
    assert_eq!(samples.body.matches("createdAt").count(), 3, "{}", samples.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_lead_to_the_same_comments() {
    let server = Running::in_memory().await;
    for (number, client) in server.clients().iter().enumerate() {
        let content = format!("comment {number}");
        client.post(&cx(), PostReq { id: 5, content: content.clone() }).await.unwrap();
        for client in server.clients() {
            let answer = client.get(&cx(), GetReq { id: 5 }).await.unwrap();
            assert_eq!(answer.data.len(), number + 1);
            assert_eq!(answer.data.last().unwrap().content, content);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comments_are_watched_by_both_ways() {
    let server = Running::in_memory().await;
    for client in server.clients() {
        let mut watch = client.watch(&cx(), WatchReq { id: 1 }).await.unwrap();
        client.post(&cx(), PostReq { id: 1, content: "news".to_owned() }).await.unwrap();
        let comment = timeout(Duration::from_secs(10), watch.message()).await.unwrap().unwrap().unwrap();
        assert_eq!(comment.content, "news");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_tells_watchers_to_call_again() {
    let mut server = Running::in_memory().await;
    let mut watching = Vec::new();
    for client in server.clients() {
        watching.push(client.watch(&Context::background(), WatchReq { id: 1 }).await.unwrap());
    }
    server.stop.cancel();
    for mut watch in watching {
        let end = timeout(Duration::from_secs(60), watch.message()).await.expect("it ends");
        let error = end.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::Unavailable, "the service stops: call again"));
    }
    timeout(Duration::from_secs(60), &mut server.task).await.expect("and the server stops").unwrap();
}

/// As `curl -N` does it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watching_by_plain_http_is_a_line_a_comment_until_the_server_stops() {
    let mut server = Running::in_memory().await;
    let addr = server.http.clone();
    let (sender, mut lines) = tokio::sync::mpsc::channel(100);
    let reader = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(&addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET /v1/watch?id=3 HTTP/1.1\r\nhost: {addr}\r\naccept: */*\r\n\r\n").unwrap();
        // An answer that ends with an error is broken off.
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            sender.blocking_send(line).unwrap();
        }
    });
    assert_eq!(lines.recv().await.unwrap(), "HTTP/1.1 200 OK");
    while lines.recv().await.unwrap() != "" {}
    for content in ["one", "two"] {
        let body = format!(r#"{{"id":3,"content":"{content}"}}"#);
        assert_eq!(server.http("POST", "/v1/post", &body).await.status, 200);
        let line = loop {
            let line = timeout(Duration::from_secs(10), lines.recv()).await.unwrap().unwrap();
            if line.starts_with('{') {
                break line;
            }
        };
        assert!(line.starts_with(&format!(r#"{{"content":"{content}","createdAt":"#)), "{line}");
    }
    server.stop.cancel();
    timeout(Duration::from_secs(10), &mut server.task).await.expect("a watcher does not hold up the stop").unwrap();
    timeout(Duration::from_secs(10), reader).await.unwrap().unwrap();
    let mut last = Vec::new();
    while let Some(line) = lines.recv().await {
        last.extend(line.starts_with('{').then_some(line));
    }
    assert_eq!(last.len(), 1, "{last:?}");
    assert!(last[0].contains("the service stops: call again"), "{last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_told_by_status_and_field() {
    let server = Running::in_memory().await;
    let long = format!(r#"{{"id":1,"content":"{}"}}"#, "x".repeat(4001));
    for (method, target, body, status, text) in [
        ("GET", "/v1/get", "", 400, "\"field\":\"id\""),
        ("GET", "/v1/get?id=0", "", 400, "must be 1 or greater"),
        ("GET", "/v1/get?id=x", "", 400, "id"),
        ("GET", "/v1/get?id=9223372036854775808", "", 400, "id"),
        ("GET", "/v1/get?book=1", "", 400, "book"),
        ("GET", "/v1/watch?id=-1", "", 400, "must be 1 or greater"),
        ("POST", "/v1/post", r#"{"id":1}"#, 400, "\"field\":\"content\""),
        ("POST", "/v1/post", r#"{"id":1,"content":"  "}"#, 400, "\"field\":\"content\""),
        ("POST", "/v1/post", r#"{"id":1,"content":"a\u0000b"}"#, 400, "NUL"),
        ("POST", "/v1/post", &long, 400, "the most is 4000"),
        ("POST", "/v1/post", r#"{"id":1,"content":7}"#, 400, "content"),
        ("POST", "/v1/post", r#"{"id":1,"cont"#, 400, ""),
        ("GET", "/v1/post", "", 405, ""),
        ("GET", "/v1/none", "", 404, ""),
    ] {
        let answer = server.http(method, target, body).await;
        assert_eq!(answer.status, status, "{method} {target} {body}: {}", answer.body);
        assert!(answer.body.contains(text), "{method} {target} {body}: {}", answer.body);
    }
    let [grpc, _] = server.clients();
    let error = grpc.post(&cx(), PostReq { id: 0, content: String::new() }).await.unwrap_err();
    assert_eq!((error.code(), error.field_violations().len()), (Code::InvalidArgument, 2));
    assert_eq!(server.http("GET", "/v1/get?id=1", "").await.status, 200, "the process lives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_takes_no_writes_is_read_on() {
    let folder = Folder::new();
    let config = |url| DatabaseConfig { migrate: true, seed: true, ..DatabaseConfig::new(url) };
    drop(Running::start(config(folder.url("a.db"))).await);
    let server = Running::start(config(folder.url("a.db?mode=ro"))).await;
    let answer = server.http("POST", "/v1/post", r#"{"id":1,"content":"never stored"}"#).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("READ_ONLY") && answer.head.contains("retry-after: 30"), "{answer:?}");
    assert!(!answer.body.contains("sqlite") && !answer.body.contains("a.db"), "{}", answer.body);
    assert_eq!(server.http("GET", "/v1/get?id=1", "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_comes_later_is_waited_for() {
    let folder = Folder::new();
    let late = DatabaseConfig::new(folder.url("late.db?mode=rw"));
    let server = Running::start(late).await;
    let answer = server.http("GET", "/v1/get?id=1", "").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(!answer.body.contains("late.db"), "{}", answer.body);

    let made = DatabaseConfig { migrate: true, seed: true, ..DatabaseConfig::new(folder.url("late.db")) };
    drop(Running::start(made).await);
    timeout(Duration::from_secs(60), server.app.available()).await.expect("the database is there and nobody noticed");
    assert_eq!(server.http("GET", "/v1/get?id=1", "").await.status, 200);
}
