//! A real Chromium, driven by chromedriver: what a page shows to people can only be seen there.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::support::soon;

/// Without sandbox, because tests run as root in containers, and without anything that asks the internet.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// Runs the driver until the test closes the pipe, which the system does for a test that is killed, and ends the whole group
/// then: the browser would live on without its driver.
const UNTIL_CLOSED: &str = r#"chromedriver --port=0 </dev/null 2>/dev/null & cat >/dev/null; kill -KILL 0"#;

/// A browser with one page. It ends with the test, however that ends.
pub(crate) struct Browser {
    driver: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    session: String,
    profile: PathBuf,
    group: Group,
}

impl Browser {
    /// Starts it; `None` when it is not installed and need not be (`KIT_TEST_SERVICES` is not `required`).
    #[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
    pub(crate) async fn start() -> Option<Self> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&paths).any(|path| path.join("chromedriver").is_file()) {
            let required = std::env::var("KIT_TEST_SERVICES").is_ok_and(|value| value == "required");
            assert!(!required, "there is no chromedriver: install chromium and chromium-driver");
            println!("skipped: there is no chromedriver");
            return None;
        }
        let mut command = Command::new("sh");
        command.args(["-c", UNTIL_CLOSED]).stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut group = Group(command.spawn().expect("there is a shell"));
        let driver = SocketAddr::from(([127, 0, 0, 1], soon(port(&mut group.0)).await));
        let client = Client::builder(TokioExecutor::new()).build_http();
        let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chromium-{}", driver.port()));
        // A browser that was killed may have left it.
        let _ = std::fs::remove_dir_all(&profile);
        let mut browser = Self { driver, client, session: String::new(), profile, group };
        let mut flags: Vec<String> = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", browser.profile.display()));
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "script": 60_000, "pageLoad": 60_000 },
        }}});
        let session = browser.ask("POST", "/session", &capabilities).await;
        browser.session = session["sessionId"].as_str().expect("a session has an id").to_owned();
        Some(browser)
    }

    /// Ends the browser and waits until it is gone, with all that it kept.
    pub(crate) async fn close(self) {
        self.ask("DELETE", &format!("/session/{}", self.session), &json!({})).await;
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let request = http::Request::builder().method(method).uri(format!("http://{}{path}", self.driver));
        let request = request.body(Full::new(Bytes::from(body.clone()))).expect("a request");
        let answer = async {
            let (head, answer) = self.client.request(request).await.expect("chromedriver answers").into_parts();
            (head.status, answer.collect().await.expect("a whole answer").to_bytes())
        };
        // A script in the page may take its whole minute.
        let answer = tokio::time::timeout(Duration::from_secs(120), answer).await;
        let (status, answer) = answer.expect("chromedriver does not answer");
        let mut said: Value = serde_json::from_slice(&answer).expect("chromedriver answers JSON");
        assert_eq!(status, 200, "{method} {path} {body}: {said}");
        said["value"].take()
    }

    async fn tell(&self, command: &str, body: Value) -> Value {
        self.ask("POST", &format!("/session/{}/{command}", self.session), &body).await
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) async fn open(&self, url: &str) {
        self.tell("url", json!({ "url": url })).await;
    }

    /// Runs the body of a function in the page.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.tell("execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Waits until an expression is true in the page; after a minute the test fails.
    pub(crate) async fn wait_until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const look = () => {{
               let seen = false;
               try {{ seen = Boolean({expression}); }} catch {{ /* not yet */ }}
               if (seen) done(true); else setTimeout(look, 50);
             }};
             look();"
        );
        self.tell("execute/async", json!({ "script": script, "args": [] })).await;
    }

    /// A command of the DevTools protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.tell("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// Sets the size of the page, and how many pixels are one.
    pub(crate) async fn size(&self, width: u32, height: u32, scale: f32, phone: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Says what the system of the reader prefers: `light` or `dark`.
    pub(crate) async fn prefers(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// What the page complained about since the last time: errors of scripts, refused by a policy, not found.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.tell("se/log", json!({ "type": "browser" })).await;
        let entries = log.as_array().expect("a log is a list").iter();
        let bad = entries.filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        bad.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// A picture of the page: the whole of it, or what the window shows.
    pub(crate) async fn picture(&self, file: &Path, whole: bool) {
        let shot = self.devtools("Page.captureScreenshot", json!({ "captureBeyondViewport": whole })).await;
        let png = BASE64_STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("base64");
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).expect("the folder of pictures can be made");
        }
        std::fs::write(file, png).expect("the picture can be written");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.group.kill();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// The shell, the driver and the browser: one group of processes that ends as a whole.
struct Group(Child);

impl Group {
    fn kill(&self) {
        if let Some(group) = self.0.id() {
            let _ = std::process::Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).status();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The port that the driver has chosen.
async fn port(child: &mut Child) -> u16 {
    let output = child.stdout.take().expect("the output is a pipe");
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await.expect("the driver talks") {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            // Whatever else it says is not read; it must not wait for that.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return port.trim_end_matches('.').trim().parse().expect("a port is a number");
        }
    }
    panic!("chromedriver ended without a word about its port");
}
