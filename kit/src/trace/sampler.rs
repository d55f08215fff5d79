use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use tokio::time::Instant;

/// Which traces that begin here are recorded. In configuration it is a text.
///
/// ```
/// use kit::trace::Sample;
///
/// assert_eq!("always".parse(), Ok(Sample::Always));
/// assert_eq!("2.5%".parse(), Ok(Sample::Probability(0.025)));
/// assert_eq!("10/s".parse(), Ok(Sample::PerSecond(10.0)));
/// assert!("often".parse::<Sample>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Sample {
    /// `always`: every trace.
    Always,
    /// `never`: none; ids still travel.
    Never,
    /// `2.5%`: this share of the traces, 0.0 to 1.0, chosen by their ids, so that services with the same setting choose
    /// the same ones.
    Probability(f64),
    /// `10/s`: this many traces a second, and what comes beyond that is not recorded. None for a rate that is not above zero.
    PerSecond(f64),
}

/// Ten a second: who tries a service out sees every call, and under load the cost has a bound. It is the rate that the
/// documentation of Brave, Zipkin's own library, gives to its rate limiting sampler.
impl Default for Sample {
    fn default() -> Self {
        Self::PerSecond(10.0)
    }
}

/// Above this a rate limits nothing that one process could serve.
const HIGHEST_RATE: f64 = 1e6;
/// A trace in a day.
const LOWEST_RATE: f64 = 1.0 / 86_400.0;

impl FromStr for Sample {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is none of always, never, a share as \"10%\" or a rate as \"10/s\"");
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let text = text.trim();
        if let Some(share) = text.strip_suffix('%') {
            return match number(share).ok_or_else(wrong)? {
                share if (0.0..=100.0).contains(&share) => Ok(Self::Probability(share / 100.0)),
                _ => Err(format!("{text:?} is no share: use 0% to 100%")),
            };
        }
        if let Some(rate) = text.strip_suffix("/s") {
            return match number(rate).ok_or_else(wrong)? {
                rate if (LOWEST_RATE..=HIGHEST_RATE).contains(&rate) => Ok(Self::PerSecond(rate)),
                _ => Err(format!("{text:?} is no rate of use: use 0.0001/s to 1000000/s, always or never")),
            };
        }
        match text {
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Never => f.write_str("never"),
            Self::Probability(share) => write!(f, "{}%", share * 100.0),
            Self::PerSecond(rate) => write!(f, "{rate}/s"),
        }
    }
}

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Decides about traces that begin here.
#[derive(Debug)]
pub(super) enum Sampler {
    Always,
    Never,
    /// The randomness of a sampled trace is at least this.
    Threshold(u64),
    Rate(Rate),
}

/// The bits of a trace id that are promised to be random: the last 56, by level 2 of W3C Trace Context.
const RANDOM_BITS: u32 = 56;

impl Sampler {
    pub(super) fn new(sample: Sample) -> Self {
        match sample {
            Sample::Always => Self::Always,
            Sample::Never => Self::Never,
            Sample::Probability(share) if share >= 1.0 => Self::Always,
            // Written so that NaN is never.
            Sample::Probability(share) if share > 0.0 => {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 2^56, rounded")]
                let refused = ((1.0 - share) * (1u64 << RANDOM_BITS) as f64) as u64;
                Self::Threshold(refused)
            }
            Sample::Probability(_) => Self::Never,
            Sample::PerSecond(rate) if rate > 0.0 => Self::Rate(Rate::new(rate)),
            Sample::PerSecond(_) => Self::Never,
        }
    }

    /// Whether a trace is recorded; `random` is the end of its id.
    pub(super) fn sample(&self, random: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            // The comparison of OpenTelemetry's consistent probability sampling, so that its services choose alike.
            Self::Threshold(refused) => random & ((1 << RANDOM_BITS) - 1) >= *refused,
            Self::Rate(rate) => rate.admit(),
        }
    }
}

/// So many a second, with a second's worth at once after a pause: GCRA in one atomic.
#[derive(Debug)]
pub(super) struct Rate {
    start: Instant,
    /// Nanoseconds between two.
    interval: u64,
    /// How far ahead the schedule may be.
    ahead: u64,
    /// When the next one is due, in nanoseconds since `start`.
    due: AtomicU64,
}

impl Rate {
    fn new(rate: f64) -> Self {
        let interval = nanos(Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::from_secs(1)));
        let ahead = nanos(Duration::from_secs(1)).saturating_sub(interval);
        Self { start: Instant::now(), interval, ahead, due: AtomicU64::new(0) }
    }

    fn admit(&self) -> bool {
        let now = nanos(self.start.elapsed());
        let next = |due: u64| {
            let due = due.max(now);
            (due - now <= self.ahead).then(|| due.saturating_add(self.interval))
        };
        self.due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_written() {
        for text in ["always", "never", "10%", "0.5%", "100%", "0%", "10/s", "0.1/s"] {
            assert_eq!(text.parse::<Sample>().unwrap().to_string(), text);
        }
        for wrong in ["", "%", "101%", "-1%", "NaN%", "inf/s", "0/s", "-3/s", "10", "10/m", "Always"] {
            wrong.parse::<Sample>().unwrap_err();
        }
    }

    #[test]
    fn services_with_the_same_share_choose_the_same_traces() {
        let (few, more, other) = [0.1, 0.5, 0.1].map(|share| Sampler::new(Sample::Probability(share))).into();
        let mut chosen = 0;
        for _ in 0..10_000 {
            let id = fastrand::u64(..);
            assert_eq!(few.sample(id), other.sample(id));
            assert!(more.sample(id) || !few.sample(id), "what a small share takes, a larger one takes too");
            chosen += usize::from(few.sample(id));
        }
        // Ten standard deviations.
        assert!((700..1300).contains(&chosen), "{chosen}");
        assert!(!Sampler::new(Sample::Probability(f64::NAN)).sample(u64::MAX));
    }

    #[test]
    fn a_rate_that_is_none_records_nothing() {
        for rate in [0.0, -0.0, -3.0, f64::NAN, f64::NEG_INFINITY] {
            assert!(!Sampler::new(Sample::PerSecond(rate)).sample(u64::MAX), "{rate}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept_whoever_asks_how_often() {
        let sampler = Sampler::new(Sample::PerSecond(10.0));
        let burst = |count| (0..count).filter(|_| sampler.sample(0)).count();
        assert_eq!(burst(1000), 10);
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(burst(1000), 1);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(burst(1000), 10);
        let rare = Sampler::new(Sample::PerSecond(0.5));
        assert!(rare.sample(0) && !rare.sample(0));
        tokio::time::advance(Duration::from_millis(1999)).await;
        assert!(!rare.sample(0));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(rare.sample(0));
    }
}
