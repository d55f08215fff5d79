//! The debug ports of both services, in this process and in that of the program.

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use bookcommon::testing::{Process, UNLIMITED, http};
use kit::sql::testing::Folder;
use serde_json::{Value, json};

use crate::support::{Demo, get};

const PROGRAM: &str = env!("CARGO_BIN_EXE_bookinfo");
const FREE: &str = "127.0.0.1:0";

/// The program on free ports, and where it is.
struct Program {
    process: Process,
    details: String,
    comments: String,
    /// The debug ports of details and comments, those that could be had.
    debug: Vec<String>,
    /// What it wrote before it said where it is.
    lines: Vec<String>,
}

impl Program {
    fn start(env: &[(&str, &str)]) -> Self {
        let mut all = vec![("BOOKDETAILS_TELEMETRY_SPANS_TO", "none"), ("BOOKCOMMENTS_TELEMETRY_SPANS_TO", "none")];
        for name in [
            "BOOKDETAILS_HTTP_ADDR",
            "BOOKDETAILS_GRPC_ADDR",
            "BOOKDETAILS_TELEMETRY_DEBUG_ADDR",
            "BOOKDETAILS_TELEMETRY_METRICS_ADDR",
            "BOOKCOMMENTS_HTTP_ADDR",
            "BOOKCOMMENTS_GRPC_ADDR",
            "BOOKCOMMENTS_TELEMETRY_DEBUG_ADDR",
            "BOOKCOMMENTS_TELEMETRY_METRICS_ADDR",
        ] {
            all.push((name, FREE));
        }
        all.extend(UNLIMITED);
        all.extend(env);
        let process = Process::spawn(PROGRAM, &[], &all);
        let lines = process.lines_until("v1/watch");
        let after = |line: &str, mark: &str| {
            let (_, rest) = line.split_once(mark)?;
            rest.split(['/', ' ']).next().map(str::to_owned)
        };
        let serves = |name: &str| {
            let line = lines.iter().find(|line| line.contains(name) && line.contains(" gRPC "));
            after(line.expect("it says where it is"), "http://").unwrap()
        };
        let (details, comments) = (serves("  details "), serves("  comments "));
        let debug = lines.iter().filter_map(|line| after(line, "debug http://")).collect();
        Self { process, details, comments, debug, lines }
    }

    fn stop(self) {
        assert_eq!(self.process.stop("TERM"), Some(0));
    }
}

fn body(answer: &bookcommon::testing::Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("no JSON: {answer:?}"))
}

/// The names of the layers around a method.
fn layers(stack: &Value, side: &str, service: &str, method: &str) -> Vec<String> {
    let is = |one: &&Value| one["side"] == side && one["service"] == service && one["method"] == method;
    let one = stack["methods"].as_array().unwrap().iter().find(is).unwrap_or_else(|| panic!("no {method}: {stack:#}"));
    one["layers"].as_array().unwrap().iter().map(|layer| layer["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_show_what_is_inside() {
    let demo = Demo::start(|_| {}).await;
    let (details, comments) = (demo.addresses.details_debug.unwrap(), demo.addresses.comments_debug.unwrap());
    assert_eq!(get(demo.addresses.details_http, "/v1/detail?id=1", &[]).await.status, 200);
    for (port, own) in [(details, "details"), (comments, "comments")] {
        for page in ["", "charts/", "stack", "config", "log", "tasks", "vars", "pprof/"] {
            let answer = get(port, &format!("/debug/{page}"), &["accept: text/html"]).await;
            assert_eq!(answer.status, 200, "{page}: {answer:?}");
            assert!(!page.is_empty() || answer.body.contains(own), "{answer:?}");
        }
        let vars = body(&get(port, "/debug/vars", &[]).await);
        assert!(vars["service"] == own && vars["memory"]["resident_bytes"].as_u64() > Some(0), "{vars:#}");
        let tasks = get(port, "/debug/tasks?format=json", &[]).await;
        assert!(body(&tasks).is_object(), "{tasks:?}");
    }

    let stack = body(&get(details, "/debug/stack?format=json", &[]).await);
    let standard = ["trace", "metrics", "access_log", "report", "recover", "timeout", "bbr"];
    assert_eq!(layers(&stack, "server", "details.BookDetails", "Detail"), [&standard[..], &["slow_calls"]].concat());
    assert_eq!(
        layers(&stack, "client", "comments.BookComments", "Get"),
        ["trace", "metrics", "timeout", "retry", "throttle", "breaker"]
    );
    let stack = body(&get(comments, "/debug/stack?format=json", &[]).await);
    for method in ["Get", "Post", "Watch"] {
        assert_eq!(layers(&stack, "server", "comments.BookComments", method), standard, "{method}");
    }
    demo.stop().await;
}

#[test]
fn settings_are_shown_with_their_source_and_without_secrets() {
    // Nobody is there: the service starts, and waits for it.
    let url = "mysql://books:hunter2@127.0.0.1:9/books";
    let program = Program::start(&[("BOOKDETAILS_DATABASE_URL", url), ("BOOKDETAILS_SLOW_CALL", "250ms")]);
    let debug = &program.debug[0];
    let shown = http(debug, "GET", "/debug/config?format=json", "");
    let settings = body(&shown);
    let entry = |key: &str| {
        let mut entries = settings["settings"].as_array().unwrap().iter();
        entries.find(|entry| entry["key"] == key).unwrap_or_else(|| panic!("no {key}: {settings:#}")).clone()
    };
    let url = entry("database.url");
    assert_eq!(url["origin"], "env BOOKDETAILS_DATABASE_URL");
    assert!(url["value"].as_str().unwrap().contains("127.0.0.1:9"), "{url}");
    assert_eq!(
        (&entry("slow_call")["value"], &entry("server.drain_timeout")["origin"]),
        (&json!("250ms"), &json!("default"))
    );
    let page = http(debug, "GET", "/debug/config", "");
    assert!(!shown.body.contains("hunter2") && !page.body.contains("hunter2"), "{}", shown.body);
    assert!(program.lines.iter().all(|line| !line.contains("hunter2")), "{:#?}", program.lines);
    program.stop();
}

#[test]
fn the_level_of_the_log_is_changed_while_it_runs() {
    let program = Program::start(&[]);
    let [details, comments] = program.debug.as_slice() else { panic!("{:?}", program.lines) };
    let level = |port: &str| http(port, "GET", "/debug/log", "").body.trim().to_owned();
    assert_eq!((level(details), level(comments)), ("info".to_owned(), "info".to_owned()));
    let call = |id: &str| {
        let request = format!("GET /v1/detail?id=1 HTTP/1.0\r\nhost: a\r\nx-request-id: {id}\r\n\r\n");
        assert_eq!(bookcommon::testing::exchange(&program.details, request.as_bytes()).status, 200);
    };
    let answer = http(details, "PUT", "/debug/log", r#"{"level": "warn", "for": "10m"}"#);
    assert_eq!((answer.status, body(&answer)), (200, json!({ "level": "warn", "for": "10m" })));
    // One process, one log.
    assert_eq!(level(comments), "warn");
    call("not-to-be-seen");
    assert_eq!(http(comments, "PUT", "/debug/log", r#"{"level": "info"}"#).status, 200);
    call("to-be-seen");
    let lines = program.process.lines_until("to-be-seen");
    assert!(!lines.iter().any(|line| line.contains("not-to-be-seen")), "{lines:#?}");
    let answer = http(details, "PUT", "/debug/log", r#"{"level": "info,kit=loud"}"#);
    assert!(answer.status == 400 && level(details) == "info", "{answer:?}");
    program.stop();
}

#[test]
fn what_is_logged_is_in_the_file_too() {
    let mut program = Program::start(&[]);
    assert_eq!(http(&program.comments, "GET", "/v1/get?id=1", "").status, 200);
    program.process.signal("TERM");
    assert_eq!(program.process.wait(), Some(0));
    let log = std::fs::read_to_string(program.process.folder().path("runtime/bookinfo.log")).unwrap();
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
    assert!(log.contains("\"kit::access\"") && log.contains("\"stopped\""), "{log}");
}

#[test]
fn a_debug_or_metrics_port_that_is_taken_is_told_and_the_service_goes_on() {
    let taken = [(); 2].map(|()| std::net::TcpListener::bind(FREE).unwrap());
    let [debug, metrics] = [0, 1].map(|n: usize| taken[n].local_addr().unwrap().to_string());
    let program = Program::start(&[
        ("BOOKDETAILS_TELEMETRY_DEBUG_ADDR", &debug),
        ("BOOKCOMMENTS_TELEMETRY_METRICS_ADDR", &metrics),
    ]);
    for (port, addr) in [("metrics", &metrics), ("debug", &debug)] {
        let told = format!("goes on without its {port} port");
        // The log is written beside what the program prints; so it may come later.
        let before = program.lines.iter().find(|line| line.contains(&told)).cloned();
        let line = before.unwrap_or_else(|| program.process.line(&told));
        assert!(line.contains(addr.as_str()) && line.contains("\"ERROR\""), "{line}");
    }
    assert_eq!(program.debug.len(), 1, "the one that it has is told");
    assert_eq!(http(&program.details, "GET", "/v1/detail?id=1", "").status, 200);
    assert_eq!(http(&program.comments, "GET", "/readyz", "").status, 200);
    program.stop();
}

/// Calls without an end, until it is dropped.
struct Load {
    over: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(addr: &str) -> Self {
        let over = Arc::<AtomicBool>::default();
        let callers = (0..2).map(|_| {
            let (over, addr) = (Arc::clone(&over), addr.to_owned());
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(http(&addr, "GET", "/v1/detail?id=1", "").status, 200);
                }
            })
        });
        let callers = callers.collect();
        Self { over, callers }
    }

    /// All of them were answered.
    fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        self.callers.into_iter().for_each(|caller| caller.join().unwrap());
    }
}

/// What `go tool pprof -top` says of a profile; `None` where there is no such program.
#[allow(clippy::print_stderr, reason = "who runs the tests is told what was not tested")]
fn top(options: &[&str], url: &str) -> Option<String> {
    let home = Folder::new();
    std::fs::create_dir_all(home.path("")).unwrap();
    let mut go = Command::new("go");
    go.args(["tool", "pprof", "-top", "-cum", "-nodecount=1000"]).args(options).arg(url);
    go.env("HOME", home.path("")).env("PPROF_TMPDIR", home.path("")).stdin(Stdio::null());
    let output = match go.output() {
        Ok(output) => output,
        Err(error) => {
            let required = std::env::var("KIT_TEST_SERVICES").is_ok_and(|value| value == "required");
            assert!(!required, "the test needs `go` ({error}): apt-get install golang-go");
            eprintln!("skipped: there is no `go` ({error}); apt-get install golang-go");
            return None;
        }
    };
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}\n{errors}");
    Some(text.into_owned())
}

#[test]
fn go_tool_pprof_shows_the_functions_of_the_program() {
    let program = Program::start(&[]);
    let debug = &program.debug[0];
    let load = Load::start(&program.details);
    for (options, profile, kind) in [
        (&[][..], "profile?seconds=2", "Type: cpu"),
        (&["-sample_index=inuse_space"], "heap", "Type: inuse_space"),
        (&["-sample_index=alloc_space"], "heap", "Type: alloc_space"),
        (&["-sample_index=alloc_objects"], "allocs", "Type: alloc_objects"),
    ] {
        let Some(text) = top(options, &format!("http://{debug}/debug/pprof/{profile}")) else { break };
        assert!(text.contains(kind), "{profile}: {text}");
        // What is in use was allocated at the start, or by whatever runs at the moment.
        let names: &[&str] = if kind.contains("inuse") { &["kit::", "bookinfo", "tokio::"] } else { &["kit::"] };
        assert!(names.iter().any(|name| text.contains(name)), "{profile}: {text}");
    }

    // Of two at a time one is told to wait.
    let ask = || {
        let debug = debug.clone();
        thread::spawn(move || http(&debug, "GET", "/debug/pprof/profile?seconds=5", ""))
    };
    let mut answers = [ask(), ask()].map(|asked| asked.join().unwrap());
    answers.sort_by_key(|answer| answer.status);
    assert_eq!([200, 409], [answers[0].status, answers[1].status], "{}", answers[1].body);
    assert!(answers[1].head.contains("retry-after: "), "{:?}", answers[1]);
    load.stop();
    program.stop();
}
