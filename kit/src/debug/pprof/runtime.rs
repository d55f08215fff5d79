//! A timed trace of the runtime: what its workers and the threads of the process did, moment by moment.
//!
//! It is no trace in Go's format, which holds what a Go runtime knows. It is the JSON of trace events, for ui.perfetto.dev.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    time::Duration,
};

use axum::response::Response;
use http::request::Parts;
use tokio::{runtime::RuntimeMetrics, time::Instant};

use super::{Profiles, Turn, download};
use crate::debug::{Refusal, answer::Query};

/// As Go has it.
const DEFAULT_SECONDS: u32 = 1;

/// Longer traces are not looked at, they are searched; metrics are for that.
const MAX_SECONDS: u32 = 60;

/// Moments a second when not asked otherwise.
const DEFAULT_HZ: u32 = 100;

/// Reading the figures of some dozen threads takes a good part of a millisecond.
const MAX_HZ: u32 = 200;

/// The most threads that are looked at.
const MAX_THREADS: usize = 128;

/// The most bytes of a trace: what is recorded then is where it ends.
const MAX_LENGTH: usize = 32 * 1024 * 1024;

/// Records until the time is over or the server stops.
pub(super) async fn trace(profiles: &Profiles, parts: &Parts) -> Result<Response, Refusal> {
    let query = Query::read(&parts.uri, &["seconds", "hz"])?;
    let length = query.seconds(DEFAULT_SECONDS, MAX_SECONDS)?;
    let moment = Duration::from_secs(1) / query.hz(DEFAULT_HZ, MAX_HZ)?;
    let turn = profiles.turn("a trace", length)?;
    let metrics = tokio::runtime::Handle::current().metrics();
    // On a thread of its own: a runtime that is stuck is what the trace is to show. Dropping the sender ends it.
    let (stop, stopped) = sync_channel::<()>(0);
    let recording = profiles.blocking(move |_, _| Ok(record(&metrics, length, moment, &stopped, turn)));
    tokio::pin!(recording);
    let text = tokio::select! {
        text = &mut recording => text?,
        () = profiles.stopped() => {
            drop(stop);
            recording.await?
        }
    };
    Ok(download(text, "application/json", "trace.json"))
}

fn record(metrics: &RuntimeMetrics, length: Duration, moment: Duration, stopped: &Receiver<()>, _turn: Turn) -> String {
    let start = Instant::now();
    let mut trace = Trace::new(metrics);
    let mut next = moment;
    while next <= length && trace.text.len() < MAX_LENGTH {
        let wait = next.saturating_sub(start.elapsed());
        if !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout)) {
            break;
        }
        trace.add(start.elapsed(), metrics);
        // A moment that was missed is not made up for.
        next = (next + moment).max(start.elapsed());
    }
    trace.finish()
}

/// What was last seen of a counter, in nanoseconds or times, and the last value that was written of it.
#[derive(Default)]
struct Counter {
    seen: Option<u64>,
    written: Option<u64>,
}

/// The trace as far as it is written.
struct Trace {
    text: String,
    last: Duration,
    counters: HashMap<String, Counter>,
}

impl Trace {
    fn new(metrics: &RuntimeMetrics) -> Self {
        let mut trace = Self {
            text: "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n".to_owned(),
            last: Duration::ZERO,
            counters: HashMap::new(),
        };
        let name = std::env::args_os().next().unwrap_or_default();
        let name = serde_json::Value::from(name.to_string_lossy());
        let _ = write!(trace.text, "{{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{{\"name\":{name}}}}}");
        trace.add(Duration::ZERO, metrics);
        trace
    }

    fn add(&mut self, now: Duration, metrics: &RuntimeMetrics) {
        let passed = u64::try_from(now.saturating_sub(self.last).as_nanos()).unwrap_or(u64::MAX);
        self.last = now;
        self.gauge(now, "tasks alive", metrics.num_alive_tasks() as u64);
        self.gauge(now, "tasks in the global queue", metrics.global_queue_depth() as u64);
        #[cfg(target_has_atomic = "64")]
        for worker in 0..metrics.num_workers() {
            let busy = metrics.worker_total_busy_duration(worker);
            self.share(now, passed, &format!("worker {worker} busy %"), busy);
            self.increase(now, &format!("worker {worker} parked"), metrics.worker_park_count(worker));
        }
        for thread in threads() {
            let name = format!("{} {}", thread.name, thread.id);
            self.share(now, passed, &format!("thread {name} on a cpu %"), thread.running);
            self.share(now, passed, &format!("thread {name} waits for a cpu %"), thread.waiting);
        }
    }

    /// How much of the time that has passed a total has grown by, in percent.
    fn share(&mut self, now: Duration, passed: u64, name: &str, total: Duration) {
        let total = u64::try_from(total.as_nanos()).unwrap_or(u64::MAX);
        if let Some(grown) = self.grown(name, total) {
            self.gauge(now, name, (grown.saturating_mul(100) / passed.max(1)).min(100));
        }
    }

    /// How much a total has grown by.
    fn increase(&mut self, now: Duration, name: &str, total: u64) {
        if let Some(grown) = self.grown(name, total) {
            self.gauge(now, name, grown);
        }
    }

    fn grown(&mut self, name: &str, total: u64) -> Option<u64> {
        let seen = &mut self.counters.entry(name.to_owned()).or_default().seen;
        seen.replace(total).map(|before| total.saturating_sub(before))
    }

    /// A value, written when it is another than before: viewers draw steps.
    fn gauge(&mut self, now: Duration, name: &str, value: u64) {
        let written = &mut self.counters.entry(name.to_owned()).or_default().written;
        if written.replace(value) != Some(value) {
            let (name, micros) = (serde_json::Value::from(name), now.as_micros());
            let _ = write!(
                self.text,
                ",\n{{\"ph\":\"C\",\"pid\":1,\"ts\":{micros},\"name\":{name},\"args\":{{\"value\":{value}}}}}"
            );
        }
    }

    fn finish(mut self) -> String {
        self.text.push_str("\n]}\n");
        self.text
    }
}

/// What the kernel says of a thread.
struct Thread {
    id: String,
    name: String,
    running: Duration,
    waiting: Duration,
}

/// The threads of this process; none where there is no `/proc`.
fn threads() -> Vec<Thread> {
    let Ok(folder) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let read = |entry: std::fs::DirEntry| {
        let path = entry.path();
        let times = std::fs::read_to_string(path.join("schedstat")).ok()?;
        let mut times = times.split_whitespace().map(|nanos| nanos.parse().map(Duration::from_nanos));
        Some(Thread {
            id: entry.file_name().to_string_lossy().into_owned(),
            name: std::fs::read_to_string(path.join("comm")).ok()?.trim_end().to_owned(),
            running: times.next()?.ok()?,
            waiting: times.next()?.ok()?,
        })
    };
    folder.flatten().take(MAX_THREADS).filter_map(read).collect()
}
