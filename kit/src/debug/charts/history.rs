//! What the charts draw: the last fifteen minutes, in memory of a fixed size.

use std::{borrow::Cow, collections::HashMap, ops::RangeInclusive};

use super::{
    figures::{Key, MethodSample},
    ring::{POINTS, Ring},
};
use crate::telemetry::metrics::Side;

/// The most methods that are drawn; more are not, until one has had no call for fifteen minutes.
pub(super) const MAX_METHODS: usize = 64;

/// The most lines that are no methods: those of the process and those of [`Debug::gauges`](crate::debug::Debug::gauges).
pub(super) const MAX_LINES: usize = 32;

/// The lines of a method: calls and errors a second, calls in flight, and three quantiles.
pub(super) const OF_METHOD: usize = 6;

/// The most that the values of all lines take.
pub(in crate::debug) const MAX_BYTES: usize =
    (MAX_METHODS * OF_METHOD + MAX_LINES) * Ring::BYTES + POINTS * size_of::<f64>();

/// What the values of a line are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// A number of things.
    Count,
    /// Bytes.
    Bytes,
    /// Per cent: 100 is all.
    Percent,
    /// Seconds.
    Seconds,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Percent => "percent",
            Self::Seconds => "seconds",
        }
    }
}

/// A chart that is not about methods.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) title: Cow<'static, str>,
    pub(super) unit: Unit,
    pub(super) lines: Vec<(&'static str, Ring)>,
}

/// A method that is drawn.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) key: Key,
    pub(super) rings: [Ring; OF_METHOD],
    totals: (u64, u64),
    last_used: u64,
    seen: bool,
}

impl Slot {
    fn new() -> Self {
        Self {
            key: Key::default(),
            rings: std::array::from_fn(|_| Ring::new()),
            totals: (0, 0),
            last_used: 0,
            seen: false,
        }
    }
}

/// The values of the last moments. Moments are numbered from one.
#[derive(Debug)]
pub(in crate::debug) struct History {
    pub(super) moment: u64,
    /// When each moment was, in seconds since the start.
    times: Box<[f64]>,
    pub(super) slots: Vec<Slot>,
    pub(super) panels: Vec<Panel>,
    /// Methods with calls for which there was no slot at the last moment.
    left_out: usize,
    /// The totals of methods when they were last looked at and not drawn.
    before: HashMap<Key, (u64, u64)>,
}

impl History {
    pub(super) fn new(panels: Vec<(Cow<'static, str>, Unit, Vec<&'static str>)>) -> Self {
        let mut left = MAX_LINES;
        let panels = panels.into_iter().map(|(title, unit, names)| {
            let lines: Vec<_> = names.into_iter().take(left).map(|name| (name, Ring::new())).collect();
            left -= lines.len();
            Panel { title, unit, lines }
        });
        Self {
            moment: 0,
            times: vec![0.0; POINTS].into(),
            slots: Vec::with_capacity(MAX_METHODS),
            panels: panels.collect(),
            left_out: 0,
            before: HashMap::new(),
        }
    }

    /// Notes what the counters stood at when everything began.
    pub(super) fn begin(&mut self, methods: &[MethodSample]) {
        let used = methods.iter().filter(|sample| sample.calls > 0);
        self.before = used.map(|sample| (sample.key(), (sample.calls, sample.errors))).collect();
    }

    /// Adds a moment: `seconds` after the start, `passed` seconds after the moment before.
    pub(super) fn record(&mut self, seconds: f64, passed: f64, methods: &[MethodSample], lines: &[f64]) {
        self.moment += 1;
        let moment = self.moment;
        if let Some(time) = self.times.get_mut((moment % POINTS as u64) as usize) {
            *time = seconds;
        }
        self.slots.iter_mut().for_each(|slot| slot.seen = false);
        self.left_out = 0;
        for sample in methods {
            self.record_method(sample, passed);
        }
        for slot in self.slots.iter_mut().filter(|slot| !slot.seen) {
            slot.rings.iter_mut().for_each(|ring| ring.set(moment, f64::NAN));
        }
        let rings = self.panels.iter_mut().flat_map(|panel| panel.lines.iter_mut());
        for ((_, ring), value) in rings.zip(lines.iter().copied().chain(std::iter::repeat(f64::NAN))) {
            ring.set(moment, value);
        }
    }

    fn record_method(&mut self, sample: &MethodSample, passed: f64) {
        let (moment, key) = (self.moment, sample.key());
        let known = self.slots.iter().position(|slot| slot.key == key);
        let (place, before) = match known {
            Some(place) => (place, None),
            None => {
                let before = self.before.get(&key).copied().unwrap_or_default();
                // A method without calls is not in the way of those that have some.
                if sample.calls == before.0 && sample.in_flight == 0 {
                    return;
                }
                let Some(place) = self.free_slot() else {
                    self.left_out += 1;
                    // Should there be room later, these are no calls of that second.
                    self.before.insert(key, (sample.calls, sample.errors));
                    return;
                };
                (place, Some(before))
            }
        };
        let Some(slot) = self.slots.get_mut(place) else { return };
        if let Some(before) = before {
            slot.key = key;
            slot.totals = before;
            slot.rings.iter_mut().for_each(Ring::clear);
        }
        let (calls, errors) = slot.totals;
        let (calls, errors) = (sample.calls.saturating_sub(calls), sample.errors.saturating_sub(errors));
        slot.totals = (sample.calls, sample.errors);
        slot.seen = true;
        if calls > 0 || sample.in_flight != 0 {
            slot.last_used = moment;
        }
        let [p50, p90, p99] = sample.quantiles.map(|quantile| quantile.unwrap_or(f64::NAN));
        let rate = |count: u64| count as f64 / passed;
        let values = [rate(calls), rate(errors), sample.in_flight as f64, p50, p90, p99];
        slot.rings.iter_mut().zip(values).for_each(|(ring, value)| ring.set(moment, value));
    }

    /// A place for one more method: a new one, or that of a method of which nothing is left to draw.
    fn free_slot(&mut self) -> Option<usize> {
        if self.slots.len() < MAX_METHODS {
            self.slots.push(Slot::new());
            return Some(self.slots.len() - 1);
        }
        let idle = |slot: &Slot| !slot.seen && slot.last_used + (POINTS as u64) < self.moment;
        let free = self.slots.iter().position(idle)?;
        if let Some(slot) = self.slots.get(free) {
            // Should it have calls again, those before are known.
            self.before.insert(slot.key.clone(), slot.totals);
        }
        Some(free)
    }

    /// The moments after `since` that are still remembered; all of them when `since` is not one of this history.
    pub(super) fn moments(&self, since: u64) -> RangeInclusive<u64> {
        let first = self.moment.saturating_sub(POINTS as u64) + 1;
        let from = if since > self.moment { first } else { first.max(since + 1) };
        from..=self.moment
    }

    /// What came after a moment, copied: it takes far less time than to write it down, and the sampler waits for it.
    pub(in crate::debug) fn since(&self, since: u64) -> Columns {
        let moments = self.moments(since);
        let copy = |slot: &Slot| (slot.key.clone(), slot.rings.each_ref().map(|ring| ring.copy(&moments)));
        let panel = |panel: &Panel| {
            let lines = panel.lines.iter().map(|(name, ring)| (*name, ring.copy(&moments))).collect();
            (panel.title.clone(), panel.unit, lines)
        };
        Columns {
            last: self.moment,
            first: *moments.start(),
            times: moments.clone().map(|moment| self.time(moment)).collect(),
            methods: self.slots.iter().map(copy).collect(),
            panels: self.panels.iter().filter(|panel| !panel.lines.is_empty()).map(panel).collect(),
            left_out: self.left_out,
        }
    }

    /// How many methods with calls are not drawn.
    pub(in crate::debug) fn left_out(&self) -> usize {
        self.left_out
    }

    pub(super) fn time(&self, moment: u64) -> f64 {
        self.times.get((moment % POINTS as u64) as usize).copied().unwrap_or_default()
    }
}

/// The values of some moments, apart from the [`History`] they are of.
pub(in crate::debug) struct Columns {
    /// The last moment there was; also when there is none in here.
    pub(super) last: u64,
    pub(super) first: u64,
    pub(super) times: Vec<f64>,
    pub(super) methods: Vec<(Key, [Vec<f32>; OF_METHOD])>,
    pub(super) panels: Vec<(Cow<'static, str>, Unit, Lines)>,
    pub(super) left_out: usize,
}

/// The lines of a panel by their names.
type Lines = Vec<(&'static str, Vec<f32>)>;

pub(super) fn side(key: &Key) -> Side {
    if key.0 { Side::Server } else { Side::Client }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(method: &str, calls: u64, in_flight: i64) -> MethodSample {
        MethodSample {
            side: Side::Server,
            service: "shop.Shop".into(),
            method: method.to_owned().into(),
            calls,
            errors: calls / 2,
            in_flight,
            quantiles: [Some(0.001), Some(0.002), None],
        }
    }

    fn values(history: &History, method: &str, line: usize) -> Vec<f32> {
        let slot = history.slots.iter().find(|slot| slot.key.2 == method).unwrap();
        history.moments(0).map(|moment| slot.rings[line].get(moment)).collect()
    }

    #[test]
    fn counters_become_rates_by_the_time_that_passed() {
        let mut history = History::new(vec![("Memory".into(), Unit::Bytes, vec!["resident"])]);
        history.begin(&[sample("Buy", 1000, 0)]);
        history.record(1.0, 1.0, &[sample("Buy", 1010, 1)], &[5.0]);
        history.record(3.0, 2.0, &[sample("Buy", 1050, 3)], &[6.0]);
        history.record(4.0, 1.0, &[], &[]);
        assert_eq!(values(&history, "Buy", 0)[..2], [10.0, 20.0]);
        assert_eq!(values(&history, "Buy", 1)[..2], [5.0, 10.0]);
        assert_eq!(values(&history, "Buy", 2)[..2], [1.0, 3.0]);
        assert_eq!(values(&history, "Buy", 3)[..2], [0.001, 0.001]);
        assert!(values(&history, "Buy", 5)[0].is_nan());
        assert!(values(&history, "Buy", 0)[2].is_nan(), "what is not told is not known");
        let memory: Vec<f32> = history.moments(0).map(|moment| history.panels[0].lines[0].1.get(moment)).collect();
        assert_eq!(memory[..2], [5.0, 6.0]);
        assert!(memory[2].is_nan());
        assert_eq!((history.time(1), history.time(2)), (1.0, 3.0));
    }

    #[test]
    fn a_method_is_drawn_from_its_first_call() {
        let mut history = History::new(vec![]);
        history.begin(&[sample("Old", 7, 0)]);
        history.record(1.0, 1.0, &[sample("Old", 7, 0), sample("New", 0, 0)], &[]);
        assert!(history.slots.is_empty());
        history.record(2.0, 1.0, &[sample("Old", 7, 0), sample("New", 0, 1)], &[]);
        assert_eq!(history.slots.len(), 1);
        assert!(values(&history, "New", 2)[0].is_nan());
        assert_eq!(values(&history, "New", 2)[1], 1.0);
    }

    #[test]
    fn more_methods_than_there_is_room_for_take_no_memory() {
        let mut history = History::new(vec![]);
        let many = |calls| (0..100).map(|i| sample(&format!("M{i}"), calls, 0)).collect::<Vec<_>>();
        for second in 1..=100_u32 {
            history.record(f64::from(second), 1.0, &many(u64::from(second)), &[]);
        }
        assert_eq!((history.slots.len(), history.slots.capacity()), (MAX_METHODS, MAX_METHODS));
        assert_eq!(history.left_out, 100 - MAX_METHODS);
        assert_eq!(history.before.len(), history.left_out, "one entry a method");
        assert_eq!(MAX_BYTES, 1_504_800);
    }

    #[test]
    fn a_method_that_nobody_calls_any_more_makes_room_for_another() {
        let mut history = History::new(vec![]);
        let old: Vec<_> = (0..MAX_METHODS).map(|i| sample(&format!("Old{i}"), 5, 0)).collect();
        let with = |more: MethodSample| [vec![more], old.clone()].concat();
        history.record(0.0, 1.0, &old, &[]);
        for second in 1..=900_u32 {
            history.record(f64::from(second), 1.0, &with(sample("New", u64::from(second), 0)), &[]);
        }
        assert_eq!(history.left_out, 1, "the last calls of the others are still drawn");
        history.record(901.0, 1.0, &with(sample("New", 901, 0)), &[]);
        assert_eq!(history.left_out, 0);
        assert_eq!(history.slots.len(), MAX_METHODS);
        assert!(values(&history, "New", 0)[..899].iter().all(|value| value.is_nan()), "nothing of the other is left");
        // The one whose place it took comes back with what it has had since.
        let mut back = old.clone();
        back[0] = sample("Old0", 9, 0);
        history.record(902.0, 1.0, &back, &[]);
        assert_eq!(*values(&history, "Old0", 0).last().unwrap(), 4.0);
    }

    #[test]
    fn only_what_came_after_is_told() {
        let mut history = History::new(vec![]);
        assert!(history.moments(0).is_empty());
        (0..1000_u32).for_each(|second| history.record(f64::from(second), 1.0, &[], &[]));
        assert_eq!(history.moments(0), 101..=1000);
        assert_eq!(history.moments(50), 101..=1000);
        assert_eq!(history.moments(998), 999..=1000);
        assert!(history.moments(1000).is_empty());
        assert_eq!(history.moments(u64::MAX), 101..=1000, "the number of another process");
    }
}
