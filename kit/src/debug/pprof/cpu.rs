//! CPU profiles by the crate `pprof`: a signal that comes with the CPU time of the process, and takes the stack it meets.
//!
//! The handler of the signal must not allocate: it may have met the allocator in the middle of its work. The crate's handler
//! does not, but for its first sample, for which it reads the unwind information of all that is mapped. So it is made to do
//! that beforehand, outside of a signal: see [`prepare`].

use std::{
    fmt, ptr,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use ::pprof::{ProfilerGuard, ProfilerGuardBuilder};
use http::StatusCode;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Mappings, Profiles, Turn,
    samples::{Samples, Stack, Unit},
    symbols::{Line, Location, Symbols},
};
use crate::debug::Refusal;

/// What a sample counts, as Go has it.
const UNITS: [Unit; 2] = [Unit { kind: "samples", unit: "count" }, Unit { kind: "cpu", unit: "nanoseconds" }];

/// Libraries in which no sample is taken. To tell functions apart, libgcc asks the dynamic linker, which may be what the
/// signal has met; and the unwind information of the vDSO is wrong in some distributions. Written so that they match a file
/// and not a folder, or the program itself.
const NOT_IN: [&str; 7] = ["/libc.so", "/libc-2.", "/libgcc_s", "/libpthread", "/ld-linux", "/ld-musl", "-vdso.so"];

/// What the time is called of which no sample tells.
const NOT_SAMPLED: &str = "[not sampled: libc, kernel]";

/// How long a stop of the server waits for a profile that it has cut short to be written.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Records for a time; less when the server stops. Dropping the future ends the recording.
pub(in crate::debug) async fn record(
    profiles: &Profiles,
    turn: Turn,
    length: Duration,
    hz: u32,
) -> Result<Recorded, Refusal> {
    let recorded = Recorded(Some(profiles.blocking(move |_, _| Recording::start(turn, hz)).await?));
    tokio::select! {
        () = tokio::time::sleep(length) => {}
        () = profiles.stopped() => {}
    }
    Ok(recorded)
}

/// A recording, which ends here or on another thread when it is dropped: the profiler frees what it has gathered, which takes a
/// while.
pub(in crate::debug) struct Recorded(Option<Recording>);

impl Recorded {
    /// Ends the recording and finds the names of its functions.
    pub(in crate::debug) async fn finish(mut self, profiles: &Profiles) -> Result<Samples, Refusal> {
        let Some(recording) = self.0.take() else { return Err(Refusal::stopping()) };
        let finished = profiles.blocking(move |symbols, abandoned| recording.finish(symbols, abandoned));
        tokio::select! {
            samples = finished => samples,
            () = async { profiles.stopped().await; tokio::time::sleep(STOP_GRACE).await } => Err(Refusal::stopping()),
        }
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let Some(recording) = self.0.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn_blocking(move || drop(recording)));
        }
    }
}

/// A profiler that runs. The order of the fields is the order in which they go: the next may record when this one has ended.
struct Recording {
    profiler: ProfilerGuard<'static>,
    hz: u32,
    started: SystemTime,
    since: Instant,
    cpu_time: Duration,
    _turn: Turn,
}

impl Recording {
    /// Blocks: the first one of a process reads the unwind information of all that is mapped.
    fn start(turn: Turn, hz: u32) -> Result<Self, Refusal> {
        static PREPARED: OnceLock<()> = OnceLock::new();
        PREPARED.get_or_init(prepare);
        let hz = hz.min(ticks());
        let profiler = ProfilerGuardBuilder::default()
            .frequency(i32::try_from(hz).unwrap_or(i32::MAX))
            .blocklist(&NOT_IN)
            .build()
            .map_err(|error| match error {
                // It is made once in a process, and stays what it was.
                ::pprof::Error::CreatingError => no_folder(),
                // Ours have ended: the turn says so.
                ::pprof::Error::Running if is_ignored(&std::fs::read_to_string(STATUS).unwrap_or_default()) => {
                    no_folder()
                }
                ::pprof::Error::Running => Refusal::new(
                    StatusCode::CONFLICT,
                    "the program itself uses the profiler, of which there is one in a process",
                ),
                error => Refusal::failed("the profiler does not start", &error),
            })?;
        let (started, since) = (SystemTime::now(), Instant::now());
        Ok(Self { profiler, hz, started, since, cpu_time: cpu_time(), _turn: turn })
    }

    /// Blocks while functions are looked up.
    fn finish(self, symbols: &Symbols, abandoned: &CancellationToken) -> Result<Samples, Refusal> {
        // The turn first, so that it is the last to go on an early return too.
        let Self { _turn, profiler, hz, started, since, cpu_time: before } = self;
        let (length, cpu_time) = (since.elapsed(), cpu_time().saturating_sub(before));
        let report = profiler
            .report()
            .build_unresolved()
            .map_err(|error| Refusal::failed("the samples of the profiler can't be read", &error))?;
        drop(profiler);
        let period = 1_000_000_000 / i64::from(hz);
        let mut samples = Samples {
            units: &UNITS,
            default: "cpu",
            stacks: Default::default(),
            period: (UNITS[1], period),
            started,
            length,
            mappings: Mappings::of_this_process(),
            comment: String::new(),
        };
        let mut taken = 0;
        for (stack, count) in report.data {
            // The one that `prepare` took has no frames.
            if stack.frames.is_empty() {
                continue;
            }
            if abandoned.is_cancelled() {
                return Err(Refusal::stopping());
            }
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            taken += count;
            let name = stack.thread_name.get(..stack.thread_name_length).unwrap_or_default();
            let locations = stack.frames.iter().enumerate().map(|(index, frame)| {
                // All but the innermost are where their callees return to, which is behind the call.
                let address = if index == 0 { frame.ip } else { frame.ip.saturating_sub(1) };
                symbols.locate(address as u64, &samples.mappings)
            });
            let stack =
                Stack { locations: locations.collect(), thread: Some(String::from_utf8_lossy(name).into_owned()) };
            samples.add(stack, &[count, count.saturating_mul(period)]);
        }
        let missing = (cpu_time.as_secs_f64() * f64::from(hz)).round() as i64 - taken;
        if missing > 0 {
            let line = Line { function: NOT_SAMPLED.into(), file: "".into(), line: 0 };
            let location = Location { address: 0, lines: [line].into() };
            let stack = Stack { locations: vec![location], thread: None };
            samples.add(stack, &[missing, missing.saturating_mul(period)]);
        }
        samples.comment = format!("{taken} samples at {hz} Hz of {cpu_time:.2?} of CPU time in {length:.2?}");
        Ok(samples)
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("hz", &self.hz).finish_non_exhaustive()
    }
}

/// The profiler makes an empty file before the first recording and after each, and is of no use any more when it can't.
fn no_folder() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the profiler could not make an empty file in the temporary folder: make room there, or set TMPDIR to a folder that can be \
         written, and restart the program to record",
    )
}

/// What the kernel says of this process.
const STATUS: &str = "/proc/self/status";

/// Whether the process ignores the signal of the profiler, which then takes no samples, whoever says that it runs: it gives the
/// signal up first when it ends.
fn is_ignored(status: &str) -> bool {
    /// SIGPROF is 27 on all systems that have this file; the mask begins with signal 1.
    const PROFILE: u64 = 1 << 26;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & PROFILE != 0)
}

/// How often a second the kernel looks whether a process has used its time: there are no more samples than that.
fn ticks() -> u32 {
    #[cfg(target_os = "linux")]
    {
        // This clock goes on at each tick.
        let tick = rustix::time::clock_getres(ClockId::MonotonicCoarse);
        u32::try_from(1_000_000_000 / tick.tv_nsec.max(1)).unwrap_or(u32::MAX).max(1)
    }
    #[cfg(not(target_os = "linux"))]
    u32::MAX
}

/// What the processors have spent on this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Makes the profiler do outside of a signal what it would do at its first: open files, read them, allocate.
#[allow(unsafe_code, reason = "the crate has no other way to be prepared, and unprepared its signal handler allocates")]
fn prepare() {
    unsafe extern "C" {
        /// The handler of the crate `pprof`.
        fn perf_signal_handler(signal: i32, info: *mut std::ffi::c_void, context: *mut std::ffi::c_void);
    }
    // SAFETY: the handler asks first whether the context is null, and takes a stack without frames then. It is an ordinary
    // function that guards its state by a lock which it only tries, and no signal is under way: no profiler has been started.
    unsafe { perf_signal_handler(0, ptr::null_mut(), ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profiler_whose_end_failed_is_known_by_its_signal() {
        assert!(is_ignored("SigBlk:\t0000000000000000\nSigIgn:\t0000000004001000\nSigCgt:\t0\n"));
        assert!(!is_ignored("SigIgn:\t0000000000001000\nSigCgt:\t0000000004000000\n"));
        assert!(!is_ignored(""));
    }
}
