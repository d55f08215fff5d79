//! Starting, stopping, and what a port does when it can't.

use std::{sync::Arc, time::Duration};

use kit::{
    Code, Context, Error, Streaming,
    client::Channel,
    middleware::StandardStack,
    server::{Server, ServerConfig},
    task::Tasks,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;

use crate::{
    calls,
    chat::proto::chat::{Chat, ChatClient, ChatEndpoints, CountRequest, Line},
    support::{Log, OnDrop, Running, closed, counting, get, line, room, saying, soon},
};

#[tokio::test]
async fn a_stop_finishes_what_runs_and_takes_nothing_new() {
    finishes_what_runs(&ServerConfig::default()).await;
}

pub(crate) async fn finishes_what_runs(base: &ServerConfig) {
    for address in [Running::grpc_url as fn(&Running) -> String, Running::http_url] {
        let (told, mut started) = mpsc::unbounded_channel();
        let go = Arc::new(Notify::new());
        let (handler_go, stream_go) = (Arc::clone(&go), Arc::clone(&go));
        let endpoints = ChatEndpoints {
            say: saying(move |_, said| {
                let (told, go) = (told.clone(), Arc::clone(&handler_go));
                async move {
                    // Before it tells: who is told may be faster than the next line.
                    let notified = go.notified();
                    told.send(()).unwrap();
                    notified.await;
                    Ok(line(&said.text.to_uppercase()))
                }
            })
            .say,
            ..counting(move |_, _| {
                let go = Arc::clone(&stream_go);
                async move {
                    let (sender, lines) = Streaming::channel(1);
                    tokio::spawn(async move {
                        let notified = go.notified();
                        sender.send(Ok(line("before"))).await.unwrap();
                        notified.await;
                        sender.send(Ok(line("after"))).await.unwrap();
                    });
                    Ok(lines)
                }
            })
        };
        let mut server =
            Running::start(Server::new().config(base.clone()).service(&endpoints.with(&StandardStack::default())))
                .await;
        let (url, port) = (address(&server), server.http);
        let client = ChatClient::new(&Channel::new(&url).unwrap());
        let mut lines = client.count(&Context::background(), CountRequest { to: 1 }).await.unwrap();
        assert_eq!(soon(lines.message()).await.unwrap().unwrap().text, "before");
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.say(&Context::background(), line("late")).await }
        });
        soon(started.recv()).await.unwrap();

        server.stop();
        // The listeners go first: when one is gone, nothing new is taken while the call and the stream still run.
        closed(port).await;
        let other = ChatClient::new(&Channel::new(&url).unwrap());
        let refused = other.say(&Context::background(), line("new")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");

        go.notify_waiters();
        assert_eq!(soon(call).await.unwrap().unwrap().text, "LATE", "{url}");
        assert_eq!(calls::all(&mut lines).await.unwrap(), ["after"], "{url}");
        soon(server.stopped()).await.unwrap();
    }
}

#[tokio::test]
async fn a_stop_has_a_hard_end() {
    has_a_hard_end(&ServerConfig::default()).await;
}

pub(crate) async fn has_a_hard_end(base: &ServerConfig) {
    let (told, mut events) = mpsc::unbounded_channel();
    let endpoints = saying(move |_, _| {
        let told = told.clone();
        async move {
            told.send("started").unwrap();
            let _gone = OnDrop(told, "gone");
            std::future::pending().await
        }
    });
    let config = ServerConfig { drain_timeout: Duration::from_millis(50), ..base.clone() };
    let server = Running::start(Server::new().config(config).service(&endpoints)).await;
    let client = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    let call = tokio::spawn(async move { client.say(&Context::background(), line("")).await });
    assert_eq!(soon(events.recv()).await, Some("started"));
    let error = soon(server.stopped()).await.unwrap_err();
    assert_eq!(error.to_string(), "1 call was cut at the stop");
    assert_eq!(soon(events.recv()).await, Some("gone"));
    assert_eq!(soon(call).await.unwrap().unwrap_err().code(), Code::Unavailable);
}

/// A stop with idle connections is over at once.
#[tokio::test]
async fn idle_connections_do_not_hold_a_stop_up() {
    lets_idle_connections_go(&ServerConfig::default()).await;
}

pub(crate) async fn lets_idle_connections_go(base: &ServerConfig) {
    let server = Running::start(Server::new().config(base.clone()).service(&room())).await;
    let grpc = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    grpc.say(&Context::background(), line("")).await.unwrap();
    let http = ChatClient::new(&Channel::new(&server.http_url()).unwrap());
    http.say(&Context::background(), line("")).await.unwrap();
    let mut silent = TcpStream::connect(server.http).await.unwrap();
    soon(server.stopped()).await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(silent.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
    // The client finds out by itself that its connection is gone.
    assert_eq!(grpc.say(&Context::background(), line("")).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_taken_port_says_so() {
    finds_a_port_taken(&ServerConfig::default()).await;
}

pub(crate) async fn finds_a_port_taken(base: &ServerConfig) {
    let server = Running::start(Server::new().config(base.clone()).service(&room())).await;
    for second in [Server::new().http(server.http), Server::new().grpc(server.http), Server::new().shared(server.http)]
    {
        let error = second.config(base.clone()).service(&room()).bind().await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&server.http.to_string()) && text.contains("another process has that port"), "{text}");
        // `main` shows the Debug of what it returns.
        assert_eq!(format!("{error:?}"), text);
    }
    // The first one does not notice.
    assert_eq!(get(server.http, "/v1/count/1").await.status, 200);
}

#[tokio::test]
async fn a_wrong_address_is_named() {
    for wrong in ["nowhere", "127.0.0.1", "127.0.0.1:99999", "not.a.host.invalid:80", "1.2.3.4:0", ""] {
        let error = Server::new().http(wrong).bind().await.unwrap_err();
        assert!(error.to_string().contains(&format!("can't listen on {wrong}")), "{error}");
    }
    let wrong =
        ["127.0.0.1:5", "grpc:127.0.0.1", "ftp://127.0.0.1:5", "grpc://", "http://", "http://a b", "grpc://a b"];
    for wrong in wrong {
        let error = Channel::new(wrong).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{wrong}");
        assert!(error.message().contains(wrong.split("://").next().unwrap()), "{wrong}: {error}");
    }
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    lets_connections_wait(&ServerConfig::default()).await;
}

pub(crate) async fn lets_connections_wait(base: &ServerConfig) {
    let config = ServerConfig { max_connections: 1, ..base.clone() };
    let server =
        Running::start(Server::new().config(config).service(&saying(|cx, _| async move {
            Ok(line(&cx.peer().unwrap().address.unwrap().port().to_string()))
        })))
        .await;
    let first = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    let port = first.say(&Context::background(), line("")).await.unwrap().text;
    // The second connection is in the kernel's queue: its call comes to an end when the first one is gone.
    let second = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    let mut waiting = tokio::spawn(async move { second.say(&Context::background(), line("")).await });
    for _ in 0..20 {
        assert_eq!(first.say(&Context::background(), line("")).await.unwrap().text, port);
        assert!(!waiting.is_finished(), "a second connection was served beside the first");
    }
    drop(first);
    let other = soon(&mut waiting).await.unwrap().unwrap().text;
    assert_ne!(other, port);
}

#[tokio::test]
async fn old_connections_are_asked_to_close() {
    let config = ServerConfig { max_connection_age: Some(Duration::from_millis(1)), ..ServerConfig::default() };
    let server = Running::start(Server::new().config(config).service(&room())).await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    let mut rest = Vec::new();
    soon(stream.read_to_end(&mut rest)).await.unwrap();
    // A call that meets the end of its connection fails as one that may be made again, and the next has a new connection.
    let client = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    soon(async {
        let mut answered = 0;
        while answered < 5 {
            match client.say(&Context::background(), line("")).await {
                Ok(_) => answered += 1,
                Err(error) => assert_eq!(error.code(), Code::Unavailable, "{}", error.to_log()),
            }
        }
    })
    .await;
}

/// A `Say` that tells when it begins and ends when it is told, and a server on it.
pub(crate) fn held() -> (ChatEndpoints, mpsc::UnboundedReceiver<()>, Arc<Notify>) {
    let (told, started) = mpsc::unbounded_channel();
    let go = Arc::new(Notify::new());
    let held = Arc::clone(&go);
    let endpoints = saying(move |_, said| {
        let (told, go) = (told.clone(), Arc::clone(&held));
        async move {
            let gone = go.notified();
            told.send(()).unwrap();
            gone.await;
            Ok(said)
        }
    });
    (endpoints, started, go)
}

pub(crate) fn say(url: String) -> tokio::task::JoinHandle<Result<String, Error>> {
    let client = ChatClient::new(&Channel::new(&url).unwrap());
    tokio::spawn(async move { client.say(&Context::background(), line("a")).await.map(|line| line.text) })
}

#[tokio::test]
async fn calls_that_are_cut_are_counted_not_connections() {
    counts_what_is_cut(&ServerConfig::default()).await;
}

pub(crate) async fn counts_what_is_cut(base: &ServerConfig) {
    let (endpoints, mut started, _go) = held();
    let config = ServerConfig { drain_timeout: Duration::from_millis(50), ..base.clone() };
    let server = Running::start(Server::new().config(config).service(&endpoints)).await;
    // Two calls on one connection, one on another, a stream that nobody ends, and a connection without a call.
    let client = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    let calls: Vec<_> = (0..2)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.say(&Context::background(), line("")).await })
        })
        .collect();
    let other = say(server.http_url());
    let (_lines, talk) = Streaming::<Line>::channel(1);
    let mut talk = client.talk(&Context::background(), talk).await.unwrap();
    let _idle = TcpStream::connect(server.http).await.unwrap();
    for _ in 0..3 {
        soon(started.recv()).await.unwrap();
    }
    let error = soon(server.stopped()).await.unwrap_err();
    assert_eq!(error.to_string(), "4 calls were cut at the stop");
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Unavailable);
    }
    assert_eq!(other.await.unwrap().unwrap_err().code(), Code::Unavailable);
    assert_eq!(talk.message().await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_second_signal_ends_the_stop_at_once() {
    ends_at_once(&ServerConfig::default()).await;
}

pub(crate) async fn ends_at_once(base: &ServerConfig) {
    let (endpoints, mut started, _go) = held();
    let day = Duration::from_secs(24 * 3600);
    let config = ServerConfig { shutdown_delay: day, drain_timeout: day, ..base.clone() };
    let tasks = Tasks::new();
    tasks.spawn("stuck", &Context::background(), std::future::pending()).unwrap();
    let server = Server::new().config(config).service(&endpoints).tasks(&tasks).grpc("127.0.0.1:0");
    let server = server.on_stop("hang", day, std::future::pending).bind().await.unwrap();
    let call = say(format!("grpc://{}", server.grpc_addr().unwrap()));
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let running = tokio::spawn(server.run_until(first.clone().cancelled_owned(), second.clone().cancelled_owned()));
    soon(started.recv()).await.unwrap();
    first.cancel();
    tokio::task::yield_now().await;
    assert!(!running.is_finished());
    second.cancel();
    let error = soon(running).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "1 call was cut at the stop; 1 background task was cut at the stop");
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Unavailable);
}

/// One HTTP/1.1 connection that is kept.
struct Kept(TcpStream);

impl Kept {
    async fn open(server: &Running) -> Self {
        Self(TcpStream::connect(server.http).await.unwrap())
    }

    /// Sends a request, and reads an answer that has a length.
    async fn get(&mut self, target: &str) -> String {
        self.0.write_all(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        loop {
            assert_ne!(self.0.read_buf(&mut answer).await.unwrap(), 0, "closed before the answer");
            let text = String::from_utf8_lossy(&answer).into_owned();
            let length = |head: &str| {
                let (_, rest) = head.split_once("content-length: ")?;
                rest.split("\r\n").next()?.parse::<usize>().ok()
            };
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && body.len() == length(head).unwrap()
            {
                return text;
            }
        }
    }
}

#[tokio::test]
async fn before_the_ports_close_readiness_is_gone_and_kept_connections_are_let_go() {
    turns_callers_away_first(&ServerConfig::default()).await;
}

pub(crate) async fn turns_callers_away_first(base: &ServerConfig) {
    let config = ServerConfig { shutdown_delay: Duration::from_secs(24 * 3600), ..base.clone() };
    let server = Server::new().config(config).service(&room()).http("127.0.0.1:0").grpc("127.0.0.1:0");
    let server = server.bind().await.unwrap();
    let (stop, at_once) = (CancellationToken::new(), CancellationToken::new());
    let health = server.health();
    let (http, grpc) = (server.http_addr().unwrap(), server.grpc_addr().unwrap());
    let served = tokio::spawn(server.run_until(stop.clone().cancelled_owned(), at_once.clone().cancelled_owned()));
    let mut server = Running::of(http, grpc, served);
    let mut kept = Kept::open(&server).await;
    let ready = kept.get("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200 OK") && ready.ends_with("\r\n\r\nready\n"), "{ready}");
    assert!(!ready.contains("connection: close"), "{ready}");
    stop.cancel();
    soon(health.until(false)).await;
    // Everything is still served; but who looks is told to go, and who keeps a connection, too.
    let probe = get(http, "/readyz").await;
    assert_eq!((probe.status, probe.text().as_str()), (503, "stopping\n"));
    assert_eq!(get(http, "/livez").await.status, 200);
    let client = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    let error = Channel::new(&server.grpc_url()).unwrap().check(&Context::background(), "chat.Chat").await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    let error = Channel::new(&server.http_url()).unwrap().check(&Context::background(), "chat.Chat").await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert_eq!(client.say(&Context::background(), line("a")).await.unwrap().text, "A");
    let last = soon(kept.get("/readyz")).await;
    assert!(last.starts_with("HTTP/1.1 503") && last.contains("connection: close\r\n"), "{last}");
    let mut rest = Vec::new();
    assert_eq!(soon(kept.0.read_to_end(&mut rest)).await.unwrap(), 0, "the server keeps its word");
    at_once.cancel();
    server.stop();
    soon(server.stopped()).await.unwrap();
}

#[tokio::test]
async fn an_admin_port_answers_until_the_last_call_is_finished() {
    let (endpoints, mut started, go) = held();
    let server = Server::new().service(&endpoints).grpc("127.0.0.1:0");
    let routes = server.health().routes().route("/hello", axum::routing::get(async || "here"));
    let server = server.admin("debug", "127.0.0.1:0", routes).bind().await.unwrap();
    let (grpc, admin) = (server.grpc_addr().unwrap(), server.admin_addr("debug").unwrap());
    assert_eq!(server.admin_addr("metrics"), None);
    let stop = CancellationToken::new();
    let running = tokio::spawn(server.run(stop.clone().cancelled_owned()));
    assert_eq!(get(admin, "/hello").await.text(), "here");
    assert_eq!(get(admin, "/readyz").await.status, 200);
    assert_eq!(get(admin, "/v1/count/1").await.status, 404, "the services are not there");
    let call = say(format!("grpc://{grpc}"));
    soon(started.recv()).await.unwrap();
    stop.cancel();
    soon(async {
        while TcpStream::connect(grpc).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let looked = get(admin, "/readyz?verbose").await;
    assert_eq!((looked.status, looked.text().as_str()), (503, "stopping\n"));
    assert_eq!(get(admin, "/hello").await.text(), "here");
    go.notify_waiters();
    assert_eq!(soon(call).await.unwrap().unwrap(), "a");
    soon(running).await.unwrap().unwrap();
    assert!(TcpStream::connect(admin).await.is_err());
}

#[tokio::test]
async fn what_an_admin_port_is_asked_does_not_hold_a_stop_up_and_is_no_call() {
    let (told, mut asked) = mpsc::unbounded_channel();
    let profile = axum::routing::get(move || {
        let told = told.clone();
        async move {
            told.send("asked").unwrap();
            let _gone = OnDrop(told, "gone");
            std::future::pending::<()>().await
        }
    });
    let server =
        Server::new().http("127.0.0.1:0").admin("debug", "127.0.0.1:0", axum::Router::new().route("/", profile));
    let server = server.bind().await.unwrap();
    let admin = server.admin_addr("debug").unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(server.run(stop.clone().cancelled_owned()));
    let mut looking = TcpStream::connect(admin).await.unwrap();
    looking.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert_eq!(soon(asked.recv()).await, Some("asked"));
    stop.cancel();
    soon(running).await.unwrap().unwrap();
    assert_eq!(soon(asked.recv()).await, Some("gone"));
}

#[tokio::test]
async fn an_admin_port_that_is_taken_does_not_keep_the_service_from_starting() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let hello = || axum::Router::new().route("/", axum::routing::get(async || "here"));
    let server = Server::new().service(&room()).http("127.0.0.1:0");
    let server = server.admin("debug", address, hello()).admin("metrics", "127.0.0.1:0", hello());
    let log = Log::start();
    let server = server.bind().await.unwrap();
    assert_eq!(server.admin_addr("debug"), None);
    let (http, metrics) = (server.http_addr().unwrap(), server.admin_addr("metrics").unwrap());
    let lines = log.with("the service goes on without its debug port");
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((line["level"].as_str(), line["port"].as_str()), (Some("ERROR"), Some("debug")), "{line}");
    let error = line["error"].as_str().unwrap();
    assert!(error.contains(&address.to_string()) && error.contains("another process has that port"), "{line}");
    let stop = CancellationToken::new();
    let running = tokio::spawn(server.run(stop.clone().cancelled_owned()));
    assert_eq!(get(http, "/v1/count/1").await.status, 200);
    assert_eq!(get(metrics, "/").await.text(), "here");
    stop.cancel();
    soon(running).await.unwrap().unwrap();
}

#[tokio::test]
async fn two_admin_ports_of_one_name_are_refused() {
    let free = "127.0.0.1:0";
    let server = Server::new().http(free).admin("probes", free, axum::Router::new());
    let error = server.admin("probes", free, axum::Router::new()).bind().await.unwrap_err();
    assert_eq!(error.to_string(), "two admin ports have the name \"probes\": give one of them another");
}

#[tokio::test]
async fn what_is_to_be_done_at_the_stop_is_done_in_order_after_the_last_call_and_task() {
    let (told, mut events) = mpsc::unbounded_channel();
    let (endpoints, mut started, go) = held();
    let tasks = Tasks::new();
    let (finish, finished) = oneshot::channel::<()>();
    let of_task = told.clone();
    tasks
        .spawn("mail", &Context::background(), async move {
            let _ = finished.await;
            of_task.send("task").unwrap();
        })
        .unwrap();
    let tell = |what| {
        let told = told.clone();
        move || async move { told.send(what).unwrap() }
    };
    let limit = Duration::from_secs(60);
    let server = Server::new()
        .service(&endpoints)
        .tasks(&tasks)
        .on_stop("one", limit, tell("one"))
        .on_stop("slow", Duration::from_millis(10), std::future::pending)
        .on_stop("broken", limit, || async { panic!("not today") })
        .on_stop("two", limit, tell("two"));
    let mut server = Running::start(server).await;
    let call = say(server.grpc_url());
    soon(started.recv()).await.unwrap();
    server.stop();
    go.notify_waiters();
    assert_eq!(soon(call).await.unwrap().unwrap(), "a");
    // The call is finished, the task is not.
    assert!(events.try_recv().is_err());
    finish.send(()).unwrap();
    soon(server.stopped()).await.unwrap();
    let mut all = Vec::new();
    while let Ok(event) = events.try_recv() {
        all.push(event);
    }
    assert_eq!(all, ["task", "one", "two"]);
}

#[tokio::test]
async fn a_background_task_that_does_not_end_is_cut_and_told() {
    let tasks = Tasks::new();
    tasks.spawn("stuck", &Context::background(), std::future::pending()).unwrap();
    let config = ServerConfig { drain_timeout: Duration::ZERO, ..ServerConfig::default() };
    let server = Running::start(Server::new().config(config).tasks(&tasks)).await;
    let error = soon(server.stopped()).await.unwrap_err();
    assert_eq!(error.to_string(), "1 background task was cut at the stop");
}

#[tokio::test]
async fn streams_without_an_end_are_told_when_calls_are_finished() {
    tells_streams(&ServerConfig::default()).await;
}

pub(crate) async fn tells_streams(base: &ServerConfig) {
    let draining = CancellationToken::new();
    let told = draining.clone();
    let endpoints = counting(move |_, _| {
        let told = told.clone();
        async move {
            let (sender, lines) = Streaming::channel(1);
            tokio::spawn(async move {
                sender.send(Ok(line("first"))).await.unwrap();
                told.cancelled().await;
                let _ = sender.send(Err(Error::unavailable("the service stops: call again"))).await;
            });
            Ok(lines)
        }
    });
    let server = Running::start(Server::new().config(base.clone()).service(&endpoints).draining(&draining)).await;
    let mut watching = Vec::new();
    for url in [server.grpc_url(), server.http_url()] {
        let client = ChatClient::new(&Channel::new(&url).unwrap());
        let mut lines = client.count(&Context::background(), CountRequest { to: 1 }).await.unwrap();
        assert_eq!(soon(lines.message()).await.unwrap().unwrap().text, "first");
        watching.push(lines);
    }
    soon(server.stopped()).await.unwrap();
    for mut lines in watching {
        let error = soon(lines.message()).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::Unavailable, "the service stops: call again"));
    }
}
