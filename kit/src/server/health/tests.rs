//! Checks, on a clock that the tests hold.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize},
    time::Duration,
};

use tonic_health::pb::health_check_response::ServingStatus as Status;

use super::*;
use crate::Error;

const CONFIG: HealthConfig = HealthConfig {
    http: true,
    interval: Duration::from_secs(5),
    jitter: 0.0,
    timeout: Duration::from_secs(3),
    max_concurrent: 2,
};

const SERVICES: [&str; 2] = ["a.A", "b.B"];

/// A check that passes while its switch is on.
fn switched(name: &'static str) -> (Check, Arc<AtomicBool>) {
    let on = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&on);
    let check = Check::new(name, move || {
        let on = on.load(Ordering::Relaxed);
        async move { if on { Ok(()) } else { Err(Error::unavailable("off").with_log("on 10.0.0.1")) } }
    });
    (check, switch)
}

async fn start(checks: Vec<Check>) -> (Health, Monitoring, HealthReporter) {
    let (reporter, _service) = tonic_health::server::health_reporter();
    let health = Health::default();
    let services = SERVICES.to_vec();
    let monitor = Monitor::new(health.clone(), checks, CONFIG, reporter.clone(), services).await.unwrap();
    assert!(!health.is_ready(), "not before it serves");
    (health, monitor.start().await, reporter)
}

/// Lets the checks run that are due, and their results be told.
async fn pass(time: Duration) {
    sleep(time + Duration::from_millis(1)).await;
}

/// What gRPC health tells of a service.
async fn told(reporter: &HealthReporter, service: &str) -> Status {
    use tonic_health::pb::health_server::Health as _;
    let answers = tonic_health::server::HealthService::from_health_reporter(reporter.clone());
    let request = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
    answers.check(tonic::Request::new(request)).await.unwrap().into_inner().status()
}

#[tokio::test(start_paused = true)]
async fn without_checks_it_is_ready_when_it_serves() {
    let (health, mut monitoring, reporter) = start(Vec::new()).await;
    assert!(health.is_ready());
    for service in ["", "a.A", "b.B"] {
        assert_eq!(told(&reporter, service).await, Status::Serving);
    }
    monitoring.leave().await;
    assert!(!health.is_ready() && !health.is_serving("a.A"));
    for service in ["", "a.A", "b.B"] {
        assert_eq!(told(&reporter, service).await, Status::NotServing);
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_once_all_critical_checks_have_passed_and_as_long_as_they_do() {
    let ((one, one_on), (two, two_on), (extra, extra_on)) = (switched("one"), switched("two"), switched("extra"));
    let (health, _monitoring, reporter) = start(vec![one, two, extra.informational()]).await;
    assert_eq!(told(&reporter, "").await, Status::NotServing);
    one_on.store(true, Ordering::Relaxed);
    pass(CONFIG.interval).await;
    assert!(!health.is_ready());
    two_on.store(true, Ordering::Relaxed);
    pass(CONFIG.interval).await;
    assert!(health.is_ready(), "{health:?}");
    assert_eq!(told(&reporter, "").await, Status::Serving);
    let states: Vec<_> = health.checks().into_iter().map(|check| (check.name, check.critical, check.state)).collect();
    let failing = CheckState::Failing("off".to_owned());
    let passing = CheckState::Passing;
    assert_eq!(states, [("one", true, passing.clone()), ("two", true, passing.clone()), ("extra", false, failing)]);
    extra_on.store(true, Ordering::Relaxed);
    two_on.store(false, Ordering::Relaxed);
    pass(CONFIG.interval).await;
    assert!(!health.is_ready());
    assert_eq!(told(&reporter, "").await, Status::NotServing);
    assert_eq!(health.checks()[2].state, passing);
}

#[tokio::test(start_paused = true)]
async fn a_check_of_one_service_leaves_the_others_serving() {
    let (check, on) = switched("database of a");
    let (health, _monitoring, reporter) = start(vec![check.of("a.A")]).await;
    pass(Duration::ZERO).await;
    assert_eq!(told(&reporter, "a.A").await, Status::NotServing);
    assert_eq!(told(&reporter, "b.B").await, Status::Serving);
    assert!(!health.is_ready(), "the process is ready as a whole");
    on.store(true, Ordering::Relaxed);
    pass(CONFIG.interval).await;
    assert_eq!((told(&reporter, "a.A").await, health.is_ready()), (Status::Serving, true));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_or_panics_has_failed_and_is_run_again() {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let moody = Check::new("moody", move || {
        let run = count.fetch_add(1, Ordering::Relaxed);
        assert_ne!(run, 1, "a panic before there is a future");
        async move {
            match run {
                0 => std::future::pending().await,
                2 => panic!("a panic in the future"),
                _ => Ok(()),
            }
        }
    });
    let (health, _monitoring, _) = start(vec![moody]).await;
    pass(CONFIG.timeout).await;
    assert_eq!(health.checks()[0].state, CheckState::Failing("no answer within 3s".to_owned()));
    for _ in 0..2 {
        pass(CONFIG.interval).await;
        assert!(matches!(&health.checks()[0].state, CheckState::Failing(text) if text.contains("failed to run")));
    }
    pass(CONFIG.interval).await;
    assert!(health.is_ready());
    assert_eq!(runs.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn few_checks_run_at_a_time() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let checks = (0..6).map(|_| {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        Check::new("slow", move || {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                sleep(Duration::from_secs(1)).await;
                running.fetch_sub(1, Ordering::Relaxed);
                Ok(())
            }
        })
    });
    let (health, _monitoring, _) = start(checks.collect()).await;
    pass(Duration::from_secs(3)).await;
    assert_eq!((health.is_ready(), most.load(Ordering::Relaxed)), (true, 2));
}

#[tokio::test(start_paused = true)]
async fn any_number_of_probes_runs_no_check() {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let check = Check::new("database", move || {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }
    });
    let (health, _monitoring, reporter) = start(vec![check]).await;
    pass(Duration::ZERO).await;
    for _ in 0..1000 {
        assert_eq!(probe(&health, "GET", "/readyz?verbose").0, 200);
        assert_eq!(told(&reporter, "").await, Status::Serving);
    }
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_checks() {
    let (check, on) = switched("database");
    on.store(true, Ordering::Relaxed);
    let (health, mut monitoring, reporter) = start(vec![check]).await;
    pass(Duration::ZERO).await;
    assert!(health.is_ready());
    monitoring.leave().await;
    pass(CONFIG.interval * 3).await;
    assert!(!health.is_ready());
    assert_eq!(told(&reporter, "").await, Status::NotServing);
    assert!(Arc::strong_count(&on) == 2, "the check is there to be told of, and nobody runs it");
}

#[tokio::test]
async fn a_check_of_an_unknown_service_is_an_error() {
    let (reporter, _service) = tonic_health::server::health_reporter();
    let check = Check::new("database", || async { Ok(()) }).of("a.A").of("c.C");
    let monitor = Monitor::new(Health::default(), vec![check], CONFIG, reporter, SERVICES.to_vec()).await;
    let error = monitor.map(drop).unwrap_err();
    assert!(error.message().contains("\"c.C\"") && error.message().contains("\"database\""), "{error}");
}

/// Status and body.
fn probe(health: &Health, method: &str, target: &str) -> (u16, http::HeaderMap, crate::transport::http::Body) {
    let request = http::Request::builder().method(method).uri(target).body(crate::transport::http::Body::empty());
    let (head, body) = health.answer(&request.unwrap()).unwrap().into_parts();
    (head.status.as_u16(), head.headers, body)
}

async fn text(health: &Health, target: &str) -> (u16, String) {
    use http_body_util::BodyExt as _;
    let (status, _, body) = probe(health, "GET", target);
    (status, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn probes_tell_the_phase_and_no_secrets() {
    let health = Health::default();
    assert_eq!(text(&health, "/readyz").await, (503, "starting\n".to_owned()));
    assert_eq!(text(&health, "/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(text(&health, "/ping").await, (200, "pong\n".to_owned()));

    let ((database, on), (comments, _)) = (switched("database"), switched("comments"));
    let (health, mut monitoring, _) = start(vec![database.of("a.A"), comments.informational()]).await;
    let (status, pending) = text(&health, "/readyz?verbose").await;
    assert_eq!((status, pending.starts_with("[?] database of a.A: not run yet\n")), (503, true), "{pending}");
    pass(Duration::ZERO).await;
    let expected = "[-] database of a.A: off\n[-] comments (informational): off\nnot ready\n";
    assert_eq!(text(&health, "/readyz?verbose").await, (503, expected.to_owned()));
    assert_eq!(text(&health, "/readyz").await, (503, "not ready\n".to_owned()));
    on.store(true, Ordering::Relaxed);
    pass(CONFIG.interval).await;
    let expected = "[+] database of a.A: ok\n[-] comments (informational): off\nready\n";
    assert_eq!(text(&health, "/readyz?a=b&verbose=1").await, (200, expected.to_owned()));
    monitoring.leave().await;
    assert_eq!(text(&health, "/readyz").await, (503, "stopping\n".to_owned()));
    assert_eq!(text(&health, "/livez?verbose").await, (200, "ok\n".to_owned()), "a process that stops lives");

    assert_eq!(probe(&health, "HEAD", "/readyz").0, 503);
    let (status, headers, _) = probe(&health, "POST", "/ping");
    assert_eq!((status, headers["allow"].to_str().unwrap()), (405, "GET, HEAD"));
    assert!(
        health.answer(&http::Request::get("/ready").body(crate::transport::http::Body::empty()).unwrap()).is_none()
    );
}
