//! The measurement, and its table.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use prost::Message as _;

use super::{
    by_hand::proto::details::DetailReq,
    program::{Demo, Side},
};
use crate::{
    Failure,
    results::{Results, Row, Unit},
    sockets::{Driver, Load, Process, Report, Spread},
};

/// The core of all services, and that of the load.
const SERVICES: usize = 0;
const LOAD: usize = 1;

/// As a gateway has it: a few connections with many calls on each.
const CONNECTIONS: u32 = 10;
const STREAMS: u32 = 10;

/// Which share of the peak the load is.
const SHARE: f64 = 0.7;

/// How much slower the kit's p99 may be.
const BAR: f64 = 1.10;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Pairs of turns.
    pub turns: usize,
    /// How long a turn is.
    pub time: Duration,
    /// How long calls come before that.
    pub warmup: Duration,
    /// How often the median of the turns is taken again from turns chosen by chance.
    pub draws: usize,
}

impl Scale {
    /// As it is meant.
    pub const WHOLE: Self =
        Self { turns: 11, time: Duration::from_secs(3), warmup: Duration::from_millis(500), draws: 2000 };

    /// Only that it runs.
    pub const BRIEF: Self =
        Self { turns: 1, time: Duration::from_millis(500), warmup: Duration::from_millis(50), draws: 10 };
}

/// A folder that is gone with the value.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("benches-bookinfo-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    fn sub(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = self.0.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the system's folder for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Both sides on databases with the same rows.
fn start(folder: &Folder, collector: SocketAddr) -> Result<(Side, Side), Failure> {
    let demo = Demo::build()?;
    let (ours, theirs) = (folder.sub("demo")?, folder.sub("by-hand")?);
    // The demo makes its databases; the other side gets copies.
    Side::demo(&demo, &ours, collector, SERVICES)?.stop()?;
    copy(&ours, &theirs)?;
    Ok((Side::demo(&demo, &ours, collector, SERVICES)?, Side::by_hand(&theirs, SERVICES)?))
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if let (Some(name), Some("db" | "db-wal" | "db-shm")) =
            (path.file_name(), path.extension().and_then(|extension| extension.to_str()))
        {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

fn good(report: Report) -> Result<Report, Failure> {
    match report.failure() {
        Some(failure) => Err(failure.into()),
        None => Ok(report),
    }
}

/// Runs both sides in turns at 70 % of what the side by hand can at most: how long calls took. The program `servers` has a collector
/// of spans.
///
/// # Errors
/// When a program does not come up, or a call fails.
pub fn compare(scale: &Scale, servers: &Path, results: &mut Results) -> Result<(), Failure> {
    let folder = Folder::new()?;
    let mut collector = Command::new(servers);
    collector.arg("sink");
    let collector = Process::start(collector, LOAD)?;
    let (ours, theirs) = start(&folder, collector.address())?;
    let driver = Driver::build(LOAD)?;
    let full = Load::closed(CONNECTIONS, STREAMS, DetailReq { id: 1 }.encode_to_vec());
    let call = |side: &Side, load: &Load| {
        let url = format!("grpc://{}/details.BookDetails/Detail", side.address());
        good(driver.run(&url, load, scale.warmup, scale.time)?)
    };
    println!("bookinfo: details with SQLite and comments over gRPC; {CONNECTIONS} connections x {STREAMS} calls");
    println!(
        "all services on core {SERVICES}, the load on core {LOAD}; programs {:?} and {:?}",
        ours.ids(),
        theirs.ids()
    );
    // The first run is for the caches.
    call(&theirs, &full)?;
    let peak = call(&theirs, &full)?.rate;
    call(&ours, &full)?;
    let our_peak = call(&ours, &full)?.rate;

    let rate = (peak * SHARE).max(1.0) as u32;
    let load = full.at(rate);
    let (mut p50, mut p99) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for turn in 0..scale.turns {
        // Who comes first changes, so that it is nobody's gain.
        for place in [turn % 2, (turn + 1) % 2] {
            let side = [&theirs, &ours][place];
            let report = call(side, &load)?;
            p50[place].push(report.latency_us.p50);
            p99[place].push(report.latency_us.p99);
        }
    }
    println!("at {rate} calls/s, 70 % of that; us, medians of {} turns and their quartiles", scale.turns);
    let configuration = "multi-thread runtimes, services on one core; allocator: jemalloc";
    for (name, [theirs, ours]) in [("p50", &p50), ("p99", &p99)] {
        let [hand, demo] = [theirs, ours].map(|figures| Spread::of(figures.iter().copied()));
        for (who, Spread { median, low, high }) in [("by hand", hand), ("the demo", demo)] {
            println!("{name} {who:8} {median:>8.0} ({low:.0} to {high:.0})");
        }
        let (low, high) = interval(ours, theirs, scale.draws);
        let row = Row::new(
            format!("bookinfo at 70 % of the peak, {name}"),
            "by hand",
            demo.median / hand.median,
            Unit::Ratio,
        );
        let row =
            row.measured_in(configuration).note(format!("95 % of draws: {low:.2} to {high:.2}; at {rate} calls/s"));
        let ratio = Spread::of_ratios(ours, theirs);
        let row = row.spread(ratio.low, ratio.high);
        results.record(if name == "p99" { row.at_most(BAR) } else { row });
    }
    let row = Row::new("bookinfo at full speed", "by hand", our_peak / peak, Unit::Ratio);
    results.record(row.measured_in(configuration).note(format!("{our_peak:.0} and {peak:.0} calls/s")));
    Ok(())
}

/// Between what the quotient of the medians lies, if the turns are drawn again and again by chance (a bootstrap).
fn interval(ours: &[f64], theirs: &[f64], draws: usize) -> (f64, f64) {
    let mut random = fastrand::Rng::with_seed(1);
    let mut drawn = |figures: &[f64]| {
        let chosen: Vec<f64> = (0..figures.len()).filter_map(|_| random.choice(figures).copied()).collect();
        Spread::of(chosen).median
    };
    let mut ratios: Vec<f64> = (0..draws.max(1)).map(|_| drawn(ours) / drawn(theirs)).collect();
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| ratios.get((ratios.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    (at(0.025), at(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_has_the_quotient_in_it_and_is_narrow_where_turns_agree() {
        let (low, high) = interval(&[2.0; 9], &[1.0; 9], 100);
        assert_eq!((low, high), (2.0, 2.0));
        let (low, high) = interval(&[1.0, 2.0, 3.0, 4.0, 5.0], &[1.0; 5], 500);
        assert!(low < 3.0 && high > 3.0, "{low} {high}");
    }
}
