//! The lines that are not about methods.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
};

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
    pub(in crate::debug) title: Cow<'static, str>,
    pub(in crate::debug) unit: Unit,
    pub(in crate::debug) names: Vec<&'static str>,
    read: Box<dyn Fn() -> Vec<f64> + Send + Sync>,
    complained: AtomicBool,
}

impl Gauges {
    /// A chart beside these others. One that is called like another gets a number, so that both are to be seen.
    pub(in crate::debug) fn new(
        title: &'static str,
        others: &[Self],
        unit: Unit,
        names: Vec<&'static str>,
        read: Box<dyn Fn() -> Vec<f64> + Send + Sync>,
    ) -> Self {
        let taken = |title: &str| {
            PANELS.iter().any(|(panel, ..)| *panel == title) || others.iter().any(|gauges| gauges.title == title)
        };
        let mut free = Cow::Borrowed(title);
        let mut number = 2;
        while taken(&free) {
            free = format!("{title} {number}").into();
            number += 1;
        }
        Self { title: free, unit, names, read, complained: AtomicBool::new(false) }
    }

    /// The values of now: as many as there are names, whatever the program says. Should its code panic, none is known, and all
    /// else is still shown.
    pub(in crate::debug) fn values(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let values = catch_unwind(AssertUnwindSafe(|| (self.read)())).unwrap_or_else(|_| {
            if !self.complained.swap(true, Ordering::Relaxed) {
                tracing::error!(title = %self.title, "a gauge of the debug port panicked; its values are missing there");
            }
            Vec::new()
        });
        self.names.iter().copied().zip(values.into_iter().chain(std::iter::repeat(f64::NAN)))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn gauges(title: &'static str, others: &[Gauges], read: fn() -> Vec<f64>) -> Gauges {
        Gauges::new(title, others, Unit::Count, vec!["a", "b"], Box::new(read))
    }

    #[test]
    fn what_is_called_like_another_gets_a_number() {
        let mut all = Vec::new();
        for title in ["Queue", "Queue", "Pool", "Queue", "Memory"] {
            all.push(gauges(title, &all, Vec::new));
        }
        let titles: Vec<_> = all.iter().map(|gauges| &*gauges.title).collect();
        assert_eq!(titles, ["Queue", "Queue 2", "Pool", "Queue 3", "Memory 2"]);
    }

    #[test]
    fn one_that_panics_tells_nothing() {
        let values = |read| gauges("Queue", &[], read).values().collect::<Vec<_>>();
        assert_eq!(values(|| vec![1.0, 2.0, 3.0]), [("a", 1.0), ("b", 2.0)]);
        let broken = values(|| panic!("this gauge is broken"));
        assert!(broken.len() == 2 && broken.iter().all(|(_, value)| value.is_nan()), "{broken:?}");
    }
}
