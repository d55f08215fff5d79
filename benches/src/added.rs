//! What a layer adds to a call: the call without it, with it and with each of its peers run in turns, and the differences are told.
//!
//! A ratio would say little here: the bare call is a few nanoseconds, so a layer of fifteen is "three times slower". The clock of
//! the machine is measured beside the layers, because reading it is most of what many of them do: figures are told in such
//! readings, too, which travel better from machine to machine than nanoseconds.

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use tokio::time::Instant;

use crate::{
    allocations::of_a_call,
    measure::{BRIEFLY, TURNS, calls_of_a_turn, is_profiled, is_test, median, timed},
};

/// One way to make a call: a name, and what makes a number of them.
pub struct Way<'a> {
    name: &'static str,
    run: Box<dyn FnMut(u64) + 'a>,
}

/// A way whose calls run one after the other in `run`, which is told how many.
pub fn way<'a>(name: &'static str, run: impl FnMut(u64) + 'a) -> Way<'a> {
    Way { name, run: Box::new(run) }
}

/// What was found of one way.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Nanoseconds that it adds to a call, the median of the turns.
    pub added: f64,
    /// The quartiles of the same.
    pub spread: (f64, f64),
    /// Allocations that it adds to a call.
    pub allocations: f64,
}

struct Row {
    name: String,
    cost: Cost,
    peer: Option<(&'static str, Cost)>,
}

/// The costs of one benchmark target; prints the table when it is finished.
pub struct Costs<'c> {
    title: &'static str,
    criterion: &'c mut Criterion,
    clock: f64,
    rows: Vec<Row>,
}

impl<'c> Costs<'c> {
    /// A table with the clock alone. Every way also becomes a benchmark of `criterion`.
    pub fn new(title: &'static str, criterion: &'c mut Criterion) -> Self {
        let mut costs = Self { title, criterion, clock: f64::NAN, rows: Vec::new() };
        let nothing = way("nothing", |count| (0..count).for_each(|call| _ = black_box(call)));
        let clock = way("Instant::now", |count| (0..count).for_each(|_| _ = black_box(Instant::now())));
        costs.clock = costs.compare("the clock, read once", nothing, clock, []).added;
        costs
    }

    /// What one reading of the clock takes, in nanoseconds.
    pub fn clock(&self) -> f64 {
        self.clock
    }

    /// Compares what `kit` adds to `bare` with what each of its peers adds. All of them run in turns.
    pub fn compare<'a>(
        &mut self,
        name: impl Into<String>,
        bare: Way<'a>,
        kit: Way<'a>,
        peers: impl IntoIterator<Item = Way<'a>>,
    ) -> Cost {
        let name = name.into();
        let mut ways: Vec<_> = [bare, kit].into_iter().chain(peers).collect();
        let mut group = self.criterion.benchmark_group(format!("{}/{name}", self.title));
        ways.iter_mut().for_each(|way| follow(&mut group, way));
        group.finish();
        let mut costs = if is_profiled() { Vec::new() } else { take_turns(&mut ways) }.into_iter();
        let cost =
            costs.next().unwrap_or(Cost { added: f64::NAN, spread: (f64::NAN, f64::NAN), allocations: f64::NAN });
        let peers: Vec<_> = ways.iter().skip(2).map(|way| way.name).zip(costs).collect();
        if peers.is_empty() {
            self.rows.push(Row { name, cost, peer: None });
        } else {
            self.rows.extend(peers.into_iter().map(|peer| Row { name: name.clone(), cost, peer: Some(peer) }));
        }
        cost
    }

    /// Prints the table, as the crate's `README.md` has it.
    pub fn finish(self) {
        if is_profiled() {
            return;
        }
        println!("\n{}: what it adds to a call (median and quartiles of {TURNS} turns)\n", self.title);
        println!(
            "| layer | added | quartiles | clock reads | allocations | peer | peer adds | quartiles | allocations | ratio |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|");
        for Row { name, cost, peer } in &self.rows {
            let ours = format!(
                "{name} | {} | {} | {:.1} | {:.1}",
                nanos(cost.added),
                quartiles(cost.spread),
                cost.added / self.clock,
                cost.allocations
            );
            match peer {
                None => println!("| {ours} | | | | | |"),
                Some((peer, theirs)) => println!(
                    "| {ours} | {peer} | {} | {} | {:.1} | {:.2} |",
                    nanos(theirs.added),
                    quartiles(theirs.spread),
                    theirs.allocations,
                    cost.added / theirs.added
                ),
            }
        }
        if is_test() {
            println!("(one turn of {BRIEFLY} calls: these figures say only that it runs)");
        }
    }
}

fn follow(group: &mut BenchmarkGroup<'_, WallTime>, way: &mut Way<'_>) {
    group.bench_function(way.name, |b| b.iter_custom(|count| timed(&mut way.run, count)));
}

/// The costs of all ways but the first, which is what the others are compared with.
fn take_turns(ways: &mut [Way<'_>]) -> Vec<Cost> {
    let turns = if is_test() { 1 } else { TURNS };
    let counts: Vec<_> =
        ways.iter_mut().map(|way| if is_test() { BRIEFLY } else { calls_of_a_turn(&mut way.run) }).collect();
    let mut times = vec![Vec::with_capacity(turns); ways.len()];
    for _ in 0..turns {
        for ((way, count), times) in ways.iter_mut().zip(&counts).zip(&mut times) {
            times.push(of_one(timed(&mut way.run, *count), *count));
        }
    }
    let allocations: Vec<_> = ways.iter_mut().map(|way| of_a_call(&mut way.run).0).collect();
    let Some((bare, times)) = times.split_first() else { return Vec::new() };
    let base = allocations.first().copied().unwrap_or_default();
    times
        .iter()
        .zip(allocations.iter().skip(1))
        .map(|(times, allocations)| {
            // Turn by turn, so that what slows the machine down for a while falls out.
            let mut added: Vec<_> = times.iter().zip(bare).map(|(with, without)| with - without).collect();
            let median = median(&mut added);
            let quarter = |of: usize| added.get(added.len() * of / 4).copied().unwrap_or(f64::NAN);
            Cost { added: median, spread: (quarter(1), quarter(3)), allocations: allocations - base }
        })
        .collect()
}

fn of_one(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}

fn nanos(time: f64) -> String {
    format!("{time:.1} ns")
}

fn quartiles((low, high): (f64, f64)) -> String {
    format!("{low:.1} to {high:.1}")
}
