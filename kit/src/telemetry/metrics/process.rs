use std::time::{Duration, SystemTime};

use super::Metrics;
use crate::Error;

/// What the operating system says of this process. On systems other than Linux nothing is known: every field is `None`.
///
/// ```
/// use kit::telemetry::metrics::ProcessFigures;
///
/// let now = ProcessFigures::read();
/// if cfg!(target_os = "linux") {
///     assert!(now.resident_memory.is_some_and(|bytes| bytes > 0));
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessFigures {
    /// The time that all threads spent on processors, in user code and in the kernel.
    pub cpu: Option<Duration>,
    /// The memory that is in use, in bytes.
    pub resident_memory: Option<u64>,
    /// The memory that is mapped, in bytes.
    pub virtual_memory: Option<u64>,
    /// The threads.
    pub threads: Option<u64>,
    /// The files, sockets and the like that are open.
    pub open_fds: Option<u64>,
    /// The most that may be open; `None` also when there is no limit.
    pub max_fds: Option<u64>,
}

impl ProcessFigures {
    /// Reads `/proc`: a few microseconds, and more where thousands of files are open. Does not fail: what can't be read is
    /// `None`.
    pub fn read() -> Self {
        Self {
            cpu: system::cpu(),
            resident_memory: system::resident_memory(),
            virtual_memory: system::virtual_memory(),
            threads: system::threads(),
            open_fds: system::open_fds(),
            max_fds: system::max_fds(),
        }
    }

    /// When the process was started.
    pub fn started() -> Option<SystemTime> {
        system::started()
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::{
        fs,
        time::{Duration, SystemTime},
    };

    use rustix::{
        param::clock_ticks_per_second,
        process::{Resource, getrlimit},
        time::{ClockId, clock_gettime},
    };

    pub(super) fn cpu() -> Option<Duration> {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
    }

    pub(super) fn resident_memory() -> Option<u64> {
        Some(status("VmRSS:")? * 1024)
    }

    pub(super) fn virtual_memory() -> Option<u64> {
        Some(status("VmSize:")? * 1024)
    }

    pub(super) fn threads() -> Option<u64> {
        status("Threads:")
    }

    pub(super) fn open_fds() -> Option<u64> {
        // The folder itself is open while it is read.
        fs::read_dir("/proc/self/fd").ok().map(|open| open.count().saturating_sub(1) as u64)
    }

    pub(super) fn max_fds() -> Option<u64> {
        getrlimit(Resource::Nofile).current
    }

    /// A number of `status`; those of memory are in KiB.
    fn status(name: &str) -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    }

    /// The 22nd field of `stat` counts ticks from the start of the system; the second is the name of the program in
    /// parentheses, and may have any characters.
    pub(super) fn started() -> Option<SystemTime> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let ticks: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
        let system = fs::read_to_string("/proc/stat").ok()?;
        let boot: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        let seconds = boot + ticks / clock_ticks_per_second() as f64;
        SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::{Duration, SystemTime};

    macro_rules! unknown {
        ($($name:ident: $type:ty;)*) => {
            $(pub(super) fn $name() -> Option<$type> {
                None
            })*
        };
    }

    unknown! {
        cpu: Duration;
        resident_memory: u64;
        virtual_memory: u64;
        threads: u64;
        open_fds: u64;
        max_fds: u64;
        started: SystemTime;
    }
}

type Figure = fn() -> Option<u64>;

impl Metrics {
    /// Adds the figures of the process, by the names that all Prometheus clients use (`process_cpu_seconds_total`,
    /// `process_resident_memory_bytes`, ...), and `kit_build_info`. They are of the whole process: where several services
    /// share one, each may show them.
    ///
    /// On systems other than Linux only `kit_build_info` is added.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when figures of another type have one of the names.
    pub fn observe_process(&self) -> Result<(), Error> {
        let build = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("profile", if cfg!(debug_assertions) { "debug" } else { "release" }),
            ("os", std::env::consts::OS),
            ("arch", std::env::consts::ARCH),
        ];
        self.gauge_fn("kit_build_info", "The kit that the service is built with.", &build, || 1.0)?;
        if let Some(started) = ProcessFigures::started() {
            let started = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            let help = "When the process was started, in seconds since 1970.";
            self.gauge_fn("process_start_time_seconds", help, &[], move || started)?;
        }
        if system::cpu().is_some() {
            let help = "Time of all threads on processors, in user code and in the kernel.";
            let read = || system::cpu().map_or(f64::NAN, |time| time.as_secs_f64());
            self.counter_fn("process_cpu_seconds_total", help, &[], read)?;
        }
        let figures: [(&str, &str, Figure); 5] = [
            ("process_resident_memory_bytes", "Memory in use.", system::resident_memory),
            ("process_virtual_memory_bytes", "Memory that is mapped.", system::virtual_memory),
            ("process_threads", "Threads of the process.", system::threads),
            ("process_open_fds", "Open files, sockets and the like.", system::open_fds),
            ("process_max_fds", "The most files, sockets and the like that may be open.", system::max_fds),
        ];
        for (name, help, read) in figures.into_iter().filter(|(_, _, read)| read().is_some()) {
            self.gauge_fn(name, help, &[], move || read().map_or(f64::NAN, |now| now as f64))?;
        }
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn figures_follow_what_the_process_does() {
        let before = ProcessFigures::read();
        let open: Vec<_> = (0..100).map(|_| std::fs::File::open("/proc/self/status").unwrap()).collect();
        let memory = std::hint::black_box(vec![1u8; 64 << 20]);
        let during = ProcessFigures::read();
        // Other tests run in this process, so only what is large tells.
        assert!(during.open_fds.unwrap() >= before.open_fds.unwrap() + 50, "{before:?} {during:?}");
        assert!(
            during.resident_memory.unwrap() >= before.resident_memory.unwrap() + (32 << 20),
            "{before:?} {during:?}"
        );
        assert!(during.virtual_memory >= during.resident_memory);
        assert!(during.cpu.unwrap() > before.cpu.unwrap());
        assert!(during.threads.unwrap() >= 1 && during.max_fds.unwrap() >= during.open_fds.unwrap());
        drop((open, memory));
    }

    #[test]
    fn the_process_was_started_a_moment_ago_and_always_at_the_same_time() {
        let started = ProcessFigures::started().unwrap();
        assert_eq!(ProcessFigures::started(), Some(started));
        // The time of boot is known by the second.
        let now = SystemTime::now() + Duration::from_secs(2);
        let age = now.duration_since(started).unwrap();
        assert!(age < Duration::from_secs(24 * 60 * 60), "{age:?}");
    }
}
