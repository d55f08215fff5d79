use std::time::Duration;

use crate::debug::{Refusal, answer::Query};

/// The longest CPU profile; Go has no limit, but a profile that runs for hours holds up all others.
pub(in crate::debug) const MAX_SECONDS: u32 = 300;

/// The most samples a second; above the ticks of the kernel there are none to be had.
const MAX_HZ: u32 = 999;

/// Samples a second when none are asked for: a prime-like rate, so that it does not run in step with timers of 10 ms.
pub(in crate::debug) const DEFAULT_HZ: u32 = 99;

/// What only recordings are asked.
impl Query {
    /// How long to record.
    pub(in crate::debug) fn seconds(&self, default: u32, max: u32) -> Result<Duration, Refusal> {
        let Some(text) = self.get("seconds") else { return Ok(Duration::from_secs(default.into())) };
        let range = 1.0..=f64::from(max);
        text.parse()
            .ok()
            .filter(|seconds| range.contains(seconds))
            .map(Duration::from_secs_f64)
            .ok_or_else(|| Refusal::bad_request(format!("seconds={text} must be a number from 1 to {max}")))
    }

    /// How often to sample.
    pub(in crate::debug) fn hz(&self, default: u32, max: u32) -> Result<u32, Refusal> {
        let Some(text) = self.get("hz") else { return Ok(default) };
        text.parse()
            .ok()
            .filter(|hz| (1..=max).contains(hz))
            .ok_or_else(|| Refusal::bad_request(format!("hz={text} must be a whole number from 1 to {max}")))
    }

    /// How often to sample stacks.
    pub(in crate::debug) fn sampling(&self) -> Result<u32, Refusal> {
        self.hz(DEFAULT_HZ, MAX_HZ)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Query {
        Query::read(&format!("/?{query}").parse().unwrap(), &["seconds", "hz"]).unwrap()
    }

    fn seconds(query: &str) -> Result<Duration, Refusal> {
        read(query).seconds(30, MAX_SECONDS)
    }

    #[test]
    fn reads_what_is_in_range() {
        assert_eq!(seconds("").unwrap(), Duration::from_secs(30));
        assert_eq!(seconds("&seconds=1.5&&hz=7").unwrap(), Duration::from_millis(1500));
        assert_eq!(seconds("%73econds=300").unwrap(), Duration::from_secs(300));
        assert_eq!(read("").sampling().unwrap(), 99);
    }

    #[test]
    fn refuses_what_is_out_of_range_and_says_the_range() {
        for wrong in ["1e9", "0", "-1", "0.99", "300.1", "", "NaN", "inf", "ten", "1+"] {
            let text = format!("{:?}", seconds(&format!("seconds={wrong}")).unwrap_err());
            assert!(text.contains("from 1 to 300") && text.contains("400"), "{wrong}: {text}");
        }
        for wrong in ["0", "1000", "99.5", "-1", "x"] {
            let query = read(&format!("hz={wrong}"));
            assert!(format!("{:?}", query.sampling().unwrap_err()).contains("from 1 to 999"), "{wrong}");
        }
    }
}
