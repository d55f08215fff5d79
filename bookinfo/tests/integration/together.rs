//! What a caller of both services sees, whatever they keep their data in.

use std::{future::Future, time::Duration};

use bookcomments::proto::comments::{BookComments, BookCommentsClient, GetReq, PostReq, WatchReq};
use bookcommon::testing::{Answer, http};
use bookdetails::proto::details::{BookDetails, BookDetailsClient, DetailReq};
use bookinfo::{Addresses, BookInfo, Config};
use kit::{Context, client::Channel, server::RuntimeKind, sql::testing::on_each_backend};
use tokio_util::sync::CancellationToken;

on_each_backend!(
    both_services_share_one_database,
    two_instances_see_each_other_s_comments,
    what_was_confirmed_is_there_after_a_restart,
);

/// Both services on free ports and one database. Two SQLite files, since a file has one owner.
fn config(url: &str) -> Config {
    let mut config = Config::default();
    config.listen_on("127.0.0.1:0".parse().unwrap());
    (config.details.standard, config.comments.standard) = Default::default();
    config.details.database.url = url.replace("test.db", "details.db");
    config.comments.database.url = url.replace("test.db", "comments.db");
    for database in [&mut config.details.database, &mut config.comments.database] {
        (database.migrate, database.seed, database.max_connections) = (true, true, 4);
    }
    config
}

/// Runs the services for as long as `test` takes, and stops them.
async fn with<F: Future<Output = ()>>(config: Config, test: impl FnOnce(Addresses) -> F) {
    let bookinfo = BookInfo::start(config, None).await.unwrap();
    let addresses = bookinfo.addresses();
    let stop = CancellationToken::new();
    let running = tokio::spawn(bookinfo.run(stop.clone().cancelled_owned()));
    test(addresses).await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), running).await.expect("it stops").unwrap().unwrap();
}

async fn get(addr: std::net::SocketAddr, target: &str) -> Answer {
    let (addr, target) = (addr.to_string(), target.to_owned());
    tokio::task::spawn_blocking(move || http(&addr, "GET", &target, "")).await.unwrap()
}

fn comments(addresses: &Addresses) -> BookCommentsClient {
    BookCommentsClient::new(&Channel::new(&format!("grpc://{}", addresses.comments_grpc)).unwrap())
}

fn cx() -> Context {
    Context::background().with_timeout(Duration::from_secs(20))
}

async fn both_services_share_one_database(url: String) {
    for runtime in [RuntimeKind::MultiThread, RuntimeKind::ThreadPerCore] {
        let mut config = config(&url);
        (config.details.server.runtime, config.comments.server.runtime) = (runtime, runtime);
        with(config, async |addresses| {
            let answer = get(addresses.details_http, "/v1/detail?id=1").await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert_eq!(answer.body.matches("createdAt").count(), 3, "{}", answer.body);
            let content = "Besser als der Film. 📚";
            comments(&addresses).post(&cx(), PostReq { id: 2, content: content.to_owned() }).await.unwrap();
            let client = BookDetailsClient::new(&Channel::new(&format!("grpc://{}", addresses.details_grpc)).unwrap());
            let book = client.detail(&cx(), DetailReq { id: 2 }).await.unwrap().data.unwrap();
            assert_eq!(book.comments.last().unwrap().content, content);
            assert_eq!(get(addresses.details_http, "/v1/detail?id=4").await.status, 404);
        })
        .await;
    }
}

async fn two_instances_see_each_other_s_comments(url: String) {
    let one = BookInfo::start(config(&url), None).await.unwrap();
    let reading = comments(&one.addresses());
    let stop = CancellationToken::new();
    let running = tokio::spawn(one.run(stop.clone().cancelled_owned()));
    with(config(&url), async |addresses| {
        let mut watch = reading.watch(&cx(), WatchReq { id: 7 }).await.unwrap();
        for content in ["a", "b"] {
            comments(&addresses).post(&cx(), PostReq { id: 7, content: content.to_owned() }).await.unwrap();
            assert_eq!(watch.message().await.unwrap().unwrap().content, content);
        }
    })
    .await;
    stop.cancel();
    running.await.unwrap().unwrap();
}

async fn what_was_confirmed_is_there_after_a_restart(url: String) {
    with(config(&url), async |addresses| {
        for number in 0..10 {
            comments(&addresses).post(&cx(), PostReq { id: 9, content: number.to_string() }).await.unwrap();
        }
    })
    .await;
    with(config(&url), async |addresses| {
        let answer = comments(&addresses).get(&cx(), GetReq { id: 9 }).await.unwrap();
        let contents: Vec<_> = answer.data.into_iter().map(|comment| comment.content).collect();
        assert_eq!(contents, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap();
    let mut config = config("sqlite::memory:");
    config.details.grpc_addr = addr;
    let failure = BookInfo::start(config, None).await.unwrap_err();
    assert!(failure.to_string().contains(&addr.to_string()), "{failure}");
}
