//! A database server that goes away and comes back while the service runs.

use std::{net::SocketAddr, time::Duration};

use bookcomments::{
    app::App,
    config::Config,
    proto::comments::{BookComments, GetReq, PostReq},
    repository::{DatabaseConfig, SqlComments},
    service::CommentsService,
};
use bookcommon::testing::instruments;
use kit::{
    Code, Context, Error,
    middleware::ServerStackConfig,
    server::{Health, HealthConfig, ServerConfig},
    sql::testing::{Backend, run},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_goes_and_comes_back() {
    run(Backend::MySql, outage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_goes_and_comes_back() {
    run(Backend::Postgres, outage).await;
}

/// A way to a server that can be cut.
struct Cable {
    listener: JoinHandle<()>,
    addr: SocketAddr,
}

impl Cable {
    async fn plug(addr: SocketAddr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let listener = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                connections.spawn(async move {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { listener, addr }
    }

    async fn pull(self) {
        self.listener.abort();
        let _ = self.listener.await;
    }
}

/// The whole service, which looks at its database often.
struct Served {
    health: Health,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Served {
    async fn start(database: DatabaseConfig) -> Self {
        let any = "127.0.0.1:0".parse().unwrap();
        let health = HealthConfig { interval: Duration::from_millis(20), ..HealthConfig::default() };
        let server = ServerConfig { health, ..ServerConfig::default() };
        // Tests call more often than the limits of the demo allow.
        let standard = ServerStackConfig::default();
        let config = Config { http_addr: any, grpc_addr: any, database, server, standard, ..Config::default() };
        let bound = App::build(&config, instruments("comments")).await.unwrap().server(&config).bind().await.unwrap();
        let (health, stop) = (bound.health(), CancellationToken::new());
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move { bound.run(stopped).await.unwrap() });
        Self { health, stop, task }
    }

    async fn becomes(&self, ready: bool) {
        timeout(Duration::from_secs(60), self.health.until(ready)).await.expect("its readiness follows the database");
        assert_eq!(self.health.is_serving("comments.BookComments"), ready);
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(Duration::from_secs(60), self.task).await.expect("it stops").unwrap();
    }
}

async fn outage(url: String) {
    let server = address(&url);
    let cable = Cable::plug("127.0.0.1:0".parse().unwrap(), server).await;
    let (addr, detour) = (cable.addr, url.replace(&server.to_string(), &cable.addr.to_string()));
    let config = DatabaseConfig {
        migrate: true,
        acquire_timeout: Duration::from_secs(1),
        max_connections: 3,
        ..DatabaseConfig::new(detour)
    };
    let service = CommentsService::new(SqlComments::connect(&config).await.unwrap());
    post(&service, "before").await.unwrap();
    let served = Served::start(config).await;
    served.becomes(true).await;

    cable.pull().await;
    served.becomes(false).await;
    for _ in 0..3 {
        let error = post(&service, "never stored").await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{}", error.to_log());
        assert!(!error.message().contains("127.0.0.1"), "{error}");
    }

    let cable = Cable::plug(addr, server).await;
    served.becomes(true).await;
    post(&service, "after").await.unwrap();
    let answer = service.get(&Context::background(), GetReq { id: 1 }).await.unwrap();
    let contents: Vec<_> = answer.data.iter().map(|comment| comment.content.as_str()).collect();
    assert_eq!(contents, ["before", "after"]);
    served.stop().await;
    cable.pull().await;
}

async fn post(service: &impl BookComments, content: &str) -> Result<(), Error> {
    service.post(&Context::background(), PostReq { id: 1, content: content.to_owned() }).await.map(|_| ())
}

/// Where a URL leads to: an address with its port, as the defaults of the tests have it.
fn address(url: &str) -> SocketAddr {
    let host = url.split('@').next_back().unwrap().split(['/', '?']).next().unwrap();
    host.parse().unwrap_or_else(|_| panic!("{host} must be an address and a port"))
}
