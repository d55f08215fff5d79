//! The limits of the original: what is admitted, and what is answered to the rest.

use std::{net::SocketAddr, time::Duration};

use bookcommon::{
    limited_chain,
    testing::{Answer, http},
};
use bookdetails::{
    models::Book,
    proto::details::{BookDetails, BookDetailsClient, BookDetailsEndpoints, DetailReq, DetailResp},
    repository::{Books, RepositoryError},
    service::DetailsService,
};
use kit::{
    Code, Context, Error,
    client::Channel,
    middleware::{ServerStackConfig, StandardStack},
    server::Server,
};
use tokio::task::JoinSet;

use crate::fake::{FakeBooks, FakeComments, Mood};

/// Books of which one can't be read.
struct Torn(FakeBooks);

const TORN: i64 = 13;

impl Books for Torn {
    async fn find(&self, id: i64) -> Result<Option<Book>, RepositoryError> {
        if id == TORN { Err(RepositoryError::internal("the page is torn")) } else { self.0.find(id).await }
    }
}

/// The service with these limits, on one port for both transports.
struct Limited {
    addr: SocketAddr,
    client: BookDetailsClient,
    comments: FakeComments,
    _running: JoinSet<()>,
}

impl Limited {
    async fn start(chain: &ServerStackConfig, mood: Mood) -> Self {
        let comments = FakeComments::new(mood);
        let service = DetailsService::new(Torn(FakeBooks::with(&[1])), comments.clone());
        let service = service.with_comments_timeout(Duration::from_secs(60));
        let endpoints = BookDetailsEndpoints::new(service).with(&StandardStack::server(chain).unwrap());
        let server = Server::new().shared("127.0.0.1:0").service(&endpoints).bind().await.unwrap();
        let addr = server.http_addr().unwrap();
        let mut running = JoinSet::new();
        running.spawn(async move { server.run(std::future::pending()).await.unwrap() });
        let client = BookDetailsClient::new(&Channel::new(&format!("grpc://{addr}")).unwrap());
        Self { addr, client, comments, _running: running }
    }

    async fn detail(&self, id: i64) -> Result<DetailResp, Error> {
        self.client.detail(&Context::background(), DetailReq { id }).await
    }

    async fn get(&self) -> Answer {
        let addr = self.addr.to_string();
        tokio::task::spawn_blocking(move || http(&addr, "GET", "/v1/detail?id=1", "")).await.unwrap()
    }

    /// Both transports say the same.
    async fn refuses_with(&self, message: &str) {
        let refused = self.detail(1).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::ResourceExhausted, message));
        assert!(refused.retry_delay().is_some());
        let refused = self.get().await;
        assert_eq!(refused.status, 429, "{}", refused.body);
        assert!(refused.body.contains(&format!("\"message\":\"{message}\"")), "{}", refused.body);
        assert!(refused.body.contains("RetryInfo"), "{}", refused.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_ten_calls_a_second_are_told_the_rate_limit() {
    // The time in which all is done again is longer than a slow machine needs for this.
    let mut chain = limited_chain();
    chain.rate_limit.as_mut().unwrap().per = Duration::from_secs(3600);
    let limited = Limited::start(&chain, Mood::Answer).await;
    for _ in 0..5 {
        limited.detail(1).await.unwrap();
        assert_eq!(limited.get().await.status, 200);
    }
    limited.refuses_with("rate limit exceeded").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_eleventh_call_at_once_is_one_connection_too_many() {
    let chain = ServerStackConfig { rate_limit: None, ..limited_chain() };
    let limited = Limited::start(&chain, Mood::Hang).await;
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let client = limited.client.clone();
        calls.spawn(async move { client.detail(&Context::background(), DetailReq { id: 1 }).await });
    }
    while limited.comments.asked.load(std::sync::atomic::Ordering::Relaxed) < 10 {
        tokio::task::yield_now().await;
    }
    limited.refuses_with("too many connections").await;
    // Whoever goes away makes room; that opens nothing.
    limited.comments.mood.send_replace(Mood::Answer);
    calls.shutdown().await;
    while limited.detail(1).await.is_err() {}
    assert_eq!(limited.get().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_tenth_of_failures_opens_the_breaker() {
    let chain = ServerStackConfig { rate_limit: None, ..limited_chain() };
    let limited = Limited::start(&chain, Mood::Answer).await;
    for _ in 0..18 {
        limited.detail(1).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(limited.detail(TORN).await.unwrap_err().code(), Code::Internal);
    }
    limited.detail(1).await.expect("a tenth is not more than a tenth");
    assert_eq!(limited.detail(2).await.unwrap_err().code(), Code::NotFound, "a caller's mistake is no failure");
    limited.detail(TORN).await.unwrap_err();
    limited.refuses_with("too many connections").await;
}
