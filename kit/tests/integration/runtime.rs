//! A thread for each core: what holds with one runtime holds there, too.

use std::{collections::BTreeMap, time::Duration};

use kit::{
    Context, Error,
    client::Channel,
    server::{CoresConfig, RuntimeKind, Server, ServerConfig, SocketConfig},
    telemetry::metrics::Metrics,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use crate::{
    chat::proto::chat::{Chat, ChatClient},
    lifecycle, stop,
    support::{Running, get, line, saying, soon},
};

/// That many cores, with a listener for each, and with one that hands connections round.
fn cores(threads: usize) -> [ServerConfig; 2] {
    [true, false].map(|reuse_port| ServerConfig {
        runtime: RuntimeKind::ThreadPerCore,
        cores: CoresConfig { threads: threads.try_into().ok(), reuse_port, ..CoresConfig::default() },
        // Short: a test that connects as fast as it can could fill it while it is emptied.
        socket: SocketConfig { backlog: 64, ..SocketConfig::default() },
        ..ServerConfig::default()
    })
}

#[tokio::test]
async fn a_stop_finishes_what_runs_and_takes_nothing_new() {
    for config in cores(2) {
        lifecycle::finishes_what_runs(&config).await;
    }
}

#[tokio::test]
async fn a_stop_has_a_hard_end() {
    for config in cores(2) {
        lifecycle::has_a_hard_end(&config).await;
    }
}

#[tokio::test]
async fn idle_connections_do_not_hold_a_stop_up() {
    for config in cores(2) {
        lifecycle::lets_idle_connections_go(&config).await;
    }
}

#[tokio::test]
async fn a_taken_port_says_so() {
    for config in cores(2) {
        lifecycle::finds_a_port_taken(&config).await;
    }
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    for config in cores(3) {
        lifecycle::lets_connections_wait(&config).await;
    }
}

#[tokio::test]
async fn calls_that_are_cut_are_counted_on_all_cores() {
    for config in cores(4) {
        lifecycle::counts_what_is_cut(&config).await;
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_stop_at_once() {
    for config in cores(2) {
        lifecycle::ends_at_once(&config).await;
    }
}

#[tokio::test]
async fn before_the_ports_close_readiness_is_gone_and_kept_connections_are_let_go() {
    for config in cores(2) {
        lifecycle::turns_callers_away_first(&config).await;
    }
}

#[tokio::test]
async fn streams_without_an_end_are_told_when_calls_are_finished() {
    for config in cores(2) {
        lifecycle::tells_streams(&config).await;
    }
}

#[tokio::test]
async fn a_stop_answers_those_who_wait_in_the_queues_of_a_port() {
    for config in cores(4) {
        stop::answers_the_queue(&config).await;
    }
}

#[tokio::test]
async fn a_stop_answers_those_who_wait_for_a_connection_to_end() {
    // With more listeners each of them takes one, and has it wait.
    for config in cores(2) {
        stop::answers_who_waits_for_room(&config).await;
    }
}

/// Says on which thread it was answered.
async fn thread(_: Context, _: crate::chat::proto::chat::Line) -> Result<crate::chat::proto::chat::Line, Error> {
    Ok(line(std::thread::current().name().unwrap_or("none")))
}

/// A request to say something.
fn say(text: &str) -> Vec<u8> {
    let body = format!("{{\"text\":\"{text}\"}}");
    let head = "POST /v1/say HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length";
    format!("{head}: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A connection that is kept, and asked where it is served.
struct Asked(TcpStream);

impl Asked {
    async fn open(server: &Running) -> Self {
        Self(TcpStream::connect(server.http).await.unwrap())
    }

    async fn ask(&mut self) -> String {
        self.0.write_all(&say("")).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\"}") {
            assert_ne!(self.0.read_buf(&mut answer).await.unwrap(), 0, "closed before the answer");
        }
        let answer = String::from_utf8(answer).unwrap();
        answer.rsplit('"').nth(1).unwrap().to_owned()
    }
}

#[tokio::test]
async fn sixteen_connections_are_spread_over_the_cores_and_stay_there() {
    for (threads, config) in [2, 4].into_iter().flat_map(|threads| cores(threads).map(|config| (threads, config))) {
        let own_listeners = config.cores.reuse_port;
        let metrics = Metrics::new();
        let server = Server::new().config(config).service(&saying(thread)).metrics("127.0.0.1:0", &metrics);
        let server = server.http("127.0.0.1:0").grpc("127.0.0.1:0").bind().await.unwrap();
        let (http, grpc) = (server.http_addr().unwrap(), server.grpc_addr().unwrap());
        let figures = server.admin_addr("metrics").unwrap();
        let stop = CancellationToken::new();
        let running = Running::of(http, grpc, tokio::spawn(server.run(stop.clone().cancelled_owned())));
        let mut clients = Vec::new();
        for _ in 0..16 {
            clients.push(Asked::open(&running).await);
        }
        let mut loads = BTreeMap::new();
        for client in &mut clients {
            let core = soon(client.ask()).await;
            assert_eq!(soon(client.ask()).await, core);
            *loads.entry(core).or_insert(0) += 1;
        }
        let most = loads.values().max().unwrap();
        let fewest = if loads.len() == threads { *loads.values().min().unwrap() } else { 0 };
        assert!(most - fewest <= if own_listeners { 2 } else { 1 }, "{loads:?}");
        let text = get(figures, "/metrics").await.text();
        for (name, load) in &loads {
            let core = name.strip_prefix("kit-core-").unwrap();
            let line = format!("kit_server_core_connections{{core=\"{core}\"}} {load}");
            assert!(text.contains(&line), "{line}: {text}");
        }
        stop.cancel();
        soon(running.stopped()).await.unwrap();
    }
}

/// What a program makes on its own runtime works on the cores: clients, tasks, timers.
#[tokio::test]
async fn handlers_use_what_was_made_on_the_runtime_of_the_program() {
    let upstream = Running::start(Server::new().service(&crate::support::room())).await;
    for url in [upstream.grpc_url(), upstream.http_url()] {
        let client = ChatClient::new(&Channel::new(&url).unwrap());
        let (asks, mut asked) = tokio::sync::mpsc::channel::<tokio::sync::oneshot::Sender<&str>>(1);
        let worker = tokio::spawn(async move {
            while let Some(answer) = asked.recv().await {
                answer.send("of the program").unwrap();
            }
        });
        let endpoints = saying(move |cx, said| {
            let (client, asks) = (client.clone(), asks.clone());
            async move {
                let loud = client.say(&cx, said).await?;
                let (answer, answered) = tokio::sync::oneshot::channel();
                asks.send(answer).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(line(&format!("{} {}", loud.text, answered.await.unwrap())))
            }
        });
        let [config, _] = cores(2);
        let server = Running::start(Server::new().config(config).service(&endpoints)).await;
        drop(endpoints);
        // More connections than cores: each core calls.
        for _ in 0..4 {
            for url in [server.grpc_url(), server.http_url()] {
                let caller = ChatClient::new(&Channel::new(&url).unwrap());
                let answer = soon(caller.say(&Context::background(), line("a"))).await.unwrap();
                assert_eq!(answer.text, "A of the program");
            }
        }
        soon(server.stopped()).await.unwrap();
        worker.abort();
    }
    soon(upstream.stopped()).await.unwrap();
}

/// A handler that blocks its thread stalls that core, and nobody else; a stop does not wait for it beyond its hard end.
#[tokio::test]
async fn a_core_that_is_blocked_holds_up_neither_the_others_nor_a_stop() {
    for config in cores(2) {
        let (block, mut blocked, free) = stop::blocking();
        let block = std::sync::Arc::new(block);
        let endpoints = saying(move |cx, said| {
            let block = std::sync::Arc::clone(&block);
            async move {
                if said.text == "block" {
                    block();
                }
                thread(cx, said).await
            }
        });
        let config = ServerConfig { drain_timeout: Duration::from_millis(50), ..config };
        let server = Running::start(Server::new().config(config).service(&endpoints)).await;
        // Both cores have some.
        let mut clients = Vec::new();
        for _ in 0..8 {
            let mut client = Asked::open(&server).await;
            let core = soon(client.ask()).await;
            clients.push((core, client));
        }
        let (stalled, mut client) = clients.pop().unwrap();
        client.0.write_all(&say("block")).await.unwrap();
        soon(blocked.recv()).await.unwrap();
        let (_, other) = clients.iter_mut().find(|(core, _)| *core != stalled).unwrap();
        assert_ne!(soon(other.ask()).await, stalled);
        let stopped = soon(server.stopped()).await;
        drop(free);
        assert_eq!(stopped.unwrap_err().to_string(), "1 call was cut at the stop");
    }
}
