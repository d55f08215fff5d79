//! Servers over loopback sockets, against their peers in the same run, with the bars that the project set itself.
//!
//! ```text
//! cargo bench -p benches --bench sockets                  # everything: about 13 minutes
//! cargo bench -p benches --bench sockets -- grpc-50       # scenarios by a part of their name
//! cargo bench -p benches --bench sockets -- --write       # everything, and RESULTS.md and the picture of all that was measured
//! cargo bench -p benches --bench sockets -- --only-write  # these alone, of what was measured before
//! cargo bench -p benches --bench sockets -- --test        # only that it runs
//! ```

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::path::Path;

use benches::{
    Failure,
    allocations::Counting,
    measure::is_test,
    report, scenarios,
    sockets::{Peers, Runner, Settings, Subjects},
};

// It counts nothing while servers in other processes are measured.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let mut failures = Vec::new();
    if !flag("--only-write") {
        let runner = Runner::new(Settings::from_env()?)?;
        let peers = Peers::build()?;
        let subjects = Subjects::new()?;
        let chosen = |key: &str| filters.is_empty() || filters.iter().any(|filter| key.contains(filter.as_str()));
        let all = scenarios::all(&subjects, &peers);
        for (rank, scenario) in all.iter().enumerate().filter(|(_, scenario)| chosen(scenario.key)) {
            let (mut results, failed) = scenario.run(&runner);
            results.rank = rank;
            results.write()?;
            failures.extend(failed);
        }
        if chosen("allocations") {
            scenarios::allocated::run()?.write()?;
        }
        if is_test() {
            println!("({:?} for each server: these figures say only that it runs)", runner.settings().duration);
        }
    }
    if flag("--write") || flag("--only-write") {
        report::write(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(format!("{} measurements failed:\n{}", failures.len(), failures.join("\n")).into()),
    }
}
