//! Rate limits over real sockets, and shared by a real Redis: one that is there, one that is not, one that never answers.

use std::{process::Command, time::Duration};

use kit::{
    Code, Context, Error,
    cache::testing::{at, missing, redis},
    client::Channel,
    layer::rate_limit::{
        RateLimit, RateLimitConfig, RateLimitHeaders, RateLimitKey, RateLimits, SharedConfig, WhenAway,
    },
};
use tokio::{
    io::AsyncReadExt as _,
    net::TcpListener,
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::{
    chat::proto::chat::{Chat, ChatClient, CountRequest},
    support::{Log, Running, line, post, request, room, soon},
};

const MINUTE: Duration = Duration::from_secs(60);

/// A busy machine takes longer than a data centre does.
const PATIENCE: Duration = Duration::from_secs(10);

/// So slow that no slot is free again while a test runs.
fn one_an_hour() -> RateLimitConfig {
    RateLimitConfig::of(1, 60 * MINUTE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_callers_are_told_how_long_to_wait_and_what_is_left() {
    let config = one_an_hour().with_burst(2).with_headers(RateLimitHeaders::All);
    let server = Running::serve(&room().with(&RateLimits::new(&config).unwrap())).await;
    let say = || post(server.http, "/v1/say", r#"{"text":"a"}"#);
    for left in ["1", "0"] {
        let answer = say().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("ratelimit-limit"), Some("2"));
        assert_eq!(answer.header("ratelimit-remaining"), Some(left));
        assert_eq!(answer.header("retry-after"), None);
    }
    let refused = say().await;
    assert_eq!(refused.status, 429);
    let json = refused.json();
    assert_eq!((&json["code"], &json["message"]), (&8.into(), &"rate limit exceeded".into()));
    assert!(refused.text().contains("RATE_LIMITED"), "{}", refused.text());
    assert_eq!(refused.header("ratelimit-remaining"), Some("0"));
    let seconds = |name| refused.header(name).unwrap().parse::<u64>().unwrap();
    assert!((3500..=3600).contains(&seconds("retry-after")), "{refused:?}");
    assert!((7100..=7200).contains(&seconds("ratelimit-reset")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_door_leads_to_the_same_limit_of_a_method() {
    let server = Running::serve(&room().with(&RateLimits::new(&one_an_hour()).unwrap())).await;
    let client = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    let cx = Context::background();
    client.say(&cx, line("a")).await.unwrap();
    let refused = client.say(&cx, line("a")).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::ResourceExhausted, "rate limit exceeded"));
    assert_eq!(refused.reason().unwrap().reason, "RATE_LIMITED");
    assert!(refused.retry_delay().unwrap() > 58 * MINUTE);
    assert_eq!(refused.received_metadata().get("ratelimit-limit"), Some("1"));
    assert_eq!(post(server.http, "/v1/say", r#"{"text":"a"}"#).await.status, 429);

    // A stream is one call, and another method has its own.
    let mut numbers = client.count(&cx, CountRequest { to: 3 }).await.unwrap();
    while numbers.message().await.unwrap().is_some() {}
    let refused = match client.count(&cx, CountRequest { to: 3 }).await {
        Ok(mut numbers) => numbers.message().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_told_apart_by_what_they_send_and_where_they_are() {
    let key = RateLimitKey::Header("x-api-key".to_owned());
    let server = Running::serve(&room().with(&RateLimits::new(&one_an_hour().with_key(key)).unwrap())).await;
    let say = |key: &str| {
        let header = format!("x-api-key: {key}");
        async move {
            let headers = ["content-type: application/json", header.as_str()];
            request(server.http, "POST", "/v1/say", &headers, br#"{"text":"a"}"#).await.status
        }
    };
    assert_eq!([say("a").await, say("a").await, say("b").await], [200, 429, 200]);

    let limits = RateLimits::new(&one_an_hour().with_key(RateLimitKey::Peer)).unwrap();
    let server = Running::serve(&room().with(&limits)).await;
    let say = || async { post(server.http, "/v1/say", r#"{"text":"a"}"#).await.status };
    // Another connection, another port, the same address.
    assert_eq!([say().await, say().await], [200, 429]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_limits_itself_and_passes_nothing_of_it_on() {
    let server = Running::serve(&room()).await;
    let limits = RateLimits::new(&one_an_hour()).unwrap().without_headers();
    let client = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap()).with(&limits);
    client.say(&Context::background(), line("a")).await.unwrap();
    let refused = client.say(&Context::background(), line("a")).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.metadata().is_empty());
}

/// The Redis of this machine, with keys that no other test has.
async fn shared() -> Option<SharedConfig> {
    let config = redis().await?;
    let mut shared = SharedConfig::at(config.url);
    (shared.prefix, shared.timeout) = (config.prefix, PATIENCE);
    Some(shared)
}

async fn burst(limit: &RateLimit, cx: &Context) -> usize {
    let mut admitted = 0;
    while limit.admit(cx).await.is_ok() {
        admitted += 1;
    }
    admitted
}

fn with_key(value: &str) -> Context {
    let mut cx = Context::background();
    cx.metadata_mut().insert("x-api-key", value).unwrap();
    cx
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_one_limit() {
    let Some(shared) = shared().await else { return };
    let config = one_an_hour().with_burst(20).with_shared(shared);
    // Handles of their own, as two processes have them.
    let (ours, theirs) = (RateLimit::new(&config).unwrap(), RateLimit::new(&config).unwrap());
    let cx = Context::background();
    let calls = (0..40).map(|number| {
        let (limit, cx) = (if number % 2 == 0 { ours.clone() } else { theirs.clone() }, cx.clone());
        tokio::spawn(async move { limit.admit(&cx).await })
    });
    let outcomes = futures_util::future::join_all(calls).await;
    let (admitted, refused): (Vec<_>, Vec<Result<(), Error>>) =
        outcomes.into_iter().map(Result::unwrap).partition(Result::is_ok);
    assert_eq!((admitted.len(), refused.len()), (20, 20));
    let delay = refused.into_iter().filter_map(Result::err).filter_map(|error| error.retry_delay()).max().unwrap();
    assert!(delay <= 60 * MINUTE && delay > 58 * MINUTE, "{delay:?}");
    for limit in [ours, theirs] {
        limit.admit(&cx).await.unwrap_err();
        let figures = limit.figures();
        assert_eq!((figures.shared_errors, figures.shared_fallbacks), (0, 0));
        assert_eq!(limit.remaining(), 0, "it knows what Redis said last");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_limit_frees_slots_by_the_clock_of_redis() {
    let Some(shared) = shared().await else { return };
    let limit =
        RateLimit::new(&RateLimitConfig::of(50, Duration::from_secs(1)).with_burst(1).with_shared(shared)).unwrap();
    let cx = Context::background();
    let start = Instant::now();
    limit.admit(&cx).await.unwrap();
    let mut admitted = 0;
    soon(async {
        while admitted < 5 {
            admitted += u32::from(limit.admit(&cx).await.is_ok());
        }
    })
    .await;
    assert!(start.elapsed() >= Duration::from_millis(90), "five slots of 20 ms: {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_and_keys_are_told_apart_in_redis_and_no_key_can_be_read_there() {
    let Some(shared) = shared().await else { return };
    let (url, prefix) = (shared.url.clone(), shared.prefix.clone());
    let config = one_an_hour().with_key(RateLimitKey::Header("x-api-key".to_owned())).with_shared(shared);
    let limits = RateLimits::new(&config).unwrap();
    let (ours, theirs) = (room().with(&limits), room().with(&RateLimits::new(&config).unwrap()));
    let cx = |key: &str| with_key(key);
    let say = kit::Request::new;
    ours.say.call(say(cx("secret"), line("a"))).await.unwrap();
    theirs.say.call(say(cx("secret"), line("a"))).await.unwrap_err();
    theirs.say.call(say(cx("other"), line("a"))).await.unwrap();
    let dictate = kit::Request::new(cx("secret"), kit::Streaming::from_iter([line("a")]));
    theirs.dictate.call(dictate).await.unwrap();

    let pattern = format!("{prefix}*");
    let found = match Command::new("redis-cli").args(["-u", &url, "--scan", "--pattern", &pattern]).output() {
        Ok(done) => String::from_utf8_lossy(&done.stdout).into_owned(),
        Err(error) => return missing("the program redis-cli", &error),
    };
    let keys: Vec<_> = found.lines().collect();
    assert_eq!(keys.len(), 3, "{found}");
    assert!(keys.iter().all(|key| key.contains("chat.Chat/") && !key.contains("secret")), "{found}");
    for key in keys {
        let done = Command::new("redis-cli").args(["-u", &url, "PTTL", key]).output().unwrap();
        let ttl: i64 = String::from_utf8_lossy(&done.stdout).trim().parse().unwrap();
        assert!((1..=3_600_001).contains(&ttl), "it is gone when the debt is paid: {ttl}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_stands_in_redis_locks_nobody_out() {
    let Some(shared) = shared().await else { return };
    let (url, name) = (shared.url.clone(), format!("{}:all", shared.prefix));
    let config = RateLimitConfig::of(1, Duration::from_millis(1)).with_shared(shared);
    let limit = RateLimit::new(&config).unwrap();
    let cx = Context::background();
    for value in ["no number", "", "-5", "nan", "inf", "-inf", "1e300", "99999999999999999999"] {
        let set = Command::new("redis-cli").args(["-u", &url, "SET", &name, value]).output();
        if let Err(error) = set {
            return missing("the program redis-cli", &error);
        }
        // What can't be a debt of today is at most the largest one, which is paid in a millisecond.
        soon(async { while limit.admit(&cx).await.is_err() {} }).await;
    }
    assert_eq!(limit.figures().shared_errors, 0);
    // A list is refused by Redis: this process decides.
    for args in [vec!["DEL", &name], vec!["RPUSH", &name, "a"]] {
        assert!(Command::new("redis-cli").args(["-u", &url]).args(args).status().unwrap().success());
    }
    soon(async { while limit.admit(&cx).await.is_err() {} }).await;
    assert!(limit.figures().shared_errors > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_redis_this_process_limits_or_all_are_admitted() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut shared = SharedConfig::at(format!("redis://{free}"));
    shared.rest = MINUTE;
    let config = one_an_hour().with_burst(3).with_shared(shared.clone());
    let limit = RateLimit::new(&config).unwrap();
    assert_eq!(burst(&limit, &Context::background()).await, 3);
    let figures = limit.figures();
    assert_eq!((figures.shared_errors, figures.shared_fallbacks), (1, 4), "a dead Redis is asked once in a rest");

    shared.when_away = WhenAway::Open;
    let limit = RateLimit::new(&config.with_shared(shared)).unwrap();
    for _ in 0..100 {
        limit.admit(&Context::background()).await.unwrap();
    }
    assert_eq!((limit.figures().shared_errors, limit.figures().shared_fallbacks), (1, 100));
}

/// Accepts and reads, and never answers; tells of each connection.
async fn silent() -> (String, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel(100);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let _ = tell.send(()).await;
                let mut buffer = [0; 1024];
                while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
            });
        }
    });
    (url, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stalls_is_waited_for_once_and_told_of_once() {
    let log = Log::start();
    let (url, mut connections) = silent().await;
    let mut shared = SharedConfig::at(&url);
    shared.rest = MINUTE;
    let limit = RateLimit::new(&one_an_hour().with_burst(100).with_shared(shared)).unwrap();
    let cx = Context::background();
    let start = Instant::now();
    limit.admit(&cx).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(50), "the default timeout: {:?}", start.elapsed());
    soon(connections.recv()).await.unwrap();
    // None of these waits: all together are done within what a few timeouts would take.
    let rest = async {
        for _ in 0..99 {
            limit.admit(&cx).await.unwrap();
        }
    };
    timeout(PATIENCE, rest).await.unwrap();
    limit.admit(&cx).await.unwrap_err();
    let figures = limit.figures();
    assert_eq!((figures.shared_errors, figures.shared_fallbacks), (1, 101));
    assert!(connections.try_recv().is_err(), "it was not asked again");
    let told = log.with("the store of shared rate limits is away: its when_away holds until it is back");
    let server = format!("{url}/0");
    let lines = told.iter().filter(|line| line["fields"]["server"] == server || line["server"] == server).count();
    assert_eq!(lines, 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_dropped_while_redis_is_asked_leaves_nothing_behind() {
    let Some(shared) = shared().await else { return };
    let limits = RateLimits::new(&one_an_hour().with_burst(1000).with_shared(shared)).unwrap();
    let room = room().with(&limits);
    for polls in 0..6 {
        let mut call = Box::pin(room.say.call(kit::Request::new(Context::background(), line("a"))));
        for _ in 0..polls {
            if futures_util::poll!(&mut call).is_ready() {
                break;
            }
        }
        drop(call);
        // The next one is answered as ever.
        room.say.call(kit::Request::new(Context::background(), line("a"))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_limit_can_be_switched_on_and_off_while_it_runs() {
    let Some(shared) = shared().await else { return };
    let cx = Context::background();
    let config = one_an_hour().with_burst(2);
    let limit = RateLimit::new(&config).unwrap();
    assert_eq!(burst(&limit, &cx).await, 2);
    limit.reconfigure(&config.clone().with_shared(shared)).unwrap();
    assert_eq!(burst(&limit, &cx).await, 2, "nothing is owed in Redis");
    limit.reconfigure(&config).unwrap();
    assert_eq!(burst(&limit, &cx).await, 0);
    let broken = config.with_shared(SharedConfig::at(at("nowhere").url));
    assert_eq!(limit.reconfigure(&broken).unwrap_err().message(), "rate_limit.shared.url must be redis://host:6379");
}
