//! Takes the figures of every second.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::RuntimeMetrics,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    figures::{FiguresSource, MethodSample},
    gauges::{Builtin, Gauges, PANELS},
    history::History,
};

/// The time between two moments.
const STEP: Duration = Duration::from_secs(1);

/// Asks the sources and writes down what they say.
pub(in crate::debug) struct Sampler {
    history: Arc<Mutex<History>>,
    sources: Vec<Box<dyn FiguresSource>>,
    gauges: Arc<[Gauges]>,
    builtin: Builtin,
    started: Instant,
    last: Instant,
    complained: bool,
}

impl Sampler {
    pub(in crate::debug) fn new(
        sources: Vec<Box<dyn FiguresSource>>,
        gauges: Arc<[Gauges]>,
        runtime: RuntimeMetrics,
        started: Instant,
    ) -> Self {
        let panels = PANELS.iter().map(|(title, unit, names)| (Cow::Borrowed(*title), *unit, names.to_vec()));
        let own = gauges.iter().map(|gauge| (gauge.title.clone(), gauge.unit, gauge.names.clone()));
        let history = Arc::new(Mutex::new(History::new(panels.chain(own).collect())));
        Self { history, sources, gauges, builtin: Builtin::new(runtime), started, last: started, complained: false }
    }

    pub(in crate::debug) fn history(&self) -> Arc<Mutex<History>> {
        Arc::clone(&self.history)
    }

    /// Runs until it is dropped. After a pause of the process the seconds that were missed stay empty.
    pub(in crate::debug) async fn run(mut self) {
        let mut ticks = interval(STEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks.tick().await;
        self.last = Instant::now();
        let samples = self.ask();
        self.write(|history| history.begin(&samples));
        loop {
            ticks.tick().await;
            self.take();
        }
    }

    fn take(&mut self) {
        let now = Instant::now();
        let passed = now.duration_since(self.last).as_secs_f64();
        if passed <= 0.0 {
            return;
        }
        self.last = now;
        let samples = self.ask();
        let mut lines = self.builtin.read(passed);
        lines.extend(self.gauges.iter().flat_map(Gauges::values).map(|(_, value)| value));
        let seconds = now.duration_since(self.started).as_secs_f64();
        self.write(|history| history.record(seconds, passed, &samples, &lines));
    }

    fn ask(&mut self) -> Vec<MethodSample> {
        let complained = &mut self.complained;
        self.sources.iter_mut().filter_map(|source| guarded(complained, || source.sample())).flatten().collect()
    }

    fn write(&self, write: impl FnOnce(&mut History)) {
        write(&mut self.history.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What the program's own code says. Should it panic, the others are still drawn.
fn guarded<T>(complained: &mut bool, ask: impl FnOnce() -> T) -> Option<T> {
    let answer = catch_unwind(AssertUnwindSafe(ask)).ok();
    if answer.is_none() && !std::mem::replace(complained, true) {
        tracing::error!("a source of the debug port's charts panicked; what it tells is missing there");
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::{debug::charts::Unit, telemetry::metrics::Side};

    struct Counter(Arc<AtomicU64>);

    impl FiguresSource for Counter {
        fn sample(&mut self) -> Vec<MethodSample> {
            let calls = self.0.load(Ordering::Relaxed);
            let (service, method) = ("shop.Shop".into(), "Buy".into());
            vec![MethodSample {
                side: Side::Server,
                service,
                method,
                calls,
                errors: 0,
                in_flight: 0,
                quantiles: [None; 3],
            }]
        }
    }

    struct Broken;

    impl FiguresSource for Broken {
        fn sample(&mut self) -> Vec<MethodSample> {
            panic!("this source is broken");
        }
    }

    fn sampler(calls: &Arc<AtomicU64>, gauge: impl Fn() -> Vec<f64> + Send + Sync + 'static) -> Sampler {
        let gauges = [Gauges::new("Allocator", &[], Unit::Bytes, vec!["a", "b"], Box::new(gauge))];
        let runtime = tokio::runtime::Handle::current().metrics();
        let sources: Vec<Box<dyn FiguresSource>> = vec![Box::new(Broken), Box::new(Counter(Arc::clone(calls)))];
        Sampler::new(sources, gauges.into(), runtime, Instant::now())
    }

    /// Lets the task run at each second.
    async fn pass(seconds: u64) {
        for _ in 0..seconds {
            tokio::time::sleep(STEP).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_second_is_a_moment_and_what_panics_is_left_out() {
        let calls = Arc::new(AtomicU64::new(500));
        let sampler = sampler(&calls, || vec![1.0]);
        let history = sampler.history();
        let task = tokio::spawn(sampler.run());
        // Between the ticks.
        tokio::time::sleep(STEP / 2).await;
        for _ in 0..3 {
            calls.fetch_add(7, Ordering::Relaxed);
            pass(1).await;
        }
        {
            let history = history.lock().unwrap();
            assert_eq!(history.moment, 3);
            assert_eq!((history.time(1), history.time(3)), (1.0, 3.0));
            let rates: Vec<f32> = (1..=3).map(|moment| history.slots[0].rings[0].get(moment)).collect();
            assert_eq!(rates, [7.0, 7.0, 7.0]);
            let own = history.panels.last().unwrap();
            assert_eq!((&*own.title, own.lines[0].1.get(3)), ("Allocator", 1.0));
            assert!(own.lines[1].1.get(3).is_nan(), "it has two names and told one value");
        }
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        pass(5).await;
        assert_eq!(history.lock().unwrap().moment, 3, "nothing runs any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_of_the_process_is_a_gap_and_no_burst() {
        let calls = Arc::new(AtomicU64::new(0));
        let sampler = sampler(&calls, || panic!("this gauge is broken"));
        let history = sampler.history();
        let _task = tokio::spawn(sampler.run());
        tokio::time::sleep(STEP / 2).await;
        pass(1).await;
        calls.fetch_add(100, Ordering::Relaxed);
        tokio::time::advance(Duration::from_secs(10)).await;
        pass(2).await;
        let history = history.lock().unwrap();
        assert!(history.moment <= 4, "{}", history.moment);
        let rate = history.slots[0].rings[0].get(2);
        assert!(rate > 0.0 && rate <= 10.0, "{rate}: the calls are those of all the seconds");
        assert!(history.panels.last().unwrap().lines[0].1.get(2).is_nan());
        assert!(history.panels[0].lines[0].1.get(2) > 0.0, "the lines of others are drawn");
    }
}
