//! What every recording becomes, whatever is made of it: a pprof file, a flame graph or text.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use super::{Mappings, symbols::Location};

/// What one value of a sample counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::debug) struct Unit {
    pub(in crate::debug) kind: &'static str,
    pub(in crate::debug) unit: &'static str,
}

/// The places of a stack, the innermost first, and the thread.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::debug) struct Stack {
    pub(in crate::debug) locations: Vec<Location>,
    pub(in crate::debug) thread: Option<String>,
}

/// Stacks with as many values as there are units.
#[derive(Debug)]
pub(in crate::debug) struct Samples {
    pub(in crate::debug) units: &'static [Unit],
    /// The kind that tools show when they are not told which.
    pub(in crate::debug) default: &'static str,
    pub(in crate::debug) stacks: HashMap<Stack, Vec<i64>>,
    pub(in crate::debug) period: (Unit, i64),
    pub(in crate::debug) started: SystemTime,
    pub(in crate::debug) length: Duration,
    pub(in crate::debug) mappings: Mappings,
    pub(in crate::debug) comment: String,
}

impl Samples {
    pub(in crate::debug) fn add(&mut self, stack: Stack, values: &[i64]) {
        let sums = self.stacks.entry(stack).or_insert_with(|| vec![0; values.len()]);
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = sum.saturating_add(*value);
        }
    }

    /// One kind of value as collapsed stacks, outermost first: `thread;main;work` and how much, in order of the names.
    pub(in crate::debug) fn collapse(&self, kind: &str) -> Collapsed {
        let Some(index) = self.units.iter().position(|unit| unit.kind == kind) else { return Collapsed::default() };
        let mut collapsed = Collapsed::default();
        for (stack, values) in &self.stacks {
            let Some(value) = values.get(index).copied().filter(|value| *value > 0) else { continue };
            let mut line = stack.thread.as_deref().map(frame).unwrap_or_default();
            for function in stack.locations.iter().rev().flat_map(|location| location.functions().rev()) {
                if !line.is_empty() {
                    line.push(';');
                }
                line.push_str(&frame(function));
            }
            let sum = collapsed.0.entry(line).or_default();
            *sum = value.saturating_add(*sum);
        }
        collapsed
    }
}

/// A semicolon ends a frame, and types of arrays have one.
fn frame(name: &str) -> String {
    name.replace("; ", ":").replace([';', '\n'], ":")
}

/// Collapsed stacks, and how much each has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::debug) struct Collapsed(pub(in crate::debug) BTreeMap<String, i64>);

impl Collapsed {
    /// About how many bytes it takes.
    pub(in crate::debug) fn size(&self) -> usize {
        self.0.keys().map(|stack| stack.len() + 64).sum()
    }

    pub(in crate::debug) fn total(&self) -> i64 {
        self.0.values().fold(0, |sum, value| sum.saturating_add(*value))
    }

    /// A line each.
    pub(in crate::debug) fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (stack, value)| {
            let _ = writeln!(text, "{stack} {value}");
            text
        })
    }

    /// Lines with how much there was before and how much there is; what was before is scaled to be comparable.
    pub(in crate::debug) fn text_against(&self, before: &Self, scale: f64) -> String {
        let scaled = |value: i64| (value as f64 * scale).round() as i64;
        let mut both: BTreeMap<&str, (i64, i64)> =
            before.0.iter().map(|(stack, value)| (stack.as_str(), (scaled(*value), 0))).collect();
        for (stack, value) in &self.0 {
            both.entry(stack).or_default().1 = *value;
        }
        both.iter().fold(String::new(), |mut text, (stack, (before, now))| {
            let _ = writeln!(text, "{stack} {before} {now}");
            text
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::debug::pprof) fn location(address: u64, functions: &[&str]) -> Location {
        Location { address, ..Location::named(functions) }
    }

    pub(in crate::debug::pprof) const UNITS: [Unit; 2] =
        [Unit { kind: "samples", unit: "count" }, Unit { kind: "cpu", unit: "nanoseconds" }];

    pub(in crate::debug::pprof) fn samples() -> Samples {
        Samples {
            units: &UNITS,
            default: "cpu",
            stacks: HashMap::new(),
            period: (UNITS[1], 10_000_000),
            started: SystemTime::UNIX_EPOCH,
            length: Duration::from_secs(2),
            mappings: Mappings::default(),
            comment: "why".to_owned(),
        }
    }

    #[test]
    fn collapses_stacks_from_the_outermost_in() {
        let mut samples = samples();
        let stack = |leaf: &[&str]| Stack {
            locations: vec![location(1, leaf), location(2, &["main"])],
            thread: Some("worker".to_owned()),
        };
        samples.add(stack(&["inlined", "<[u8; 4]>::outer"]), &[1, 10]);
        samples.add(stack(&["inlined", "<[u8; 4]>::outer"]), &[2, 20]);
        samples.add(stack(&["other"]), &[1, 0]);
        let cpu = samples.collapse("cpu");
        assert_eq!(cpu.text(), "worker;main;<[u8:4]>::outer;inlined 30\n");
        assert_eq!((cpu.total(), samples.collapse("samples").total()), (30, 4));
        assert_eq!(samples.collapse("nothing"), Collapsed::default());
    }

    #[test]
    fn compares_with_an_earlier_one() {
        let collapsed = |stacks: &[(&str, i64)]| {
            Collapsed(stacks.iter().map(|(stack, value)| ((*stack).to_owned(), *value)).collect())
        };
        let (before, now) = (collapsed(&[("a", 10), ("b", 4)]), collapsed(&[("b", 1), ("c", 3)]));
        assert_eq!(now.text_against(&before, 0.5), "a 5 0\nb 2 1\nc 0 3\n");
    }
}
