//! Comparisons of two ways to do the same, run in turns.
//!
//! A figure by itself says more about the machine than about the code, so every claim is a ratio: both sides run in turns
//! (A B A B ...), each turn many calls, and the medians of their turns are divided. Turns make slow changes of the machine
//! fall on both sides alike; the median drops the turns in which something else was running.

use std::{hint::black_box, time::Duration};

use criterion::Criterion;
use tokio::time::Instant;

use crate::serve::ServerThread;

/// How many turns each side has.
pub const TURNS: usize = 31;

/// How long a turn is meant to take: long against the clock, short against what else changes on a machine.
const TURN: Duration = Duration::from_millis(20);

/// How many calls a turn has when it only has to run.
pub(crate) const BRIEFLY: u64 = 100;

/// What both sides took for one call, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Row {
    name: String,
    peer: (&'static str, f64),
    kit: (&'static str, f64),
}

impl Row {
    /// The cost of the kit's side in units of its peer's.
    pub fn ratio(&self) -> f64 {
        self.kit.1 / self.peer.1
    }
}

/// One side of a comparison: a name, and what runs a number of calls.
#[derive(Debug)]
pub struct Side<F> {
    name: &'static str,
    run: F,
    server: Option<ServerThread>,
}

/// A side whose calls run one after the other in `run`, which is told how many.
pub fn side<F: FnMut(u64)>(name: &'static str, run: F) -> Side<F> {
    Side { name, run, server: None }
}

/// A side that calls a function.
pub fn calls<T>(name: &'static str, mut call: impl FnMut() -> T) -> Side<impl FnMut(u64)> {
    side(name, move |count| {
        for _ in 0..count {
            black_box(call());
        }
    })
}

impl<F> Side<F> {
    /// The thread that serves the calls: the processor time that it took is reported beside the time that passed.
    #[must_use]
    pub fn served_by(mut self, server: &ServerThread) -> Self {
        self.server = Some(server.clone());
        self
    }
}

/// The comparisons of one benchmark target; prints the table when it is finished.
pub struct Table<'c> {
    title: &'static str,
    criterion: &'c mut Criterion,
    brief: bool,
    rows: Vec<Row>,
    server_rows: Vec<Row>,
}

impl<'c> Table<'c> {
    /// A table without rows. Every side also becomes a benchmark of `criterion`.
    pub fn new(title: &'static str, criterion: &'c mut Criterion) -> Self {
        Self { title, criterion, brief: is_test(), rows: Vec::new(), server_rows: Vec::new() }
    }

    /// Compares the kit with its peer.
    pub fn compare(
        &mut self,
        name: impl Into<String>,
        mut peer: Side<impl FnMut(u64)>,
        mut kit: Side<impl FnMut(u64)>,
    ) {
        let name = name.into();
        let mut group = self.criterion.benchmark_group(format!("{}/{name}, against {}", self.title, peer.name));
        group.bench_function(peer.name, |b| b.iter_custom(|count| timed(&mut peer.run, count)));
        // Criterion wants names that differ, and the noise is measured between two of a name.
        let kit_name = if kit.name == peer.name { "again" } else { kit.name };
        group.bench_function(kit_name, |b| b.iter_custom(|count| timed(&mut kit.run, count)));
        group.finish();
        if is_profiled() {
            return;
        }
        let turns = if self.brief { 1 } else { TURNS };
        let (time, server_time) = alternate(&name, turns, self.brief, &mut peer, &mut kit);
        self.rows.push(time);
        self.server_rows.extend(server_time);
    }

    /// Prints the table.
    pub fn finish(self) {
        if self.rows.is_empty() {
            return;
        }
        print_rows(&format!("{}: time of a call", self.title), &self.rows);
        if !self.server_rows.is_empty() {
            print_rows(&format!("{}: processor time of the server's thread for a call", self.title), &self.server_rows);
        }
        if self.brief {
            println!("(one turn of {BRIEFLY} calls: these figures say only that it runs)");
        }
    }
}

/// Whether this is `cargo bench -- --test`: run everything once, quickly.
pub fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// Whether criterion runs chosen benchmarks for a profiler, which tables would be in the way of.
pub(crate) fn is_profiled() -> bool {
    std::env::args().any(|argument| argument == "--profile-time" || argument == "--list")
}

/// Criterion with the times that fit so many small comparisons.
pub fn criterion() -> Criterion {
    Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args()
}

fn alternate(
    name: &str,
    turns: usize,
    brief: bool,
    peer: &mut Side<impl FnMut(u64)>,
    kit: &mut Side<impl FnMut(u64)>,
) -> (Row, Option<Row>) {
    let count = if brief { BRIEFLY } else { calls_of_a_turn(&mut peer.run).min(calls_of_a_turn(&mut kit.run)) };
    let (mut peer_turns, mut kit_turns) = (Turns::default(), Turns::default());
    for _ in 0..turns {
        peer_turns.add(peer, count);
        kit_turns.add(kit, count);
    }
    let row =
        |peer_time, kit_time| Row { name: name.to_owned(), peer: (peer.name, peer_time), kit: (kit.name, kit_time) };
    let server_row = (!peer_turns.server.is_empty() && !kit_turns.server.is_empty())
        .then(|| row(median(&mut peer_turns.server), median(&mut kit_turns.server)));
    (row(median(&mut peer_turns.passed), median(&mut kit_turns.passed)), server_row)
}

/// The nanoseconds of a call, turn by turn.
#[derive(Default)]
struct Turns {
    passed: Vec<f64>,
    server: Vec<f64>,
}

impl Turns {
    fn add(&mut self, side: &mut Side<impl FnMut(u64)>, count: u64) {
        let before = side.server.as_ref().and_then(ServerThread::processor_time);
        let passed = timed(&mut side.run, count);
        let after = side.server.as_ref().and_then(ServerThread::processor_time);
        let of_a_call = |time: Duration| time.as_secs_f64() * 1e9 / count as f64;
        self.passed.push(of_a_call(passed));
        if let (Some(before), Some(after)) = (before, after) {
            self.server.push(of_a_call(after.saturating_sub(before)));
        }
    }
}

pub(crate) fn timed(run: &mut impl FnMut(u64), count: u64) -> Duration {
    let start = Instant::now();
    run(count);
    start.elapsed()
}

pub(crate) fn calls_of_a_turn(run: &mut impl FnMut(u64)) -> u64 {
    let mut count = 1;
    loop {
        let passed = timed(run, count);
        // A quarter is enough to tell how many calls fill a turn.
        if passed >= TURN / 4 {
            let fitting = count as f64 * TURN.as_secs_f64() / passed.as_secs_f64();
            return (fitting as u64).max(1);
        }
        count *= 2;
    }
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print_rows(title: &str, rows: &[Row]) {
    println!("\n{title} (medians of turns)");
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
    let peer_width = rows.iter().map(|row| row.peer.0.len()).max().unwrap_or_default();
    let kit_width = rows.iter().map(|row| row.kit.0.len()).max().unwrap_or_default();
    for row in rows {
        println!(
            "{:width$}  {:>kit_width$} {}  {:>peer_width$} {}  ratio {:.2}",
            row.name,
            row.kit.0,
            nanos(row.kit.1),
            row.peer.0,
            nanos(row.peer.1),
            row.ratio(),
        );
    }
}

fn nanos(time: f64) -> String {
    if time < 10_000.0 { format!("{time:>7.1} ns") } else { format!("{:>7.1} us", time / 1e3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_turn() {
        assert_eq!(median(&mut [5.0, 1.0, 900.0]), 5.0);
        assert!(median(&mut []).is_nan());
    }

    #[test]
    fn both_sides_do_the_same_number_of_calls() {
        let (mut first, mut second) = (0, 0);
        let mut peer = side("peer", |count| first += count);
        let mut kit = side("kit", |count| second += count);
        let (row, server) = alternate("row", 3, true, &mut peer, &mut kit);
        assert!(server.is_none() && row.ratio() > 0.0);
        assert_eq!((first, second), (3 * BRIEFLY, 3 * BRIEFLY));
    }
}
