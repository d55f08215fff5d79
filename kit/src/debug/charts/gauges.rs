//! The lines that are not about methods.

use tokio::runtime::RuntimeMetrics;

use super::history::Unit;
use crate::{debug::runtime, telemetry::metrics::ProcessFigures};

/// The panels that every service has, in the order of [`Builtin::read`].
pub(super) const PANELS: [(&str, Unit, &[&str]); 5] = [
    ("Memory", Unit::Bytes, &["resident"]),
    ("CPU", Unit::Percent, &["of one core"]),
    ("Runtime", Unit::Percent, &["workers busy"]),
    ("Threads", Unit::Count, &["threads"]),
    ("Tasks", Unit::Count, &["alive", "waiting in the queue"]),
];

/// A chart of the program's own, such as the figures of its allocator.
pub(in crate::debug) struct Gauges {
    pub(in crate::debug) title: &'static str,
    pub(in crate::debug) unit: Unit,
    pub(in crate::debug) names: Vec<&'static str>,
    pub(in crate::debug) read: Box<dyn Fn() -> Vec<f64> + Send + Sync>,
}

impl Gauges {
    /// The values of now: as many as there are names, whatever the program says.
    pub(in crate::debug) fn values(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let values = (self.read)().into_iter().chain(std::iter::repeat(f64::NAN));
        self.names.iter().copied().zip(values)
    }
}

/// The figures of the process and of the runtime.
pub(super) struct Builtin {
    runtime: RuntimeMetrics,
    before: (ProcessFigures, f64),
}

impl Builtin {
    pub(super) fn new(runtime: RuntimeMetrics) -> Self {
        let before = (ProcessFigures::read(), busy(&runtime));
        Self { runtime, before }
    }

    /// The values of now, `passed` seconds after those before.
    pub(super) fn read(&mut self, passed: f64) -> Vec<f64> {
        let (process, busy) = (ProcessFigures::read(), busy(&self.runtime));
        let (earlier, earlier_busy) = std::mem::replace(&mut self.before, (process, busy));
        let number = |value: Option<u64>| value.map_or(f64::NAN, |value| value as f64);
        let cpu =
            process.cpu.zip(earlier.cpu).map_or(f64::NAN, |(now, before)| now.saturating_sub(before).as_secs_f64());
        let workers = self.runtime.num_workers().max(1) as f64;
        vec![
            number(process.resident_memory),
            100.0 * cpu / passed,
            // A worker that has run for long adds its time when it stops.
            (100.0 * (busy - earlier_busy) / (passed * workers)).clamp(0.0, 100.0),
            number(process.threads),
            self.runtime.num_alive_tasks() as f64,
            self.runtime.global_queue_depth() as f64,
        ]
    }
}

fn busy(runtime: &RuntimeMetrics) -> f64 {
    runtime::busy(runtime).map_or(f64::NAN, |busy| busy.as_secs_f64())
}
