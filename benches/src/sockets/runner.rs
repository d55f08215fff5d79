use std::{path::PathBuf, process::Command, thread, time::Duration};

use tokio::time::Instant;

use super::{Driver, Load, Process, Report, Spread};
use crate::{Failure, measure::is_test};

/// The core of the servers.
pub const SERVER_CORE: usize = 0;

/// The core of the driver, and of what else is not measured.
pub const DRIVER_CORE: usize = 1;

/// A server that is measured.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What it is called in tables.
    pub name: String,
    /// What it was measured in: runtime, allocator, buffers.
    pub configuration: String,
    /// Its program.
    pub program: PathBuf,
    /// What the program is told.
    pub arguments: Vec<String>,
    /// What calls begin with: `grpc` or `http`.
    pub scheme: &'static str,
}

/// A subject and what it is asked.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is called in tables: by default as its subject.
    pub name: String,
    /// The server.
    pub subject: Subject,
    /// The path of the calls, with its slash: `/press.Press/Echo`.
    pub path: String,
    /// How many of them.
    pub load: Load,
}

impl Case {
    /// A subject under a load.
    pub fn new(subject: &Subject, path: impl Into<String>, load: &Load) -> Self {
        Self { name: subject.name.clone(), subject: subject.clone(), path: path.into(), load: load.clone() }
    }

    /// Under another name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }
}

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many turns each subject has.
    pub turns: usize,
    /// The measured time of a turn.
    pub duration: Duration,
    /// The time before that.
    pub warmup: Duration,
}

impl Settings {
    /// With `-- --test` only to see that it runs; otherwise 5 turns of 2.5 s after 0.5 s, or what the variables `KIT_BENCH_TURNS`, `KIT_BENCH_SECONDS` and `KIT_BENCH_WARMUP` say.
    ///
    /// # Errors
    /// When a variable is no number.
    pub fn from_env() -> Result<Self, Failure> {
        if is_test() {
            return Ok(Self::briefly());
        }
        Ok(Self {
            turns: (number("KIT_BENCH_TURNS", 5.0)? as usize).max(1),
            duration: Duration::try_from_secs_f64(number("KIT_BENCH_SECONDS", 2.5)?)?,
            warmup: Duration::try_from_secs_f64(number("KIT_BENCH_WARMUP", 0.5)?)?,
        })
    }

    /// Only to see that it runs.
    pub const fn briefly() -> Self {
        Self { turns: 1, duration: Duration::from_millis(400), warmup: Duration::ZERO }
    }
}

fn number(variable: &str, otherwise: f64) -> Result<f64, Failure> {
    match std::env::var(variable) {
        Ok(text) => text.parse().map_err(|error| format!("{variable}={text}: {error}").into()),
        Err(_) => Ok(otherwise),
    }
}

/// One turn of one case.
#[derive(Clone, Debug)]
pub struct Turn {
    /// What the driver saw.
    pub report: Report,
    /// Which share of a processor the server took; `None` where the system does not tell.
    pub server_share: Option<f64>,
    /// The memory of the server under load, in bytes.
    pub memory: Option<u64>,
    /// What the server said last.
    pub said: String,
}

impl Turn {
    /// Which share of a processor the driver took. Where it is all of it, the calls a second may be the driver's.
    pub fn driver_share(&self) -> f64 {
        self.report.driver_cpu_seconds / self.report.seconds
    }

    /// Nanoseconds of processor time that the server took for a call.
    pub fn processor_nanos(&self) -> f64 {
        self.server_share.map_or(f64::NAN, |share| share / self.report.rate * 1e9)
    }
}

/// All turns of one case.
#[derive(Clone, Debug)]
pub struct Samples {
    /// Of what.
    pub case: Case,
    /// In the order in which they were run.
    pub turns: Vec<Turn>,
    /// Why they are worth nothing.
    pub failure: Option<String>,
}

impl Samples {
    /// A figure of each turn.
    pub fn each(&self, figure: impl Fn(&Turn) -> f64) -> Vec<f64> {
        self.turns.iter().map(figure).collect()
    }

    /// The median of a figure.
    pub fn spread(&self, figure: impl Fn(&Turn) -> f64) -> Spread {
        Spread::of(self.each(figure))
    }

    /// Whether the server was busy all the time: otherwise the calls a second are those of the driver.
    pub fn is_saturated(&self) -> bool {
        self.spread(|turn| turn.server_share.unwrap_or(f64::NAN)).median >= BUSY
    }
}

/// Measures in turns.
#[derive(Clone, Debug)]
pub struct Runner {
    driver: Driver,
    settings: Settings,
}

impl Runner {
    /// With a driver on the second core.
    ///
    /// # Errors
    /// When there is no driver.
    pub fn new(settings: Settings) -> Result<Self, Failure> {
        Ok(Self { driver: Driver::build(DRIVER_CORE)?, settings })
    }

    /// Its settings.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// All cases in turns, each turn in a new process, so that neither what happens to the machine nor how a process was laid out in
    /// memory falls on one of them. A case that fails is not tried again.
    pub fn run(&self, cases: &[Case]) -> Vec<Samples> {
        let mut all: Vec<_> =
            cases.iter().map(|case| Samples { case: case.clone(), turns: Vec::new(), failure: None }).collect();
        for _ in 0..self.settings.turns {
            for samples in all.iter_mut().filter(|samples| samples.failure.is_none()) {
                match self.turn(&samples.case) {
                    Ok(turn) => {
                        samples.failure = turn.report.failure();
                        samples.turns.push(turn);
                    }
                    Err(failure) => samples.failure = Some(failure.to_string()),
                }
            }
        }
        all
    }

    /// One turn of one case.
    ///
    /// # Errors
    /// When the server or the driver can't run.
    pub fn turn(&self, case: &Case) -> Result<Turn, Failure> {
        let subject = &case.subject;
        let mut command = Command::new(&subject.program);
        command.args(&subject.arguments);
        let server = Process::start(command, SERVER_CORE)?;
        let url = format!("{}://{}{}", subject.scheme, server.address(), case.path);
        self.measure(&server, &url, &case.load)
    }

    /// Sends load to a server that runs.
    ///
    /// # Errors
    /// When the driver can't run.
    pub fn measure(&self, server: &Process, url: &str, load: &Load) -> Result<Turn, Failure> {
        let Settings { warmup, duration, .. } = self.settings;
        let load = if is_test() { &load.briefly() } else { load };
        thread::scope(|scope| {
            let driver = scope.spawn(|| self.driver.run(url, load, warmup, duration));
            let (mut looks, mut memory) = (Vec::new(), None);
            while !driver.is_finished() {
                looks.extend(server.processor_time().map(|time| (Instant::now(), time)));
                memory = server.memory().max(memory);
                wait(LOOK);
            }
            let end = Instant::now();
            let report = driver.join().map_err(|_| "the thread of the driver panicked")??;
            Ok(Turn { report, server_share: busy(&looks, end, duration), memory, said: server.said() })
        })
    }
}

/// The share of a processor from which on a server counts as busy all the time: the kernel's part of the work is not all told.
const BUSY: f64 = 0.9;

/// How often the processor time of a server is looked at.
const LOOK: Duration = Duration::from_millis(40);

/// The share of a processor that was taken in the measured time. The driver says only when it is done, so it is counted back from that,
/// without the edges, where it may be opening or closing connections.
fn busy(looks: &[(Instant, Duration)], end: Instant, duration: Duration) -> Option<f64> {
    let at = |back: f64| looks.iter().find(|(time, _)| *time + duration.mul_f64(back) >= end);
    let ((first, before), (last, after)) = (at(0.85)?, at(0.15).or(looks.last())?);
    let passed = last.duration_since(*first).as_secs_f64();
    (passed > 0.0).then(|| after.saturating_sub(*before).as_secs_f64() / passed)
}

#[expect(clippy::disallowed_methods, reason = "this thread has no tasks")]
fn wait(time: Duration) {
    thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_a_processor_is_that_of_the_measured_time() {
        let start = Instant::now();
        // A second of connecting at full speed, then a second of half of it.
        let look = |place: u64| {
            let passed = Duration::from_millis(place * 40);
            let busy = passed.min(Duration::from_secs(1)) + passed.saturating_sub(Duration::from_secs(1)) / 2;
            (start + passed, busy)
        };
        let looks: Vec<_> = (0..50).map(look).collect();
        let share = busy(&looks, start + Duration::from_secs(2), Duration::from_secs(1));
        assert!(share.is_some_and(|share| (share - 0.5).abs() < 0.001), "{share:?}");
        assert_eq!(busy(&[], start, Duration::from_secs(1)), None);
    }
}
