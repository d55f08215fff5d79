//! The demo on free ports, in a folder of its own.

use std::{future::Future, time::Duration};

use bookcommon::{
    Failure,
    testing::{Answer, exchange},
};
use bookinfo::{Addresses, BookInfo, Config};
use kit::{
    sql::testing::Folder,
    telemetry::{
        log::{Log, LogConfig},
        reporter::Destination,
    },
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::Registry;

/// What makes the program of the quick start take free ports for all that it serves, and send its spans nowhere.
pub(crate) const FREE: [(&str, &str); 10] = [
    ("BOOKDETAILS_HTTP_ADDR", "127.0.0.1:0"),
    ("BOOKDETAILS_GRPC_ADDR", "127.0.0.1:0"),
    ("BOOKDETAILS_TELEMETRY_DEBUG_ADDR", "127.0.0.1:0"),
    ("BOOKDETAILS_TELEMETRY_METRICS_ADDR", "127.0.0.1:0"),
    ("BOOKDETAILS_TELEMETRY_SPANS_TO", "none"),
    ("BOOKCOMMENTS_HTTP_ADDR", "127.0.0.1:0"),
    ("BOOKCOMMENTS_GRPC_ADDR", "127.0.0.1:0"),
    ("BOOKCOMMENTS_TELEMETRY_DEBUG_ADDR", "127.0.0.1:0"),
    ("BOOKCOMMENTS_TELEMETRY_METRICS_ADDR", "127.0.0.1:0"),
    ("BOOKCOMMENTS_TELEMETRY_SPANS_TO", "none"),
];

/// Waits for what must happen. The time is no assertion: it makes a test fail that would hang.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("what had to happen did not")
}

/// Both services in this process, with their samples, until they are stopped.
pub(crate) struct Demo {
    pub(crate) addresses: Addresses,
    stop: CancellationToken,
    running: JoinHandle<Result<(), Failure>>,
    _folder: Folder,
    _log: Log,
}

impl Demo {
    /// Starts them, their settings changed by `change`. Spans go nowhere unless that says so.
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path("")).unwrap();
        let mut config = Config::default();
        config.listen_on("127.0.0.1:0".parse().unwrap());
        config.keep_in(&folder.path(""));
        for database in [&mut config.details.database, &mut config.comments.database] {
            (database.migrate, database.seed) = (true, true);
        }
        for telemetry in [&mut config.details.telemetry, &mut config.comments.telemetry] {
            telemetry.spans.to = Destination::None;
        }
        // Tests call more often than the limits of the demo allow, unless they are about those.
        (config.details.standard, config.comments.standard) = Default::default();
        change(&mut config);
        // Its figures are there, what is logged is not: there is one subscriber in a process, and many tests.
        let (_, log) = LogConfig::default().start::<Registry>().unwrap();
        let demo = BookInfo::start(config, Some(&log)).await.unwrap();
        let addresses = demo.addresses();
        let stop = CancellationToken::new();
        let running = tokio::spawn(demo.run(stop.clone().cancelled_owned()));
        Self { addresses, stop, running, _folder: folder, _log: log }
    }

    /// Stops them; what they had to tell is told then.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        soon(self.running).await.unwrap().unwrap();
    }
}

/// A `GET` by HTTP/1.0, whose answer is not in chunks, with these headers.
pub(crate) async fn get(addr: impl ToString, target: &str, headers: &[&str]) -> Answer {
    let addr = addr.to_string();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let request = format!("GET {target} HTTP/1.0\r\nhost: {addr}\r\n{headers}\r\n");
    tokio::task::spawn_blocking(move || exchange(&addr, request.as_bytes())).await.unwrap()
}
