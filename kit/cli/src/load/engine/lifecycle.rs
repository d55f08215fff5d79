//! Connections that come and go, and calls that wait too long.

use mio::Token;

use super::{Engine, MILLISECOND, SECOND, connection::State, mark};
use crate::load::protocol::{Ended, Kind, Nanos, Outcome, Protocol};

/// After a failed attempt, and doubled up to the second.
const BACKOFF: Nanos = 50 * MILLISECOND;
const MOST_BACKOFF: Nanos = SECOND;

impl<P: Protocol, F: Fn() -> P> Engine<P, F> {
    /// A connection that never came to be.
    pub(super) fn failed(&mut self, place: usize, now: Nanos, why: &str) {
        self.stats.failed_connect(why);
        if let Some(progress) = &mut self.progress {
            progress.ended(&Outcome::Error(Kind::Connect, None), 0);
        }
        self.close(place, now, true);
    }

    /// A connection that ended, with the calls on it.
    pub(super) fn lost(&mut self, place: usize, now: Nanos, kind: Kind, why: &str) {
        let Some(connection) = self.connections.get_mut(place) else { return };
        if connection.state == State::Opening {
            return self.failed(place, now, why);
        }
        connection.protocol.abandon(kind, why, &mut self.ended);
        self.account(place, now);
        self.replace(place, now);
    }

    /// Puts a new connection in the place of one that is over.
    pub(super) fn replace(&mut self, place: usize, now: Nanos) {
        let idle = self.connections.get(place).is_some_and(|connection| connection.idle);
        self.close(place, now, idle);
        self.connect(place, now);
    }

    /// Ends a connection. One that was of no use is not made again at once.
    fn close(&mut self, place: usize, now: Nanos, useless: bool) {
        let Some(connection) = self.connections.get_mut(place) else { return };
        connection.close(self.poll.registry(), (self.protocol)());
        connection.idle = true;
        connection.failures = if useless { connection.failures + 1 } else { 0 };
        connection.retry_at = match connection.failures {
            0 => now,
            failures => now + (BACKOFF << failures.min(6)).min(MOST_BACKOFF),
        };
    }

    /// Connects, if it is time to.
    pub(super) fn connect(&mut self, place: usize, now: Nanos) {
        let over = self.times.is_some_and(|times| now >= times.end && self.queue.is_empty());
        let Some(connection) = self.connections.get_mut(place) else { return };
        if connection.state != State::Closed || connection.retry_at > now || over {
            return;
        }
        let result = connection.connect(self.poll.registry(), Token(place), self.settings.address, now);
        if let Err(error) = result {
            self.failed(place, now, &error.to_string());
        }
    }

    /// What happens by time: attempts to connect, and calls that have waited too long.
    pub(super) fn check(&mut self, now: Nanos, timeout: Nanos) {
        for place in 0..self.connections.len() {
            self.connect(place, now);
            let Some(connection) = self.connections.get_mut(place) else { return };
            if matches!(connection.state, State::Connecting | State::Opening) {
                if connection.since + timeout <= now {
                    self.failed(place, now, "no answer in time");
                }
                continue;
            }
            if let Some(before) = now.checked_sub(timeout) {
                connection.protocol.expire(before, &mut connection.out, &mut self.ended);
                mark(&mut self.unsent, place, connection);
                let done = connection.protocol.is_done();
                self.account(place, now);
                if done {
                    self.replace(place, now);
                }
                self.fill(place, now);
            }
        }
        while let Some(start) = self.queue.pop_front_if(|start| *start + timeout <= now) {
            self.in_flight += 1;
            self.ended.push(Ended { start, outcome: Outcome::error(Kind::Timeout, "no connection was free in time") });
        }
        self.account(0, now);
    }
}
