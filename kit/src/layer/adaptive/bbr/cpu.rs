use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Says how busy the processors are.
///
/// ```
/// use kit::layer::adaptive::bbr::{Bbr, BbrConfig, CpuSource};
/// use std::time::Duration;
///
/// struct Busy;
///
/// impl CpuSource for Busy {
///     fn usage(&mut self, _passed: Duration) -> Option<f64> {
///         Some(0.95)
///     }
/// }
///
/// let bbr = Bbr::with_cpu(&BbrConfig::default(), Busy)?;
/// # let _ = bbr;
/// # Ok::<(), kit::Error>(())
/// ```
pub trait CpuSource: Send + 'static {
    /// The share of all processors that was in use, from 0 to 1, since this was asked last, which is `passed` ago; zero with
    /// the first question. `None` when it is not known. Must not wait: a call asks on its way.
    fn usage(&mut self, passed: Duration) -> Option<f64>;
}

/// How busy the processors were of late: an average that forgets.
pub(super) struct CpuLoad {
    /// A share, as the bits of an `f64`.
    value: AtomicU64,
    /// When it is time to look again, in nanoseconds.
    next: AtomicU64,
    // For who looks. Nobody waits for it.
    source: Mutex<Looking>,
}

struct Looking {
    source: Box<dyn CpuSource>,
    last: Option<u64>,
}

impl CpuLoad {
    pub(super) fn new(source: Box<dyn CpuSource>) -> Self {
        Self {
            value: AtomicU64::new(0.0_f64.to_bits()),
            next: AtomicU64::new(0),
            source: Mutex::new(Looking { source, last: None }),
        }
    }

    /// The load without looking.
    pub(super) fn last(&self) -> f64 {
        f64::from_bits(self.value.load(Ordering::Relaxed))
    }

    /// The load; looks when it is time to, by an interval in nanoseconds and the weight of what is known.
    #[inline]
    pub(super) fn at(&self, now: u64, settings: impl FnOnce() -> (u64, f64)) -> f64 {
        let next = self.next.load(Ordering::Relaxed);
        if now < next {
            return self.last();
        }
        let (interval, decay) = settings();
        let interval = interval.max(1);
        let after = now.saturating_add(interval);
        if self.next.compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.look(now, interval, decay);
        }
        self.last()
    }

    #[cold]
    fn look(&self, now: u64, interval: u64, decay: f64) {
        let mut looking = match self.source.try_lock() {
            Ok(looking) => looking,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            // A look that takes longer than the interval.
            Err(std::sync::TryLockError::WouldBlock) => return,
        };
        let passed = looking.last.map_or(0, |last| now.saturating_sub(last));
        looking.last = Some(now);
        let Some(usage) = looking.source.usage(Duration::from_nanos(passed)).filter(|usage| usage.is_finite()) else {
            return;
        };
        // Where nobody called for long, the last value has lost as much of its weight as with looks in between.
        let looks = (passed as f64 / interval as f64).max(1.0);
        let kept = decay.powf(looks);
        let value = self.last() * kept + usage.clamp(0.0, 1.0) * (1.0 - kept);
        self.value.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl fmt::Debug for CpuLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CpuLoad").field(&self.last()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says one thing after the other, and at last the same for ever.
    struct Script(Vec<Option<f64>>);

    impl CpuSource for Script {
        fn usage(&mut self, _: Duration) -> Option<f64> {
            if self.0.len() > 1 { self.0.remove(0) } else { self.0[0] }
        }
    }

    const LOOK: u64 = 100;

    #[test]
    fn a_look_is_taken_once_an_interval() {
        let load = CpuLoad::new(Box::new(Script(vec![None, Some(1.0), Some(0.0)])));
        assert_eq!(load.at(0, || (LOOK, 0.5)), 0.0);
        assert_eq!(load.at(99, || (LOOK, 0.5)), 0.0);
        assert_eq!(load.at(100, || (LOOK, 0.5)), 0.5);
        assert_eq!(load.at(150, || (LOOK, 0.5)), 0.5);
        assert_eq!(load.at(200, || (LOOK, 0.5)), 0.25);
        // As much is forgotten in a pause as without one.
        assert_eq!(load.at(400, || (LOOK, 0.5)), 0.0625);
        // A clock that goes back does no harm.
        assert_eq!(load.at(0, || (LOOK, 0.5)), 0.0625);
    }

    #[test]
    fn nonsense_is_passed_over() {
        let load = CpuLoad::new(Box::new(Script(vec![Some(f64::NAN), Some(7.0), Some(-7.0)])));
        assert_eq!(load.at(0, || (LOOK, 0.0)), 0.0);
        assert_eq!(load.at(100, || (LOOK, 0.0)), 1.0);
        assert_eq!(load.at(200, || (LOOK, 0.0)), 0.0);
    }
}
