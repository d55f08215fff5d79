//! For the tests of the services: a program that runs, and plain HTTP.
//!
//! Blocking, and made of the standard library alone, so that what is tested is not tested with itself. For tests only: what
//! goes wrong here panics.
//!
//! ```no_run
//! use bookcommon::testing::{Process, http};
//!
//! // In a test: env!("CARGO_BIN_EXE_bookdetails-server").
//! let server = Process::start("target/debug/bookdetails-server", &[("BOOKDETAILS_HTTP_ADDR", "127.0.0.1:0")]);
//! let answer = http(&server.http(), "GET", "/v1/detail?id=1", "");
//! assert_eq!(answer.status, 200);
//! assert_eq!(server.stop("TERM"), Some(0));
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "a failed step fails the test")]

use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use kit::{
    instruments::{Instruments, InstrumentsConfig},
    sql::testing::Folder,
};

/// A busy machine starts a program in less.
const PATIENCE: Duration = Duration::from_secs(60);

/// No test makes a program say so much: one that is full would wait for its reader.
const MOST_LINES: usize = 10_000;

/// Without the limits of the demo, for tests that call more often, and are not about those; on a machine that is busy with other
/// tests nothing is refused for that either.
pub const UNLIMITED: [(&str, &str); 6] = [
    ("BOOKDETAILS_STANDARD_RATE_LIMIT", "none"),
    ("BOOKDETAILS_STANDARD_BREAKER", "none"),
    ("BOOKDETAILS_STANDARD_BBR", "none"),
    ("BOOKCOMMENTS_STANDARD_RATE_LIMIT", "none"),
    ("BOOKCOMMENTS_STANDARD_BREAKER", "none"),
    ("BOOKCOMMENTS_STANDARD_BBR", "none"),
];

/// Instruments without ports, which send nothing anywhere. Inside a Tokio runtime.
pub fn instruments(name: &'static str) -> Instruments {
    Instruments::builder(name, &InstrumentsConfig::silent()).start().unwrap()
}

/// A program of its own, in a folder of its own. It is killed when the value is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    http: String,
    grpc: String,
    folder: Folder,
}

/// Sends on the lines of one of the outputs of a program.
fn forward(output: impl Read + Send + 'static, lines: SyncSender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
}

impl Process {
    /// Starts a server with these variables and no other, and waits until it says where it serves.
    pub fn start(program: &str, env: &[(&str, &str)]) -> Self {
        let mut process = Self::spawn(program, &[], env);
        let serving = process.line("\"serving\"");
        process.http = field(&serving, "http");
        process.grpc = field(&serving, "grpc");
        process
    }

    /// Starts a program with these variables and no other.
    pub fn spawn(program: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path("")).unwrap();
        let mut command = command(program, env);
        command.args(args).current_dir(folder.path("")).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = sync_channel(MOST_LINES);
        forward(child.stdout.take().unwrap(), sender.clone());
        forward(child.stderr.take().unwrap(), sender);
        Self { child, lines, http: String::new(), grpc: String::new(), folder }
    }

    /// Runs a program to its end: its exit code, stdout and stderr.
    pub fn run(program: &str, args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path("")).unwrap();
        let output = command(program, env).args(args).current_dir(folder.path("")).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// Where it serves HTTP: host and port.
    pub fn http(&self) -> String {
        self.http.clone()
    }

    /// Where it serves gRPC: host and port.
    pub fn grpc(&self) -> String {
        self.grpc.clone()
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The folder that it works in.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The next line of its outputs that contains a text.
    pub fn line(&self, text: &str) -> String {
        self.lines_until(text).pop().unwrap()
    }

    /// The next lines of its outputs, up to the one that contains a text.
    pub fn lines_until(&self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line with {text}: {lines:?}"));
            lines.push(line);
            if lines.last().is_some_and(|line| line.contains(text)) {
                return lines;
            }
        }
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end: the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Sends a signal and waits for the end: the exit code.
    pub fn stop(mut self, signal: &str) -> Option<i32> {
        self.signal(signal);
        self.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(program: &str, env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(env.iter().copied());
    command
}

/// The value of a text field of a log line in JSON.
fn field(line: &str, name: &str) -> String {
    let start = format!("\"{name}\":\"");
    let (_, rest) = line.split_once(&start).unwrap_or_else(|| panic!("no {name} in {line}"));
    rest.split('"').next().unwrap().to_owned()
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    /// The body, as it came.
    pub body: String,
}

/// Sends one request over a connection of its own; a body is JSON.
pub fn http(addr: &str, method: &str, target: &str, body: impl AsRef<[u8]>) -> Answer {
    let body = body.as_ref();
    let mut request = format!("{method} {target} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n").into_bytes();
    if !body.is_empty() {
        request.extend(format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()).bytes());
    }
    request.extend(b"\r\n");
    request.extend(body);
    exchange(addr, &request)
}

/// Sends bytes and reads until the other side closes.
pub fn exchange(addr: &str, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}
