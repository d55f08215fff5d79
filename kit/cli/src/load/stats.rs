//! What is counted of the calls.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

use super::protocol::{Kind, Nanos, Outcome};

/// The shortest latency that is told from none, and the longest that is kept as it is.
const FINEST: Nanos = 100;
const LONGEST: Nanos = 3_600_000_000_000;
/// To the thousandth.
const DIGITS: u8 = 3;

pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(FINEST, LONGEST, DIGITS)
        .unwrap_or_else(|_| unreachable!("the bounds are in order, and the digits at most five"))
}

/// The calls of one kind of error.
#[derive(Clone, Debug, Default)]
pub(super) struct Errors {
    pub(super) count: u64,
    /// What is known of the first one.
    pub(super) note: Option<String>,
}

/// The figures of a run, of the time in which it is measured.
#[derive(Debug)]
pub(super) struct Stats {
    /// Of calls that were answered, and of those that ran out of time, in nanoseconds.
    pub(super) latency: Histogram<u64>,
    pub(super) ok: u64,
    pub(super) errors: BTreeMap<Kind, Errors>,
    pub(super) dropped: u64,
    pub(super) messages: u64,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) cpu: Duration,
    /// Calls without an end when the run was over.
    pub(super) unfinished: u64,
    /// By how much calls began later than they should have, at most.
    pub(super) late: Nanos,
    span: Option<(Nanos, Option<Nanos>)>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            latency: histogram(),
            ok: 0,
            errors: BTreeMap::new(),
            dropped: 0,
            messages: 0,
            bytes_sent: 0,
            bytes_received: 0,
            cpu: Duration::ZERO,
            unfinished: 0,
            late: 0,
            span: None,
        }
    }
}

impl Stats {
    pub(super) fn start(&mut self, now: Nanos) {
        self.span = Some((now, None));
    }

    pub(super) fn finish(&mut self, now: Nanos, cpu: Duration) {
        if let Some((_, end)) = &mut self.span {
            *end = Some(now);
        }
        self.cpu = cpu;
    }

    pub(super) fn is_over(&self) -> bool {
        self.span.is_none_or(|(_, end)| end.is_some())
    }

    fn is_running(&self) -> bool {
        matches!(self.span, Some((_, None)))
    }

    pub(super) fn seconds(&self) -> f64 {
        match self.span {
            Some((start, Some(end))) => Duration::from_nanos(end.saturating_sub(start)).as_secs_f64(),
            _ => 0.0,
        }
    }

    pub(super) fn failed(&self) -> u64 {
        self.errors.values().map(|errors| errors.count).sum()
    }

    pub(super) fn calls(&self) -> u64 {
        self.ok + self.failed()
    }

    pub(super) fn note(&self, kind: Kind) -> Option<&str> {
        self.errors.get(&kind)?.note.as_deref()
    }

    pub(super) fn ended(&mut self, outcome: &Outcome, latency: Nanos) {
        match outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::Error(kind, note) => {
                self.error(*kind, note.as_deref());
                if matches!(kind, Kind::Reset | Kind::Protocol | Kind::Stream(_)) {
                    return;
                }
            }
            Outcome::Unprocessed => return,
        }
        self.latency.saturating_record(latency);
    }

    /// Counted at any time: without a connection, there is nothing to measure.
    pub(super) fn failed_connect(&mut self, why: &str) {
        self.error(Kind::Connect, Some(why));
    }

    fn error(&mut self, kind: Kind, note: Option<&str>) {
        let errors = self.errors.entry(kind).or_default();
        errors.count += 1;
        if errors.note.is_none() {
            errors.note = note.map(str::to_owned);
        }
    }

    pub(super) fn drop_one(&mut self) {
        self.dropped += 1;
    }

    pub(super) fn late(&mut self, by: Nanos) {
        self.late = self.late.max(by);
    }

    pub(super) fn messages(&mut self, count: u64) {
        if self.is_running() {
            self.messages += count;
        }
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        if self.is_running() {
            self.bytes_sent += bytes as u64;
        }
    }

    pub(super) fn received(&mut self, bytes: usize) {
        if self.is_running() {
            self.bytes_received += bytes as u64;
        }
    }

    pub(super) fn left_over(&mut self, calls: u64) {
        self.unfinished = calls;
    }
}
