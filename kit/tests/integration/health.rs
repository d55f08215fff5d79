//! What those who probe a server are told, over real sockets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use kit::{
    Code, Context, Endpoints as _, Error,
    client::Channel,
    server::{Check, HealthConfig, Server, ServerConfig},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{
    echo::{EchoService, proto::tc::v1::EchoEndpoints},
    support::{Running, get, request, room, soon},
};

/// A check that passes while its switch is on.
fn switched(name: &'static str) -> (Check, Arc<AtomicBool>) {
    let on = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&on);
    let check = Check::new(name, move || {
        let on = on.load(Ordering::Relaxed);
        async move { if on { Ok(()) } else { Err(Error::unavailable("away").with_log("on 10.0.0.1")) } }
    });
    (check, switch)
}

/// So often that no test waits.
fn often() -> ServerConfig {
    let health = HealthConfig { interval: Duration::from_millis(5), ..HealthConfig::default() };
    ServerConfig { health, ..ServerConfig::default() }
}

#[tokio::test]
async fn what_a_service_needs_makes_it_unready_while_it_is_away() {
    let (database, there) = switched("database");
    let (mail, _) = switched("mail");
    let server = Server::new().config(often()).service(&room()).service(&EchoEndpoints::new(EchoService));
    let server = Running::start(server.check(database.of("chat.Chat")).check(mail.informational())).await;
    let channel = tonic::transport::Endpoint::new(server.grpc_url().replace("grpc", "http")).unwrap();
    let mut health = HealthClient::new(channel.connect().await.unwrap());
    let mut watch = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        health.watch(request).await.unwrap().into_inner()
    };
    let (mut whole, mut chat, mut other) =
        (watch("").await, watch("chat.Chat").await, watch(EchoEndpoints::SERVICE.name).await);
    macro_rules! tells {
        ($watch:ident, $status:ident) => {
            assert_eq!(soon($watch.message()).await.unwrap().unwrap().status(), ServingStatus::$status)
        };
    }
    tells!(whole, NotServing);
    tells!(chat, NotServing);
    tells!(other, Serving);
    assert_eq!(get(server.http, "/readyz").await.status, 503);
    let why = soon(async {
        loop {
            let why = get(server.http, "/readyz?verbose").await.text();
            if !why.contains("not run yet") {
                return why;
            }
        }
    })
    .await;
    assert_eq!(why, "[-] database of chat.Chat: away\n[-] mail (informational): away\nnot ready\n");
    // Unready is no reason to refuse: balancers decide.
    assert_eq!(get(server.http, "/v1/count/1").await.status, 200);

    there.store(true, Ordering::Relaxed);
    tells!(whole, Serving);
    tells!(chat, Serving);
    let ready = get(server.http, "/readyz?verbose").await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.text(), "[+] database of chat.Chat: ok\n[-] mail (informational): away\nready\n");
    for url in [server.grpc_url(), server.http_url()] {
        Channel::new(&url).unwrap().check(&Context::background(), "chat.Chat").await.unwrap();
    }

    there.store(false, Ordering::Relaxed);
    tells!(whole, NotServing);
    tells!(chat, NotServing);
    let error = Channel::new(&server.grpc_url()).unwrap().check(&Context::background(), "chat.Chat").await.unwrap_err();
    assert_eq!(error.message(), "chat.Chat is there and says that it is not serving");
    let error =
        Channel::new(&server.grpc_url()).unwrap().check(&Context::background(), "no.Service").await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    soon(server.stopped()).await.unwrap();
}

#[tokio::test]
async fn probes_are_answered_where_no_route_of_a_service_is() {
    let server = Running::serve(&room()).await;
    for (target, text) in [("/livez", "ok\n"), ("/readyz", "ready\n"), ("/ping", "pong\n")] {
        let answer = get(server.http, target).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, text));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let answer = request(server.http, "DELETE", target, &[], b"").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
        assert_eq!(get(server.http, &format!("{target}/")).await.status, 404);
    }
    // Routes of one's own come after them, and take their place where they are off.
    let own = || axum::Router::new().route("/ping", axum::routing::get(async || "mine"));
    let server = Running::start(Server::new().service(&room()).routes(own())).await;
    assert_eq!(get(server.http, "/ping").await.text(), "pong\n");
    let health = HealthConfig { http: false, ..HealthConfig::default() };
    let config = ServerConfig { health, ..ServerConfig::default() };
    let server = Running::start(Server::new().config(config).service(&room()).routes(own())).await;
    assert_eq!(get(server.http, "/ping").await.text(), "mine");
    assert_eq!(get(server.http, "/readyz").await.status, 404);
}

#[tokio::test]
async fn a_check_of_an_unknown_service_ends_the_start() {
    let (check, _) = switched("database");
    let server = Server::new().http("127.0.0.1:0").service(&room()).check(check.of("chat.Chatt"));
    let error = server.bind().await.unwrap_err();
    assert!(error.to_string().contains("\"chat.Chatt\""), "{error}");
}

#[tokio::test]
async fn settings_with_which_nothing_could_be_checked_are_refused() {
    let health = HealthConfig { interval: Duration::ZERO, ..HealthConfig::default() };
    let config = ServerConfig { health, ..ServerConfig::default() };
    let error = Server::new().config(config).http("127.0.0.1:0").bind().await.unwrap_err();
    assert!(error.to_string().starts_with("server.health.interval is 0"), "{error}");
}

/// What a check holds is let go at the stop, also when it hangs.
#[tokio::test]
async fn a_check_that_hangs_does_not_hold_a_stop_up() {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let hanging = Check::new("hanging", move || {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::pending()
    });
    let health = HealthConfig { timeout: Duration::from_secs(24 * 3600), ..HealthConfig::default() };
    let config = ServerConfig { health, ..ServerConfig::default() };
    let server = Running::start(Server::new().config(config).service(&room()).check(hanging)).await;
    soon(async {
        while runs.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(get(server.http, "/readyz").await.status, 503);
    soon(server.stopped()).await.unwrap();
}
