//! The programs of both sides: started, pinned, ended.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use crate::{
    Failure,
    sockets::{pin_this_thread, profile_folder},
};

/// How long a program may take to serve: on a machine that is busy, with a database to make.
const START: Duration = Duration::from_secs(30);

/// The first argument of a process of this program that is a service by hand; then `comments` or `details`, the database, and
/// for details the address of the comments.
pub const FLAG: &str = "--by-hand";

/// The server programs of the demo, built in the profile of this program.
#[derive(Clone, Debug)]
pub struct Demo {
    comments: PathBuf,
    details: PathBuf,
}

impl Demo {
    /// Builds them, unless they are there and new.
    ///
    /// # Errors
    /// When they do not build.
    pub fn build() -> Result<Self, Failure> {
        let folder = profile_folder()?;
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
        command.args(["build", "--quiet", "--bins", "--package", "bookdetails", "--package", "bookcomments"]);
        if folder.file_name().is_some_and(|name| name == "release") {
            command.arg("--release");
        }
        if !command.stdin(Stdio::null()).status()?.success() {
            return Err("the demo does not build: cargo build -p bookdetails -p bookcomments".into());
        }
        Ok(Self { comments: folder.join("bookcomments-server"), details: folder.join("bookdetails-server") })
    }
}

/// A service that runs; killed when it is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Where it serves gRPC.
    pub grpc: SocketAddr,
}

impl Program {
    fn start(mut command: Command, core: usize) -> Result<Self, Failure> {
        let shown = format!("{command:?}");
        // On Linux a process begins where the thread that started it may run.
        let spawned = std::thread::spawn(move || {
            pin_this_thread(core)?;
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()
        });
        let mut child = spawned.join().map_err(|_| "the thread that starts programs panicked")??;
        let stdout = child.stdout.take().ok_or("no pipe")?;
        let (sender, serving) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(address) = address(&line) {
                    // Nobody waits when it came too late.
                    let _ = sender.send(address);
                }
            }
        });
        match serving.recv_timeout(START) {
            Ok(grpc) => Ok(Self { child, grpc }),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(format!("{shown} did not say where it serves").into())
            }
        }
    }

    /// Ends it as an operator does, and waits: what it has written is complete then.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn stop(mut self) -> Result<(), Failure> {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It fails only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in a line that says `serving`.
fn address(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line.get("message")? == "serving").then(|| line.get("grpc")?.as_str()?.parse().ok())?
}

/// A side: both services, which have a database each.
#[derive(Debug)]
pub struct Side {
    comments: Program,
    details: Program,
}

impl Side {
    /// The demo, in a folder of its own. It makes its databases there. Spans go to `collector`.
    ///
    /// # Errors
    /// When one of the programs does not come up.
    pub fn demo(demo: &Demo, folder: &Path, collector: SocketAddr, core: usize) -> Result<Self, Failure> {
        let start = |program: &Path, name: &str, rest: &str| {
            let file = folder.join(format!("{name}.yaml"));
            fs::write(&file, settings(folder, name, collector) + rest)?;
            let mut command = Command::new(program);
            command.arg("--config").arg(&file).current_dir(folder).env_clear();
            Program::start(command, core)
        };
        let comments = start(&demo.comments, "comments", "")?;
        let address = format!("comments: {{ address: \"grpc://{}\" }}\n", comments.grpc);
        let details = start(&demo.details, "details", &address)?;
        Ok(Self { comments, details })
    }

    /// The services by hand, on the databases in a folder.
    ///
    /// # Errors
    /// When one of the programs does not come up.
    pub fn by_hand(folder: &Path, core: usize) -> Result<Self, Failure> {
        let start = |name: &str, rest: Option<String>| {
            let mut command = Command::new(env::current_exe()?);
            command.arg(FLAG).arg(name).arg(database(folder, name)).args(rest);
            Program::start(command, core)
        };
        let comments = start("comments", None)?;
        let details = start("details", Some(format!("http://{}", comments.grpc)))?;
        Ok(Self { comments, details })
    }

    /// Where the details are.
    pub fn address(&self) -> SocketAddr {
        self.details.grpc
    }

    /// The numbers of both processes: for a profiler.
    pub fn ids(&self) -> [u32; 2] {
        [self.details.id(), self.comments.id()]
    }

    /// Ends both.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn stop(self) -> Result<(), Failure> {
        self.details.stop()?;
        self.comments.stop()
    }
}

fn database(folder: &Path, name: &str) -> String {
    format!("sqlite://{}", folder.join(format!("{name}.db")).display())
}

/// What both programs of the demo are told.
fn settings(folder: &Path, name: &str, collector: SocketAddr) -> String {
    let database = database(folder, name);
    format!(
        "http_addr: 127.0.0.1:0
grpc_addr: 127.0.0.1:0
database: {{ url: \"{database}\", migrate: true, seed: true }}
# What is measured is the way to the database.
cache: {{ url: \"off\" }}
log: {{ level: \"info,kit::access=off\", format: json }}
standard:
  rate_limit: {{ limit: 1000000, per: 1s }}
  breaker: {{ max_in_flight: 100000 }}
  # It refuses when the processors are busy, and here they are meant to be.
  bbr: none
telemetry:
  metrics_addr: 127.0.0.1:0
  debug: {{ addr: \"127.0.0.1:0\" }}
  trace: {{ sample: \"0.1%\" }}
  spans: {{ to: zipkin, url: \"http://{collector}\" }}
"
    )
}

/// Whether the arguments make this process one of the services by hand, which it then is until it is killed.
///
/// # Errors
/// When it can't be served.
pub fn play() -> Result<bool, Failure> {
    use super::by_hand;
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [flag, service @ ..] = arguments.as_slice() else { return Ok(false) };
    if flag != FLAG {
        return Ok(false);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match service {
        [name, database] if name == "comments" => runtime.block_on(by_hand::comments::serve(database))?,
        [name, database, comments] if name == "details" => {
            runtime.block_on(by_hand::details::serve(database, comments))?;
        }
        _ => return Err(format!("no such service: {service:?}").into()),
    }
    Ok(true)
}
