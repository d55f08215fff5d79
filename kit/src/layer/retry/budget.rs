use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::tokens::{Tokens, Worth};
use crate::{
    Context, Error,
    validate::{Validate, Violations},
};

/// A fifth: the default of Finagle's `RetryBudget` and of Envoy's retry budgets.
const RATIO: f64 = 0.2;
/// Finagle's `minRetriesPerSec`: so that services with few calls can retry at all.
const PER_SECOND: f64 = 10.0;
/// One in a quarter of an hour: less is none.
const LEAST_PER_SECOND: f64 = 0.001;
/// Ten seconds of the reserve: what Finagle's window of ten seconds (`ttl`) keeps.
const BURST: u32 = 100;

/// How many attempts may be made beyond the first ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetConfig {
    /// So many for each call, 0 to 1. Default: 0.2.
    pub ratio: f64,
    /// And so many each second, whatever the calls. Default: 10.
    pub per_second: f64,
    /// At most so many are saved up, and a new budget has that many. Default: 100.
    pub burst: u32,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self { ratio: RATIO, per_second: PER_SECOND, burst: BURST }
    }
}

/// Refuses budgets that never fill.
impl Validate for BudgetConfig {
    fn validate(&self, report: &mut Violations) {
        let Self { ratio, per_second, burst } = self;
        if !(0.0..=1.0).contains(ratio) {
            report.add("ratio", format!("is {ratio}: use 0 to 1, the share of calls that may be repeated"));
        }
        if *per_second != 0.0 && !(LEAST_PER_SECOND..=100_000.0).contains(per_second) {
            report.add("per_second", format!("is {per_second}: use 0, or {LEAST_PER_SECOND} to 100000"));
        }
        if !(1..=1_000_000).contains(burst) {
            report.add("burst", format!("is {burst}: use 1 to 1000000; to retry nothing, set max_attempts to 1"));
        }
        report.require(*ratio != 0.0 || *per_second != 0.0, "", "never fills: ratio and per_second are both zero");
    }
}

impl BudgetConfig {
    fn worth(&self) -> Worth {
        // Without a reserve time stands still, and what a token is worth does not matter.
        let per_second = if self.per_second > 0.0 { self.per_second } else { 1.0 };
        // At most a thousand seconds for one token, and a million of them: the numbers stay far from their ends.
        let token = (1e9 / per_second).clamp(1.0, 1e9 / LEAST_PER_SECOND) as u64;
        let full = token.saturating_mul(self.burst.into());
        Worth { token, deposit: (token as f64 * self.ratio) as u64, full: full.max(token) }
    }
}

/// What further attempts are paid from: so many for each call, and so many each second.
///
/// Clones are one budget. Hand the same to the retries and hedges of all methods of a client, and they share it: whatever fails,
/// the service behind gets at most 1.2 times the calls, 10 more a second, and once what was saved up. A call that passes
/// through several layers of one budget counts once.
///
/// ```
/// use kit::layer::{hedge::{Hedge, HedgeConfig}, retry::{BudgetConfig, Retry, RetryBudget, RetryConfig}};
///
/// let budget = RetryBudget::new(&BudgetConfig { ratio: 0.1, ..BudgetConfig::default() })?;
/// let retry = Retry::new(&RetryConfig::default())?.with_budget(&budget);
/// let hedge = Hedge::new(&HedgeConfig::default())?.with_budget(&budget);
/// # let _ = (retry, hedge);
/// # Ok::<(), kit::Error>(())
/// ```
#[derive(Clone)]
pub struct RetryBudget(Arc<Inner>);

struct Inner {
    since: Instant,
    bucket: ArcSwap<Bucket>,
}

struct Bucket {
    config: BudgetConfig,
    tokens: Tokens,
}

impl RetryBudget {
    /// A full budget.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &BudgetConfig) -> Result<Self, Error> {
        config.check("budget")?;
        let worth = config.worth();
        let bucket = Bucket { config: config.clone(), tokens: Tokens::new(worth, worth.full, 0) };
        Ok(Self(Arc::new(Inner { since: Instant::now(), bucket: ArcSwap::from_pointee(bucket) })))
    }

    /// Changes the settings for all who share the budget. What is saved up stays, as far as there is room.
    ///
    /// # Errors
    /// As [`RetryBudget::new`]; nothing is changed then.
    pub fn reconfigure(&self, config: &BudgetConfig) -> Result<(), Error> {
        config.check("budget")?;
        let (worth, left) = (config.worth(), self.left());
        let held = (left * worth.token as f64) as u64;
        let tokens = Tokens::new(worth, held, self.now(config));
        self.0.bucket.store(Arc::new(Bucket { config: config.clone(), tokens }));
        Ok(())
    }

    /// The settings.
    pub fn config(&self) -> BudgetConfig {
        self.0.bucket.load().config.clone()
    }

    /// How many attempts it would pay for now.
    pub fn left(&self) -> f64 {
        let bucket = self.0.bucket.load();
        bucket.tokens.held(self.now(&bucket.config)) as f64 / bucket.tokens.worth().token as f64
    }

    /// Counts a call, once however many layers of this budget it passes.
    pub(in crate::layer) fn count(&self, cx: &mut Context) {
        let this = Arc::as_ptr(&self.0) as usize;
        if cx.counted_in() != this {
            cx.set_counted_in(this);
            self.0.bucket.load().tokens.deposit();
        }
    }

    /// Pays for one attempt.
    pub(in crate::layer) fn withdraw(&self) -> Option<Permit> {
        let bucket = self.0.bucket.load();
        bucket.tokens.withdraw(self.now(&bucket.config)).then(|| Permit { budget: Some(self.clone()) })
    }

    fn now(&self, config: &BudgetConfig) -> u64 {
        if config.per_second == 0.0 {
            return 0;
        }
        let since: Duration = Instant::now().saturating_duration_since(self.0.since);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget").field("config", &self.config()).field("left", &self.left()).finish()
    }
}

/// One attempt that is paid for. It is given back when it is dropped before it is spent: the caller went away in between.
#[derive(Debug)]
pub(in crate::layer) struct Permit {
    budget: Option<RetryBudget>,
}

impl Permit {
    /// The attempt is made.
    pub(in crate::layer) fn spend(mut self) {
        self.budget = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(budget) = self.budget.take() {
            budget.0.bucket.load().tokens.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn budget(ratio: f64, per_second: f64, burst: u32) -> RetryBudget {
        RetryBudget::new(&BudgetConfig { ratio, per_second, burst }).unwrap()
    }

    fn withdraw(budget: &RetryBudget) -> bool {
        budget.withdraw().map(Permit::spend).is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn calls_and_time_fill_it() {
        let budget = budget(0.2, 10.0, 2);
        assert!(withdraw(&budget) && withdraw(&budget) && !withdraw(&budget), "two are saved up");
        for _ in 0..5 {
            budget.count(&mut Context::background());
        }
        assert!(withdraw(&budget) && !withdraw(&budget), "five calls pay for one");
        tokio::time::advance(Duration::from_millis(99)).await;
        assert!(!withdraw(&budget));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(withdraw(&budget) && !withdraw(&budget), "a tenth of a second pays for one");
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(withdraw(&budget) && withdraw(&budget) && !withdraw(&budget), "no more than two are saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_counts_once_in_each_budget() {
        let (one, other) = (budget(1.0, 0.0, 10), budget(1.0, 0.0, 10));
        while withdraw(&one) {}
        while withdraw(&other) {}
        let mut cx = Context::background();
        for budget in [&one, &one.clone(), &other] {
            budget.count(&mut cx);
        }
        assert_eq!((one.left(), other.left()), (1.0, 1.0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_spent_is_given_back() {
        let budget = budget(0.0, 1.0, 1);
        let permit = budget.withdraw().unwrap();
        assert!(budget.withdraw().is_none());
        drop(permit);
        assert!(withdraw(&budget));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_saved_up_survives_new_settings() {
        let budget = budget(0.2, 10.0, 100);
        for _ in 0..90 {
            assert!(withdraw(&budget));
        }
        tokio::time::advance(Duration::from_millis(500)).await;
        let config = BudgetConfig { ratio: 0.5, per_second: 1000.0, burst: 50 };
        budget.reconfigure(&config).unwrap();
        assert_eq!((budget.left(), budget.config()), (15.0, config));
        budget.reconfigure(&BudgetConfig { ratio: 2.0, ..BudgetConfig::default() }).unwrap_err();
        assert_eq!(budget.left(), 15.0, "what is wrong changes nothing");
    }

    /// Time that jumps, to its end and back, makes no tokens that nobody paid for, and nothing overflows.
    #[test]
    fn a_clock_that_jumps_does_no_harm() {
        let worth = BudgetConfig { ratio: 1.0, per_second: LEAST_PER_SECOND, burst: 1_000_000 }.worth();
        let tokens = Tokens::new(worth, 3 * worth.token, 0);
        for now in [0, u64::MAX, 5, 0, u64::MAX, u64::MAX / 2, 1] {
            assert!(tokens.held(now) <= worth.full);
            tokens.deposit();
            tokens.withdraw(now);
        }
        let tokens = Tokens::new(worth, worth.full, 1_000);
        assert!(tokens.withdraw(1_000) && tokens.withdraw(0));
        // From the end of time on nothing is left but what was saved up.
        let taken = std::iter::from_fn(|| tokens.withdraw(u64::MAX).then_some(())).take(2_000_000).count();
        assert_eq!(taken, 1_000_000);
    }

    /// What is right for one that never was full: a deposit is not lost, and a full one is not overfilled by deposits that
    /// nobody withdraws for long.
    #[test]
    fn a_full_bucket_stays_full() {
        let worth = Worth { token: 10, deposit: 2, full: 30 };
        let tokens = Tokens::new(worth, 30, 0);
        for _ in 0..1000 {
            tokens.deposit();
        }
        assert_eq!(tokens.held(0), 30);
        assert!(tokens.withdraw(1_000));
        for _ in 0..1000 {
            tokens.deposit();
        }
        let taken = std::iter::from_fn(|| tokens.withdraw(1_000).then_some(())).count();
        assert_eq!(taken, 3);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Call,
        Retry,
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![Just(Step::Call), Just(Step::Retry), Just(Step::Retry), (0..400_000_000_u64).prop_map(Step::Pass)]
    }

    proptest! {
        /// In whatever stretch of whatever schedule: no more than the saved up, a share of the calls, and so many a second.
        #[test]
        fn amplification_is_bounded(
            steps in prop::collection::vec(step(), 1..120),
            ratio in 0.0..1.0_f64,
            per_second in 0.5..50.0_f64,
            burst in 1..10_u32,
        ) {
            let worth = BudgetConfig { ratio, per_second, burst }.worth();
            let tokens = Tokens::new(worth, worth.full, 0);
            let mut now = 0;
            // At each moment: the time, the calls and the retries by then.
            let mut seen = vec![(0_u64, 0_u32, 0_u32)];
            for step in steps {
                let (_, mut calls, mut retries) = *seen.last().unwrap();
                match step {
                    Step::Call => {
                        tokens.deposit();
                        calls += 1;
                    }
                    Step::Retry => retries += u32::from(tokens.withdraw(now)),
                    Step::Pass(nanos) => now += nanos,
                }
                seen.push((now, calls, retries));
            }
            for (at, from) in seen.iter().enumerate() {
                for to in &seen[at..] {
                    let seconds = (to.0 - from.0) as f64 / 1e9;
                    let most = f64::from(burst) + ratio * f64::from(to.1 - from.1) + per_second * seconds;
                    let made = f64::from(to.2 - from.2);
                    // A token of whole nanoseconds is a little cheaper than one exactly divided.
                    prop_assert!(made <= most * (1.0 + 1e-6) + 1e-6, "{made} of {most}");
                }
            }
        }
    }
}
