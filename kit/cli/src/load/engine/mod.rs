//! The loop that drives all connections, on one thread: begins calls, sends and reads, and counts.

mod connection;
mod lifecycle;
mod schedule;
mod timer;

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use connection::{Connection, State};
use mio::{Events, Poll, Token};
use schedule::{Schedule, Times};
use timer::Timer;
use tokio::time::Instant;

use super::{
    progress::Progress,
    protocol::{Ended, Kind, Nanos, Outcome, Protocol},
    stats::Stats,
};

/// Tokens beside those of the connections.
pub(super) const STOP: Token = Token(usize::MAX);
const TIMER: Token = Token(usize::MAX - 1);
/// What is read at a time.
const READ: usize = 256 * 1024;
const MILLISECOND: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MILLISECOND;

/// How the calls are made.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) address: SocketAddr,
    pub(super) connections: usize,
    /// Calls a second, on schedule; without it, each call follows an answer.
    pub(super) rate: Option<f64>,
    pub(super) warmup: Duration,
    pub(super) duration: Duration,
    pub(super) timeout: Duration,
    pub(super) max_in_flight: usize,
    /// A stream may go on for ever: at the end it is not waited for.
    pub(super) streaming: bool,
}

/// What has been asked from outside: 1 is to end, 2 is to end at once.
pub(super) type Stop = Arc<AtomicUsize>;

/// All connections and what is counted.
pub(super) struct Engine<P, F> {
    settings: Settings,
    protocol: F,
    poll: Poll,
    origin: Instant,
    connections: Vec<Connection<P>>,
    /// Calls that wait for a connection: when they should have begun.
    queue: VecDeque<Nanos>,
    /// Where the next waiting call looks first.
    turn: usize,
    in_flight: usize,
    stats: Stats,
    progress: Option<Progress>,
    ended: Vec<Ended>,
    buffer: Vec<u8>,
    /// Connections with something to send.
    unsent: Vec<usize>,
    /// Set when the connections are there.
    times: Option<Times>,
    schedule: Option<Schedule>,
}

impl<P: Protocol, F: Fn() -> P> Engine<P, F> {
    pub(super) fn new(settings: Settings, poll: Poll, protocol: F, progress: Option<Progress>) -> Self {
        Self {
            connections: (0..settings.connections).map(|_| Connection::new(protocol())).collect(),
            settings,
            protocol,
            poll,
            origin: Instant::now(),
            queue: VecDeque::new(),
            turn: 0,
            in_flight: 0,
            stats: Stats::default(),
            progress,
            ended: Vec::new(),
            buffer: vec![0; READ],
            unsent: Vec::new(),
            times: None,
            schedule: None,
        }
    }

    fn now(&self) -> Nanos {
        self.origin.elapsed().as_nanos() as Nanos
    }

    /// Makes the calls, and gives what was counted.
    ///
    /// # Errors
    ///
    /// When nothing can be waited for, or no connection was made at all.
    pub(super) fn run(mut self, stop: &Stop) -> Result<Stats, String> {
        let mut timer = Timer::new(&self.poll, TIMER).map_err(|error| format!("cannot make a timer: {error}"))?;
        let mut events = Events::with_capacity(1024);
        let timeout = nanos(self.settings.timeout);
        let check_every = (timeout / 20).clamp(MILLISECOND, 100 * MILLISECOND);
        let mut next_check = 0;
        let mut cpu = Duration::ZERO;
        let mut counting = false;
        loop {
            let now = self.now();
            if now >= next_check {
                self.check(now, timeout);
                next_check = now + check_every;
            }
            let stopped = stop.load(Ordering::Relaxed);
            match &mut self.times {
                None if stopped > 0 => break,
                None => self.begin_run(now)?,
                Some(times) => {
                    if stopped > 0 && times.end > now {
                        times.end = now;
                        times.measure = times.measure.min(now);
                    }
                    let times = *times;
                    if !counting && now >= times.measure {
                        counting = true;
                        cpu = cpu_time();
                        self.stats.start(times.measure);
                    }
                    self.line_up(now, times);
                    self.dispatch(now, times);
                    if now >= times.end {
                        if !self.stats.is_over() {
                            self.stats.finish(times.end, cpu_time().saturating_sub(cpu));
                        }
                        let idle = self.in_flight == 0 && self.queue.is_empty();
                        if idle || self.settings.streaming || stopped > 1 {
                            break;
                        }
                    }
                }
            }
            self.flush();
            if let Some(progress) = &mut self.progress {
                progress.tick(now, self.in_flight + self.queue.len());
            }
            let mut next = next_check;
            if let Some(times) = self.times {
                for edge in [times.measure, times.end] {
                    next = if edge > now { next.min(edge) } else { next };
                }
                if let Some(schedule) = &self.schedule {
                    next = next.min(schedule.due(times.end));
                }
            }
            let wait = timer.wait(self.now(), next).map_err(|error| error.to_string())?;
            match self.poll.poll(&mut events, wait) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("cannot wait for answers: {error}")),
            }
            for event in &events {
                match event.token() {
                    STOP => {}
                    TIMER => timer.fired(),
                    Token(place) => self.event(place, event.is_readable(), event.is_read_closed() || event.is_error()),
                }
            }
        }
        for place in 0..self.connections.len() {
            self.messages(place);
        }
        self.stats.left_over((self.in_flight + self.queue.len()) as u64);
        Ok(self.stats)
    }

    /// Starts the schedule when every connection is there, or has had its chance.
    fn begin_run(&mut self, now: Nanos) -> Result<(), String> {
        let ready = self.connections.iter().filter(|connection| connection.state == State::Ready).count();
        let tried =
            self.connections.iter().all(|connection| connection.state == State::Ready || connection.failures > 0);
        if !tried {
            return Ok(());
        }
        if ready == 0 {
            let why = self.stats.note(Kind::Connect).unwrap_or("no connection");
            return Err(format!("cannot call {}: {why}", self.settings.address));
        }
        let measure = now + nanos(self.settings.warmup);
        let times = Times { measure, end: measure.saturating_add(nanos(self.settings.duration)) };
        self.schedule = self.settings.rate.map(|rate| Schedule::new(now, rate));
        self.times = Some(times);
        for place in 0..self.connections.len() {
            self.fill(place, now);
        }
        Ok(())
    }

    /// Lines up the calls whose time has come.
    fn line_up(&mut self, now: Nanos, times: Times) {
        let Some(schedule) = &mut self.schedule else { return };
        while let Some(due) = schedule.take(now, times.end) {
            if self.in_flight + self.queue.len() >= self.settings.max_in_flight {
                if due >= times.measure {
                    self.stats.drop_one();
                }
            } else {
                self.queue.push_back(due);
            }
        }
    }

    /// Gives waiting calls to the connections, in turn.
    fn dispatch(&mut self, now: Nanos, times: Times) {
        let mut refused = 0;
        while !self.queue.is_empty() && refused < self.connections.len() {
            self.turn = (self.turn + 1) % self.connections.len();
            let place = self.turn;
            let Some(connection) = self.connections.get_mut(place).filter(|connection| connection.has_room()) else {
                refused += 1;
                continue;
            };
            let Some(due) = self.queue.pop_front() else { return };
            refused = 0;
            if due >= times.measure {
                self.stats.late(now.saturating_sub(due));
            }
            connection.begin(due);
            self.in_flight += 1;
            mark(&mut self.unsent, place, connection);
        }
    }

    /// Keeps a connection busy: with waiting calls first, and with new ones where there is no schedule.
    fn fill(&mut self, place: usize, now: Nanos) {
        let Some(times) = self.times else { return };
        let Some(connection) = self.connections.get_mut(place) else { return };
        let open = self.schedule.is_some();
        while connection.has_room() {
            let start = match self.queue.pop_front() {
                Some(due) => {
                    if due >= times.measure {
                        self.stats.late(now.saturating_sub(due));
                    }
                    due
                }
                None if open || now >= times.end => break,
                None => now,
            };
            connection.begin(start);
            self.in_flight += 1;
            mark(&mut self.unsent, place, connection);
        }
    }

    fn flush(&mut self) {
        let unsent = std::mem::take(&mut self.unsent);
        for &place in &unsent {
            let Some(connection) = self.connections.get_mut(place) else { continue };
            connection.marked = false;
            match connection.send() {
                Ok(sent) => self.stats.sent(sent),
                // What the server said before is read first; the end follows as an event.
                Err(_) => connection.out.clear(),
            }
        }
        // Its memory is used again.
        if self.unsent.is_empty() {
            self.unsent = unsent;
            self.unsent.clear();
        }
    }

    fn event(&mut self, place: usize, readable: bool, closing: bool) {
        let now = self.now();
        let Some(connection) = self.connections.get_mut(place) else { return };
        if connection.state == State::Connecting {
            match connection.connected() {
                Ok(false) => return,
                Ok(true) => {}
                Err(error) => return self.failed(place, now, &error.to_string()),
            }
        }
        // It may be writable again.
        mark(&mut self.unsent, place, connection);
        if readable || closing {
            self.read(place, closing);
        }
        let Some(connection) = self.connections.get_mut(place) else { return };
        if connection.state == State::Opening && connection.protocol.is_ready() {
            connection.state = State::Ready;
        }
        let now = self.now();
        self.fill(place, now);
    }

    fn read(&mut self, place: usize, closing: bool) {
        loop {
            let Some(connection) = self.connections.get_mut(place) else { return };
            let got = connection.read(&mut self.buffer);
            let now = self.origin.elapsed().as_nanos() as Nanos;
            let Some(connection) = self.connections.get_mut(place) else { return };
            let (length, more) = match got {
                Ok(Some(got)) => got,
                Ok(None) => return,
                Err(error) => return self.lost(place, now, Kind::Reset, &error.to_string()),
            };
            if length.new == 0 {
                connection.protocol.finish(&mut self.ended);
                self.account(place, now);
                return self.lost(place, now, Kind::Reset, "the server closed the connection");
            }
            self.stats.received(length.new);
            let input = self.buffer.get(..length.all).unwrap_or_default();
            let taken = connection.protocol.receive(input, now, &mut connection.out, &mut self.ended);
            match taken {
                Ok(taken) => connection.keep(input.get(taken..).unwrap_or_default()),
                Err(broken) => {
                    self.account(place, now);
                    return self.lost(place, now, Kind::Protocol, &broken.0);
                }
            }
            self.account(place, now);
            let Some(connection) = self.connections.get_mut(place) else { return };
            if connection.protocol.is_done() {
                return self.replace(place, now);
            }
            if !more && !closing {
                return;
            }
        }
    }

    /// Counts what has ended.
    fn account(&mut self, place: usize, now: Nanos) {
        self.messages(place);
        let measure = self.times.map_or(Nanos::MAX, |times| times.measure);
        let end = self.times.map_or(0, |times| times.end);
        for Ended { start, outcome } in self.ended.drain(..) {
            self.in_flight -= 1;
            if outcome == Outcome::Unprocessed {
                self.queue.push_front(start);
                continue;
            }
            let latency = now.saturating_sub(start);
            if let Some(progress) = &mut self.progress {
                progress.ended(&outcome, latency);
            }
            if (measure..end).contains(&start) {
                self.stats.ended(&outcome, latency);
            }
        }
    }

    fn messages(&mut self, place: usize) {
        if let Some(connection) = self.connections.get_mut(place) {
            let messages = connection.protocol.take_messages();
            self.stats.messages(messages);
        }
    }
}

fn mark<P>(unsent: &mut Vec<usize>, place: usize, connection: &mut Connection<P>) {
    if !connection.marked {
        connection.marked = true;
        unsent.push(place);
    }
}

fn nanos(duration: Duration) -> Nanos {
    // More than a century is for ever, with room to add to it.
    (duration.as_nanos().min(u128::from(u64::MAX / 4))) as Nanos
}

/// The processor time of this program so far.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.clamp(0, 999_999_999) as u32)
}
