//! The cache on a real Redis: one that is there, one that is not, one that never answers, and one that is killed.

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use kit::{
    Error,
    cache::{
        Cache, CacheConfig, Cached, Redis, Store,
        testing::{at, missing, redis},
    },
};
use tokio::{
    io::AsyncReadExt as _,
    net::TcpListener,
    sync::oneshot,
    task::yield_now,
    time::{Instant, timeout},
};

const MINUTE: Duration = Duration::from_secs(60);

/// A busy machine takes longer than a data centre does.
const PATIENCE: Duration = Duration::from_secs(10);

fn store(config: &CacheConfig) -> Redis {
    match config.open().unwrap() {
        Store::Redis(redis) => redis,
        other => panic!("{other:?}"),
    }
}

/// A Redis of the test's own, on a port that was free.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    async fn start(port: u16) -> Option<Self> {
        let folder = env::temp_dir();
        let port_text = port.to_string();
        let args = ["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"];
        let mut command = Command::new("redis-server");
        command.args(args).arg(folder).stdout(Stdio::piped()).stderr(Stdio::null());
        match command.spawn() {
            Ok(mut child) => {
                let said = BufReader::new(child.stdout.take().unwrap());
                let server = Self { child, port };
                let (ready, is_ready) = oneshot::channel();
                // It reads to the end: a pipe that is full would hold the server up.
                thread::spawn(move || {
                    let mut lines = said.lines().map_while(Result::ok);
                    if lines.any(|line| line.contains("Ready to accept connections")) {
                        let _ = ready.send(());
                    }
                    lines.for_each(drop);
                });
                let started = timeout(PATIENCE, is_ready).await.expect("redis-server starts in time");
                started.unwrap_or_else(|_| panic!("redis-server does not listen on {port}"));
                Some(server)
            }
            Err(error) => {
                missing("the program redis-server", &error);
                None
            }
        }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    fn kill(mut self) -> u16 {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.port
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

async fn get<C: Cache>(cached: &Cached<String, C>, key: &str, answer: &str) -> String {
    cached.get_or_load(key, || async { Ok::<_, Error>(answer.to_owned()) }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_does_all_that_a_cache_does() {
    let Some(config) = redis().await else { return };
    let redis = store(&config);
    assert_eq!(redis.fetch("a").await.unwrap(), None);
    redis.save("a", "1".into(), MINUTE).await.unwrap();
    redis.save("empty", "".into(), Duration::ZERO).await.unwrap();
    assert_eq!(redis.fetch("a").await.unwrap(), Some("1".into()));
    assert!(redis.contains("a").await.unwrap() && !redis.contains("b").await.unwrap());
    assert_eq!(redis.fetch_many(&["b", "a", "a"]).await.unwrap(), [None, Some("1".into()), Some("1".into())]);
    assert!(redis.fetch_many(&[]).await.unwrap().is_empty());
    assert!(!redis.save_if("a", None, "2".into(), MINUTE).await.unwrap(), "there is one");
    assert!(!redis.save_if("a", Some(b"0"), "2".into(), MINUTE).await.unwrap(), "it is another");
    assert!(!redis.save_if("b", Some(b""), "2".into(), MINUTE).await.unwrap(), "there is none");
    assert!(redis.save_if("a", Some(b"1"), "2".into(), MINUTE).await.unwrap());
    assert!(redis.save_if("b", None, vec![0, 255, 10].into(), Duration::MAX).await.unwrap());
    assert_eq!(redis.fetch_many(&["a", "b"]).await.unwrap(), [Some("2".into()), Some(vec![0, 255, 10].into())]);
    assert!(redis.expire("a", Duration::from_millis(1)).await.unwrap() && !redis.expire("c", MINUTE).await.unwrap());
    let deadline = Instant::now() + PATIENCE;
    while redis.contains("a").await.unwrap() {
        assert!(Instant::now() < deadline, "it does not expire");
    }
    assert!(redis.delete("b").await.unwrap() && !redis.delete("b").await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_takes_what_has_the_prefix_and_nothing_else() {
    let Some(config) = redis().await else { return };
    // Characters that mean something in a pattern stand for themselves.
    let ours = CacheConfig { prefix: format!("{}*[a]?", config.prefix), ..config.clone() };
    let others = CacheConfig { prefix: format!("{}xa?", config.prefix), ..config };
    let (ours, others) = (store(&ours), store(&others));
    for number in 0..1200 {
        ours.save(&number.to_string(), "1".into(), MINUTE).await.unwrap();
    }
    others.save("1", "1".into(), MINUTE).await.unwrap();
    ours.flush().await.unwrap();
    for number in 0..1200 {
        assert!(!ours.contains(&number.to_string()).await.unwrap());
    }
    assert!(others.contains("1").await.unwrap());
    others.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_there_for_another_process_until_it_changes() {
    let Some(config) = redis().await else { return };
    let ours: Cached<String, Redis> = Cached::new("answers:", store(&config), &config);
    let theirs: Cached<String, Redis> = Cached::new("answers:", store(&config), &config);
    assert_eq!(get(&ours, "a", "old").await, "old");
    assert_eq!(get(&theirs, "a", "not loaded").await, "old");
    ours.change("a").done().await;
    assert_eq!(get(&theirs, "a", "new").await, "new");
    assert_eq!(get(&ours, "a", "not loaded").await, "new");

    // What the one was loading when the other changed it is not saved.
    let load = || async {
        ours.change("b").done().await;
        Ok::<_, Error>("old".to_owned())
    };
    assert_eq!(theirs.get_or_load("b", load).await.unwrap(), "old");
    assert_eq!(get(&theirs, "b", "new").await, "new");
    assert_eq!(get(&ours, "b", "not loaded").await, "new");
    assert_eq!((theirs.figures().overtaken, ours.figures().errors, theirs.figures().errors), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_of_many_keys_load_each_once() {
    let Some(config) = redis().await else { return };
    let cached: Cached<String, Redis> = Cached::new("", store(&config), &config);
    let loads = AtomicUsize::new(0);
    let calls = (0..400).map(|number| {
        let (cached, loads) = (&cached, &loads);
        async move {
            let key = (number % 20).to_string();
            let load = || async {
                loads.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Error>(key.clone())
            };
            assert_eq!(cached.get_or_load(&key, load).await.unwrap(), key);
        }
    });
    futures_util::future::join_all(calls).await;
    assert_eq!(loads.load(Ordering::Relaxed), 20);
    let figures = cached.figures();
    assert_eq!((figures.loads, figures.errors), (20, 0), "{figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_stands_in_redis_is_a_miss_and_is_replaced() {
    let Some(config) = redis().await else { return };
    let cached: Cached<String, Redis> = Cached::new("", store(&config), &config);
    let client = redis_cli(&config.url);
    let key = format!("{}a", config.prefix);
    for command in [
        vec!["SET", &key, "plain text"],
        vec!["SET", &key, ""],
        vec!["RPUSH", &key, "a", "list"],
        vec!["HSET", &key, "a", "hash"],
    ] {
        client(&["DEL", &key]);
        client(&command);
        assert_eq!(get(&cached, "a", "ours").await, "ours", "{command:?}");
        assert_eq!(get(&cached, "a", "not loaded").await, "ours", "{command:?}");
    }
    let bytes = cached.store().fetch("a").await.unwrap().unwrap();
    let cut = bytes.slice(..bytes.len() - 1);
    cached.store().save("a", cut, MINUTE).await.unwrap();
    assert_eq!(get(&cached, "a", "whole again").await, "whole again");
    assert_eq!(cached.figures().errors, 0);
}

fn redis_cli(url: &str) -> impl Fn(&[&str]) {
    let url = url.to_owned();
    move |args: &[&str]| {
        let done = Command::new("redis-cli").arg("-u").arg(&url).args(args).output().expect("redis-cli can be run");
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success() && !said.contains("ERR"), "{args:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_redis_calls_load_and_do_not_wait_for_it() {
    let config = CacheConfig { rest: MINUTE, ..at(format!("redis://127.0.0.1:{}", free_port().await)) };
    let cached: Cached<String, Redis> = Cached::new("", store(&config), &config);
    for answer in ["1", "2", "3"] {
        assert_eq!(get(&cached, "a", answer).await, answer);
        cached.change("a").done().await;
    }
    let error = cached.store().fetch("a").await.unwrap_err();
    assert!(error.is_unavailable() && error.to_string().contains("127.0.0.1"), "{error}");
    assert_eq!(cached.figures().loads, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_never_answers_is_waited_for_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let accepted = tokio::spawn(async move {
        let mut connections = Vec::new();
        loop {
            connections.push(listener.accept().await.unwrap());
        }
    });
    let config = CacheConfig { timeout: Duration::from_millis(50), rest: MINUTE, ..at(url) };
    let cached: Cached<String, Redis> = Cached::new("", store(&config), &config);
    // All of the first ones wait for it, at most for its timeout; that they end at all is the test.
    let calls = (0..100).map(|_| get(&cached, "a", "loaded"));
    let answers = timeout(PATIENCE, futures_util::future::join_all(calls)).await.unwrap();
    assert!(answers.iter().all(|answer| answer == "loaded"));
    let error = cached.store().fetch("a").await.unwrap_err();
    assert!(error.to_string().contains("not asked just now"), "{error}");
    accepted.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_up_in_the_middle_is_no_error_of_the_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let rude = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 16];
            let _ = stream.read(&mut buffer).await;
        }
    });
    let config = CacheConfig { rest: Duration::from_millis(1), ..at(url) };
    let cached: Cached<String, Redis> = Cached::new("", store(&config), &config);
    for answer in ["1", "2", "3"] {
        assert_eq!(timeout(PATIENCE, get(&cached, "a", answer)).await.unwrap(), answer);
    }
    rude.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_and_comes_back_is_used_again() {
    let Some(server) = Server::start(free_port().await).await else { return };
    let config = CacheConfig { rest: Duration::from_millis(1), ..at(server.url()) };
    let cached: Cached<String, Redis> = Cached::new("", store(&config), &config);
    assert_eq!(get(&cached, "a", "kept").await, "kept");
    assert_eq!(get(&cached, "a", "not loaded").await, "kept");
    let port = server.kill();
    assert_eq!(get(&cached, "a", "loaded").await, "loaded");
    cached.change("a").done().await;
    assert_eq!(get(&cached, "a", "new").await, "new");
    let Some(_server) = Server::start(port).await else { return };
    let deadline = Instant::now() + PATIENCE;
    while cached.figures().hits < 2 {
        assert!(Instant::now() < deadline, "it is not used again: {:?}", cached.figures());
        assert_eq!(get(&cached, "a", "newer").await, "newer");
        yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_while_redis_stands_still_is_told_when_it_goes_on() {
    let Some(server) = Server::start(free_port().await).await else { return };
    let config = CacheConfig { rest: Duration::from_millis(1), ..at(server.url()) };
    let short = CacheConfig { timeout: Duration::from_millis(100), ..config.clone() };
    let ours: Cached<String, Redis> = Cached::new("", store(&short), &short);
    let theirs: Cached<String, Redis> = Cached::new("", store(&config), &config);
    assert_eq!(get(&theirs, "a", "old").await, "old");
    server.signal("STOP");
    ours.change("a").done().await;
    assert_eq!(get(&ours, "a", "new").await, "new");
    server.signal("CONT");
    assert_eq!(get(&ours, "a", "new").await, "new");
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Whatever we ask for helps to tell it.
        get(&ours, "b", "another").await;
        if get(&theirs, "a", "new").await == "new" {
            return;
        }
        assert!(Instant::now() < deadline, "the old answer stays: {:?}", ours.figures());
        yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_asks_for_a_password_is_as_good_as_none() {
    let Some(server) = Server::start(free_port().await).await else { return };
    redis_cli(&server.url())(&["CONFIG", "SET", "requirepass", "secret"]);
    for url in [server.url(), server.url().replace("//", "//:wrong@")] {
        let config = at(url);
        let cached: Cached<String, Redis> = Cached::new("", store(&config), &config);
        assert_eq!(get(&cached, "a", "loaded").await, "loaded");
        let error = cached.store().fetch("a").await.unwrap_err();
        assert!(error.is_unavailable() && !error.to_string().contains("wrong@"), "{error}");
    }
    let config = at(server.url().replace("//", "//:secret@"));
    assert!(!format!("{config:?} {:?}", store(&config)).contains("secret"));
    let cached: Cached<String, Redis> = Cached::new("", store(&config), &config);
    assert_eq!(get(&cached, "a", "kept").await, "kept");
    assert_eq!(get(&cached, "a", "not loaded").await, "kept");
}
