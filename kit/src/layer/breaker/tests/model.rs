//! The machine does what a plain list of calls does, for any schedule.

use std::{collections::VecDeque, time::Duration};

use proptest::{collection::vec, prelude::*};

use crate::{
    layer::breaker::{
        BreakerConfig, BreakerState, BreakerWindow, Verdict,
        machine::{End, Machine, Refusal, Ticket},
        window::Figures,
    },
    validate::Validate as _,
};

const MS: u64 = 1_000_000;

#[derive(Debug)]
struct Ended {
    at: u64,
    failed: bool,
    slow: bool,
}

/// A call that runs, as the model knows it.
#[derive(Clone, Copy, Debug)]
struct Running {
    era: u32,
    probe: bool,
}

#[derive(Debug, PartialEq)]
enum Answer {
    Made { probe: bool },
    Open { wait: u64 },
    Probing { wait: u64 },
    Forced,
    Full,
}

#[derive(Debug)]
struct Model {
    config: BreakerConfig,
    state: BreakerState,
    era: u32,
    calls: Vec<Ended>,
    running: u32,
    leased: u32,
    passed: u32,
    since: u64,
    until: u64,
    streak: i32,
    open_time: u64,
}

impl Model {
    fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            state: BreakerState::Closed,
            era: 0,
            calls: Vec::new(),
            running: 0,
            leased: 0,
            passed: 0,
            since: 0,
            until: 0,
            streak: 0,
            open_time: 0,
        }
    }

    fn turn(&mut self, state: BreakerState, now: u64) {
        (self.state, self.since, self.leased, self.passed) = (state, now, 0, 0);
        self.era += 1;
    }

    fn half_open(&mut self, now: u64) {
        self.turn(BreakerState::HalfOpen, now);
        self.until = now + self.config.open_for.as_nanos() as u64;
    }

    fn open(&mut self, now: u64) {
        if self.state == BreakerState::Closed && now - self.since >= self.open_time {
            self.streak = 0;
        }
        let grown = self.config.open_for.as_secs_f64() * self.config.growth.powi(self.streak);
        self.open_time = Duration::from_secs_f64(grown).min(self.config.open_max).as_nanos() as u64;
        self.streak += 1;
        self.until = now + self.open_time;
        self.turn(BreakerState::Open, now);
    }

    fn close(&mut self, now: u64) {
        self.calls.clear();
        self.turn(BreakerState::Closed, now);
    }

    fn begin(&mut self, now: u64) -> (Answer, Running) {
        let full = self.config.max_in_flight.is_some_and(|most| self.running >= most);
        if self.state == BreakerState::Open && now >= self.until {
            self.half_open(now);
        }
        let free =
            |model: &Self| model.leased < model.config.probes && model.leased + model.passed < model.config.successes;
        if self.state == BreakerState::HalfOpen && !free(self) && now >= self.until {
            self.half_open(now);
        }
        let answer = match self.state {
            BreakerState::Open => Answer::Open { wait: self.until - now },
            BreakerState::ForcedOpen => Answer::Forced,
            BreakerState::HalfOpen if !free(self) => Answer::Probing { wait: self.until - now },
            _ if full => Answer::Full,
            BreakerState::HalfOpen => Answer::Made { probe: true },
            BreakerState::Closed | BreakerState::ForcedClosed => Answer::Made { probe: false },
        };
        let probe = answer == Answer::Made { probe: true };
        if matches!(answer, Answer::Made { .. }) {
            self.running += 1;
            self.leased += u32::from(probe);
        }
        (answer, Running { era: self.era, probe })
    }

    fn end(&mut self, call: Running, verdict: Verdict, slow: bool, now: u64) {
        self.running -= 1;
        if call.era != self.era {
            return;
        }
        match (self.state, verdict) {
            (BreakerState::HalfOpen, verdict) if call.probe => {
                self.leased -= 1;
                match verdict {
                    Verdict::Ignored => {}
                    Verdict::Success if !slow => {
                        self.passed += 1;
                        if self.passed >= self.config.successes {
                            self.close(now);
                        }
                    }
                    _ => self.open(now),
                }
            }
            (BreakerState::Closed, Verdict::Success | Verdict::Failure) => {
                self.calls.push(Ended { at: now, failed: verdict == Verdict::Failure, slow });
                let figures = self.figures(now);
                let above = |bad: u64, ratio: f64| {
                    let tenths = (ratio * 10.0).round() as u64;
                    bad > 0 && (bad * 10 > tenths * figures.calls || (tenths == 10 && bad == figures.calls))
                };
                let broken = above(figures.failures, self.config.failure_ratio)
                    || self.config.slow_ratio.is_some_and(|ratio| above(figures.slow, ratio));
                if figures.calls >= u64::from(self.config.min_calls) && broken {
                    self.open(now);
                }
            }
            _ => {}
        }
    }

    fn figures(&self, now: u64) -> Figures {
        let in_window: Vec<&Ended> = match self.config.window {
            BreakerWindow::Calls(size) => self.calls.iter().rev().take(size as usize).collect(),
            BreakerWindow::Time(time) => {
                let width = time.as_nanos() as u64 / u64::from(self.config.buckets);
                let oldest = (now / width + 1).saturating_sub(u64::from(self.config.buckets));
                self.calls.iter().filter(|call| call.at / width >= oldest).collect()
            }
        };
        let count = |is: fn(&Ended) -> bool| in_window.iter().filter(|call| is(call)).count() as u64;
        Figures { calls: count(|_| true), failures: count(|call| call.failed), slow: count(|call| call.slow) }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    /// The oldest or the newest call ends.
    End {
        newest: bool,
        verdict: Verdict,
        slow: bool,
    },
    /// Milliseconds pass.
    Wait(u64),
    ForceOpen,
    ForceClosed,
    Release,
    /// Other settings, with the same window.
    Change(Changed),
}

#[derive(Clone, Copy, Debug)]
struct Changed {
    min_calls: u32,
    max_in_flight: Option<u32>,
    probes: u32,
    successes: u32,
}

impl Changed {
    fn of(self, config: &BreakerConfig) -> BreakerConfig {
        let min_calls = match config.window {
            BreakerWindow::Calls(calls) => self.min_calls.min(calls),
            _ => self.min_calls,
        };
        let Self { max_in_flight, probes, successes, .. } = self;
        BreakerConfig { min_calls, max_in_flight, probes, successes, ..config.clone() }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let verdict = prop_oneof![5 => Just(Verdict::Success), 3 => Just(Verdict::Failure), 1 => Just(Verdict::Ignored)];
    let end = (any::<bool>(), verdict, prop::bool::weighted(0.2)).prop_map(|(newest, verdict, slow)| Step::End {
        newest,
        verdict,
        slow,
    });
    let wait = prop_oneof![5 => 0..300_u64, 1 => 300..5_000_u64];
    let change = (1..10_u32, prop::option::of(1..6_u32), 1..4_u32, 1..6_u32).prop_map(
        |(min_calls, max_in_flight, probes, successes)| {
            Step::Change(Changed { min_calls, max_in_flight, probes, successes })
        },
    );
    let step = prop_oneof![
        3 => change,
        40 => Just(Step::Begin),
        40 => end,
        20 => wait.prop_map(Step::Wait),
        1 => Just(Step::ForceOpen),
        1 => Just(Step::ForceClosed),
        4 => Just(Step::Release),
    ];
    vec(step, 1..250)
}

fn config() -> impl Strategy<Value = BreakerConfig> {
    let window = prop_oneof![
        (1..20_u32).prop_map(BreakerWindow::Calls),
        (100..2_000_u64).prop_map(|ms| BreakerWindow::Time(Duration::from_millis(ms))),
    ];
    let ratio = || (1..=10_u32).prop_map(|tenths| f64::from(tenths) / 10.0);
    (window, 1..8_u32, 1..10_u32, ratio(), prop::option::of(ratio()), prop::option::of(1..6_u32), 1..4_u32, 1..6_u32)
        .prop_map(|(window, buckets, min_calls, failure_ratio, slow_ratio, max_in_flight, probes, successes)| {
            let min_calls = match window {
                BreakerWindow::Calls(calls) => min_calls.min(calls),
                _ => min_calls,
            };
            BreakerConfig {
                window,
                buckets,
                min_calls,
                failure_ratio,
                slow_ratio,
                max_in_flight,
                probes,
                successes,
                open_for: Duration::from_millis(500),
                open_max: Duration::from_secs(3),
                jitter: 0.0,
                ..BreakerConfig::default()
            }
        })
}

proptest! {
    #[test]
    fn any_schedule_goes_as_the_model_says(config in config(), steps in steps()) {
        prop_assert!(config.check("breaker").is_ok());
        let machine = Machine::new(&config, 1);
        let mut model = Model::new(config.clone());
        let mut running: VecDeque<(Ticket, Running)> = VecDeque::new();
        let mut now = 0_u64;
        // What was let through before the settings were changed goes on.
        let (mut most, mut most_probes) = (config.max_in_flight, config.probes);
        for step in steps {
            match step {
                Step::Begin => {
                    let (expected, call) = model.begin(now);
                    let answer = match machine.admit(|| now) {
                        Ok(ticket) => {
                            let probe = ticket.probe;
                            running.push_back((ticket, call));
                            Answer::Made { probe }
                        }
                        Err(Refusal::Open { wait }) => Answer::Open { wait },
                        Err(Refusal::Probing { wait }) => Answer::Probing { wait },
                        Err(Refusal::Forced) => Answer::Forced,
                        Err(Refusal::Full { .. }) => Answer::Full,
                    };
                    prop_assert_eq!(answer, expected);
                }
                Step::End { newest, verdict, slow } => {
                    let ended = if newest { running.pop_back() } else { running.pop_front() };
                    let Some((ticket, call)) = ended else { continue };
                    // Without a ratio nobody asks what is slow.
                    let slow = slow && config.slow_ratio.is_some();
                    model.end(call, verdict, slow, now);
                    machine.settle(ticket, End { verdict, slow, code: None }, || now);
                }
                Step::Wait(ms) => now += ms * MS,
                Step::Change(changed) => {
                    model.config = changed.of(&config);
                    prop_assert!(model.config.check("breaker").is_ok());
                    machine.reconfigure(&model.config);
                    most = most.zip(model.config.max_in_flight).map(|(one, other)| one.max(other));
                    most_probes = most_probes.max(model.config.probes);
                }
                Step::ForceOpen | Step::ForceClosed => {
                    let state = match step {
                        Step::ForceOpen => BreakerState::ForcedOpen,
                        _ => BreakerState::ForcedClosed,
                    };
                    machine.force(state, now);
                    if model.state != state {
                        model.turn(state, now);
                    }
                }
                Step::Release => {
                    machine.release(now);
                    if matches!(model.state, BreakerState::ForcedOpen | BreakerState::ForcedClosed) {
                        (model.streak, model.open_time) = (0, 0);
                        model.close(now);
                    }
                }
            }
            let view = machine.view(now);
            prop_assert_eq!(view.state, model.state);
            prop_assert_eq!(view.in_flight, u64::from(model.running));
            prop_assert!(most.is_none_or(|most| view.in_flight <= u64::from(most)));
            prop_assert_eq!((view.probes, view.passed), (model.leased, model.passed));
            prop_assert!(view.probes <= most_probes);
            if view.state == BreakerState::Closed {
                prop_assert_eq!(view.figures, model.figures(now));
            }
        }
    }
}

/// Times of any clock: nothing overflows, and every place and probe comes back.
#[test]
fn a_clock_that_jumps_does_no_harm() {
    let (failed, fine) = (Verdict::Failure, Verdict::Success);
    for window in [BreakerWindow::Calls(4), BreakerWindow::Time(Duration::from_secs(1))] {
        let config = BreakerConfig { window, min_calls: 2, probes: 1, successes: 1, ..BreakerConfig::default() };
        let machine = Machine::new(&config, 1);
        for now in [0, u64::MAX, 1, u64::MAX - 1, 0, 1 << 40, u64::MAX] {
            for verdict in [failed, failed, failed, fine, fine] {
                if let Ok(ticket) = machine.admit(|| now) {
                    machine.settle(ticket, End { verdict, slow: false, code: None }, || now);
                }
            }
            let view = machine.view(now);
            assert_eq!((view.in_flight, view.probes), (0, 0), "{view:?}");
        }
        // From the end of time on whatever is open is over.
        let ticket = machine.admit(|| u64::MAX).unwrap();
        machine.settle(ticket, End { verdict: fine, slow: false, code: None }, || u64::MAX);
        assert_eq!(machine.state(), BreakerState::Closed);
    }
}
