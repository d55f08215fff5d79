//! The service over real sockets, with a comments service at the other end of another.

use std::time::Duration;

use bookcomments::proto::comments::BookCommentsEndpoints;
use bookcommon::testing::{Answer, http, instruments};
use bookdetails::{
    app::App,
    config::{CommentsConfig, Config},
    proto::details::{BookDetails, BookDetailsClient, DetailReq},
    repository::DatabaseConfig,
};
use kit::{Code, Context, client::Channel, middleware::ServerStackConfig, server::Server, sql::testing::Folder};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};

use crate::fake::{FakeComments, Mood};

/// The service on free ports; it is gone when the value is dropped.
struct Running {
    http: String,
    grpc: String,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(database: DatabaseConfig, comments: &str) -> Self {
        let any = "127.0.0.1:0".parse().unwrap();
        let comments = CommentsConfig { address: comments.to_owned(), ..CommentsConfig::default() };
        // Tests call more often than the limits of the demo allow.
        let standard = ServerStackConfig::default();
        let config = Config { http_addr: any, grpc_addr: any, database, comments, standard, ..Config::default() };
        let app = App::build(&config, instruments("details")).await.unwrap();
        let server = app.server(&config).bind().await.unwrap();
        let (http, grpc) = (server.http_addr().unwrap().to_string(), server.grpc_addr().unwrap().to_string());
        let task = tokio::spawn(async move { server.run(std::future::pending()).await.unwrap() });
        Self { http, grpc, task }
    }

    async fn in_memory(comments: &str) -> Self {
        let database = DatabaseConfig { migrate: true, seed: true, ..DatabaseConfig::new("sqlite::memory:") };
        Self::start(database, comments).await
    }

    async fn get(&self, target: &str) -> Answer {
        let (addr, target) = (self.http.clone(), target.to_owned());
        tokio::task::spawn_blocking(move || http(&addr, "GET", &target, "")).await.unwrap()
    }
}

impl Running {
    /// Looks at the readiness until it is as it should be.
    async fn ready(&self, is: impl Fn(&str) -> bool) -> Answer {
        let looking = async {
            loop {
                let answer = self.get("/readyz?verbose").await;
                if is(&answer.body) {
                    return answer;
                }
            }
        };
        timeout(Duration::from_secs(60), looking).await.expect("it stays as it is")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A comments service that does as it is told, and its address.
async fn comments(mood: Mood) -> (FakeComments, String, JoinHandle<()>) {
    let fake = FakeComments::new(mood);
    let server = Server::new().grpc("127.0.0.1:0").service(&BookCommentsEndpoints::new(fake.clone()));
    let server = server.bind().await.unwrap();
    let address = format!("grpc://{}", server.grpc_addr().unwrap());
    let task = tokio::spawn(async move { server.run(std::future::pending()).await.unwrap() });
    (fake, address, task)
}

/// An address where nobody listens: bound once to be free, then let go.
async fn nobody() -> String {
    format!("grpc://{}", TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_book_comes_with_its_comments_by_both_ways() {
    let (_, address, _task) = comments(Mood::Answer).await;
    let server = Running::in_memory(&address).await;
    let answer = server.get("/v1/detail?id=1").await;
    assert_eq!(answer.status, 200);
    let start = r#"{"code":200,"msg":"success","data":{"id":1,"name":"Dream of the Red Chamber (红楼梦)","intro":"Cao"#;
    assert!(answer.body.starts_with(start), "{}", answer.body);
    let end = r#""comments":[{"content":"about 1","createdAt":""}]}}"#;
    assert!(answer.body.ends_with(end), "{}", answer.body);
    for address in [format!("grpc://{}", server.grpc), format!("http://{}", server.http)] {
        let client = BookDetailsClient::new(&Channel::new(&address).unwrap());
        let answer = client.detail(&Context::background(), DetailReq { id: 2 }).await.unwrap();
        assert_eq!(answer.data.unwrap().comments[0].content, "about 2");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comments_service_that_is_down_or_slow_does_not_take_the_books_with_it() {
    let server = Running::in_memory(&nobody().await).await;
    let answer = server.get("/v1/detail?id=1").await;
    assert!(answer.status == 200 && answer.body.ends_with(r#""comments":[]}}"#), "{answer:?}");

    let (fake, address, _task) = comments(Mood::Hang).await;
    let server = Running::in_memory(&address).await;
    let answer = server.get("/v1/detail?id=1").await;
    assert!(answer.status == 200 && answer.body.ends_with(r#""comments":[]}}"#), "{answer:?}");
    fake.mood.send_replace(Mood::Answer);
    assert!(server.get("/v1/detail?id=1").await.body.contains("about 1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comments_service_that_comes_later_is_found() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let server = Running::in_memory(&format!("grpc://{addr}")).await;
    assert!(server.get("/v1/detail?id=1").await.body.ends_with(r#""comments":[]}}"#));
    let late = Server::new().grpc(addr).service(&BookCommentsEndpoints::new(FakeComments::new(Mood::Answer)));
    let late = late.bind().await.unwrap();
    let task = tokio::spawn(async move { late.run(std::future::pending()).await.unwrap() });
    // How soon is the affair of the connection's backoff; each look is a call.
    let found = async { while !server.get("/v1/detail?id=1").await.body.contains("about 1") {} };
    timeout(Duration::from_secs(60), found).await.expect("the comments service is there and nobody noticed");
    task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_told_by_status() {
    let (_, address, _task) = comments(Mood::Answer).await;
    let server = Running::in_memory(&address).await;
    for (target, status, text) in [
        ("/v1/detail", 400, "\"field\":\"id\""),
        ("/v1/detail?id=0", 400, "must be 1 or greater"),
        ("/v1/detail?id=one", 400, "id"),
        ("/v1/detail?book=1", 400, "book"),
        ("/v1/detail?id=9", 404, "BOOK_NOT_FOUND"),
        ("/v1/detail?id=9223372036854775807", 404, "BOOK_NOT_FOUND"),
        ("/v2/detail?id=1", 404, ""),
    ] {
        let answer = server.get(target).await;
        assert_eq!(answer.status, status, "{target}: {}", answer.body);
        assert!(answer.body.contains(text), "{target}: {}", answer.body);
    }
    let client = BookDetailsClient::new(&Channel::new(&format!("grpc://{}", server.grpc)).unwrap());
    let error = client.detail(&Context::background(), DetailReq { id: 9 }).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::NotFound, "there is no book 9"));
    assert_eq!(error.reason().unwrap().metadata["id"], "9");
    assert_eq!(server.get("/v1/detail?id=1").await.status, 200, "the process lives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_is_503_and_the_process_lives() {
    let (_, address, _task) = comments(Mood::Answer).await;
    let folder = Folder::new();
    let server = Running::start(DatabaseConfig::new(folder.url("none.db?mode=rw")), &address).await;
    for _ in 0..2 {
        let answer = server.get("/v1/detail?id=1").await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.head.contains("retry-after: 1") && !answer.body.contains("none.db"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_needs_the_database_and_tells_of_the_comments() {
    let folder = Folder::new();
    let server = Running::start(DatabaseConfig::new(folder.url("none.db?mode=rw")), &nobody().await).await;
    let away = server.ready(|text| !text.contains("not run yet")).await;
    assert_eq!(away.status, 503);
    assert!(
        away.body.starts_with("[-] database: ") && away.body.contains("[-] comments (informational): "),
        "{away:?}"
    );
    assert!(!away.body.contains("none.db"), "{away:?}");

    let (_, address, _task) = comments(Mood::Answer).await;
    let server = Running::in_memory(&address).await;
    let there = server.ready(|text| !text.contains("not run yet")).await;
    let expected = "[+] database: ok\n[+] comments (informational): ok\nready\n";
    assert_eq!((there.status, there.body.as_str()), (200, expected));

    let server = Running::in_memory(&nobody().await).await;
    let poorer = server.ready(|text| !text.contains("not run yet")).await;
    assert_eq!(poorer.status, 200, "books are answered without comments: {poorer:?}");
}
