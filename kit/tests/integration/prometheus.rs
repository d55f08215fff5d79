//! A Prometheus of its own for a test: Debian's package `prometheus`, on a free port, with its data in a folder that goes with
//! it. Needs nothing else of the tests, so that other crates can include it by `#[path]`.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// Longer than anything takes here. It is no assertion: it makes a test fail that would hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a program is there. Where `KIT_TEST_SERVICES=required` asks for all of them, a missing one fails the test.
#[allow(clippy::print_stderr, reason = "who runs the tests is told what was not tested")]
pub(crate) fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).any(|path| path.join(program).is_file());
    let required = std::env::var("KIT_TEST_SERVICES").is_ok_and(|value| value == "required");
    assert!(found || !required, "the test needs `{program}`: apt-get install prometheus");
    if !found {
        eprintln!("skipped: there is no `{program}`; apt-get install prometheus");
    }
    found
}

/// A Prometheus that scrapes; it ends when it is dropped.
pub(crate) struct Prometheus {
    address: SocketAddr,
    process: Child,
    log: Arc<Mutex<Vec<String>>>,
    folder: PathBuf,
}

impl Prometheus {
    /// Starts one that scrapes `/metrics` of each target, twice a second; `None` when there is no such program here.
    pub(crate) async fn start(targets: &[(&str, SocketAddr)], flags: &[&str]) -> Option<Self> {
        if !has("prometheus") {
            return None;
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kit-prometheus-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut config = "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n".to_owned();
        for (job, address) in targets {
            config += &format!("- job_name: {job}\n  static_configs: [{{targets: [\"{address}\"]}}]\n");
        }
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let mut process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--log.format=json"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let listening = timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await.unwrap() {
                let event: Value = serde_json::from_str(&line).unwrap_or_default();
                log.lock().unwrap().push(line);
                if event["msg"] == "Listening on" {
                    return event["address"].as_str().unwrap().parse().ok();
                }
            }
            None
        });
        let Some(address) = listening.await.unwrap_or(None) else {
            panic!("prometheus did not start:\n{}", log.lock().unwrap().join("\n"));
        };
        // Read on, so that it is never stopped by a pipe that is full.
        let rest = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                rest.lock().unwrap().push(line);
            }
        });
        Some(Self { address, process, log, folder })
    }

    /// The answer of its HTTP API to a `GET`, `None` as long as it does not serve.
    pub(crate) async fn api(&self, target: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        // By HTTP/1.0 the body is neither chunked nor is the connection kept.
        stream.write_all(format!("GET {target} HTTP/1.0\r\nHost: test\r\n\r\n").as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        assert_eq!(answer["status"], "success", "{target}: {answer}");
        Some(answer["data"].clone())
    }

    /// The value of each series that a query finds, with its labels.
    pub(crate) async fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let data = self.api(&format!("/api/v1/query?query={encoded}")).await.unwrap_or_default();
        let series = data["result"].as_array().cloned().unwrap_or_default();
        let value = |series: &Value| series["value"][1].as_str().unwrap().parse().unwrap();
        series.iter().map(|series| (series["metric"].clone(), value(series))).collect()
    }

    /// Asks again until all targets are up.
    pub(crate) async fn until_up(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let data = self.api("/api/v1/targets").await.unwrap_or_default();
            let targets = data["activeTargets"].as_array().cloned().unwrap_or_default();
            if !targets.is_empty() && targets.iter().all(|target| target["health"] == "up") {
                return;
            }
            assert!(Instant::now() < deadline, "not all targets are up: {data}\n{}", self.log());
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Asks again until a query finds just one series with a value that is right.
    pub(crate) async fn until(&self, query: &str, right: impl Fn(f64) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.query(query).await;
            if matches!(found.as_slice(), [(_, value)] if right(*value)) {
                return;
            }
            assert!(Instant::now() < deadline, "{query}: {found:?}\n{}", self.log());
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.start_kill();
        // What it may still write while it ends is left in the folder for such things.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Lets `promtool check metrics` read a text; panics with what it finds.
pub(crate) async fn promtool_accepts(text: &[u8]) {
    if !has("promtool") {
        return;
    }
    let mut check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(text).await.unwrap();
    let output = timeout(PATIENCE, check.wait_with_output()).await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let (said, text) = (String::from_utf8_lossy(&said), String::from_utf8_lossy(text));
    assert!(output.status.success() && said.is_empty(), "promtool: {said}\n{text}");
}
