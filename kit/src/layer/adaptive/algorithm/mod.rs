//! How a limit moves. Each algorithm is told what a window of calls was like, and says how many may run.

mod aimd;
mod gradient2;
mod vegas;

use std::time::Duration;

pub use aimd::Aimd;
pub(super) use aimd::{BACKOFF, SLOW};
pub use gradient2::Gradient2;
pub(super) use gradient2::{LONG_WINDOW, SMOOTHING, TOLERANCE};
pub use vegas::Vegas;

/// What a window of calls was like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// How long the calls took that were answered, on average.
    pub rtt: Duration,
    /// The most calls that ran when one of them began.
    pub in_flight: u32,
    /// Whether one failed by overload.
    pub dropped: bool,
}

/// An algorithm that moves a limit.
///
/// ```
/// use kit::layer::adaptive::{Aimd, Limit, Sample};
/// use std::time::Duration;
///
/// let mut limit = Aimd::new(100.0, 0.9, Duration::from_secs(5));
/// let overload = Sample { rtt: Duration::from_millis(20), in_flight: 100, dropped: true };
/// assert_eq!(limit.update(&overload), 90.0);
/// ```
pub trait Limit: Send + 'static {
    /// Learns from a window, and says what the limit is now. The caller keeps it between its bounds, and tells by
    /// [`set`](Self::set) when it had to.
    fn update(&mut self, sample: &Sample) -> f64;

    /// What the limit is.
    fn limit(&self) -> f64;

    /// Sets the limit.
    fn set(&mut self, limit: f64);

    /// Learns how long calls take with so few at once that fewer would not be faster: without load.
    fn rebase(&mut self, rtt: Duration) {
        let _ = rtt;
    }
}

/// Where fewer calls run than half of the limit, they tell nothing about whether it could be higher.
fn is_used(in_flight: u32, limit: f64) -> bool {
    f64::from(in_flight) * 2.0 >= limit
}
