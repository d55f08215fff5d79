//! A service that is busy in functions that are known by name, with profiles on its port.

use std::{hint::black_box, time::Duration};

use kit::{
    Context, Error,
    client::Channel,
    debug::{Debug, DebugConfig, DebugPort},
    server::Server,
};
use tokio::{
    sync::{Mutex, MutexGuard},
    task::JoinSet,
};

use crate::{
    chat::proto::chat::{Chat as _, ChatClient, Line},
    support::{Running, get, line, saying, soon},
};

/// Uses the processor, for some milliseconds, and calls nothing.
#[inline(never)]
pub(crate) fn burn_cycles() -> u64 {
    let (mut value, mut round) = (black_box(1u64), 0u64);
    while round < 2_000_000 {
        value ^= value << 13;
        value ^= value >> 7;
        value ^= value << 17;
        round += 1;
    }
    value
}

/// Memory that stays.
#[inline(never)]
pub(crate) fn retain_memory(megabytes: usize) -> Vec<Vec<u8>> {
    let mut kept = Vec::new();
    for _ in 0..megabytes {
        kept.push(vec![1; 1024 * 1024]);
    }
    kept
}

/// Memory that is freed at once.
#[inline(never)]
pub(crate) fn churn_memory(megabytes: usize) {
    for _ in 0..megabytes {
        drop(black_box(vec![1u8; 1024 * 1024]));
    }
}

async fn busy(_: Context, said: Line) -> Result<Line, Error> {
    Ok(line(&format!("{} {}", said.text, burn_cycles())))
}

/// A debug port to be served with a service. The name is what the requests of tests say.
pub(crate) fn debug() -> DebugPort {
    let config = DebugConfig { charts: false, hosts: vec!["test".to_owned()], ..DebugConfig::default() };
    Debug::new("work").config(&config).start()
}

/// The service, and those who keep it busy.
pub(crate) struct Work {
    pub(crate) server: Running,
    debug: Option<DebugPort>,
    callers: JoinSet<()>,
    // The last to go: one recording runs at a time in a process, and a test must not meet that of another.
    _alone: MutexGuard<'static, ()>,
}

impl Work {
    pub(crate) async fn start() -> Self {
        static ALONE: Mutex<()> = Mutex::const_new(());
        let alone = ALONE.lock().await;
        let debug = debug();
        let server = Running::start(Server::new().service(&saying(busy)).routes(debug.routes())).await;
        // What the test before has dropped ends on another thread.
        idle(&server).await;
        Self { server, debug: Some(debug), callers: JoinSet::new(), _alone: alone }
    }

    /// The same with calls one after the other.
    pub(crate) async fn under_load() -> Self {
        let mut work = Self::start().await;
        let client = ChatClient::new(&Channel::new(&work.server.grpc_url()).unwrap());
        work.callers.spawn(async move {
            loop {
                client.say(&Context::background(), line("work")).await.unwrap();
            }
        });
        work
    }

    /// Stops the debug port, as a server does that begins to stop.
    pub(crate) async fn stop_debug(&mut self) {
        self.debug.take().unwrap().stop().await;
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/debug/{path}", self.server.http)
    }

    /// Waits until the index says that something is being recorded.
    pub(crate) async fn recording(&self) {
        soon(async {
            while !get(self.server.http, "/debug/pprof/").await.text().contains("is being recorded:") {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Waits until the index says that nothing is.
    pub(crate) async fn idle(&self) {
        idle(&self.server).await;
    }
}

async fn idle(server: &Running) {
    soon(async {
        while !get(server.http, "/debug/pprof/").await.text().contains("Nothing is being recorded") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
