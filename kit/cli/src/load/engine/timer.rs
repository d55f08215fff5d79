//! Waking up on time: the waits of `epoll` are whole milliseconds, in which ten calls of a usual schedule begin.

use std::{io, time::Duration};

use mio::{Poll, Token};

use crate::load::protocol::Nanos;

/// What is shorter is not slept through: to fall asleep and to wake takes as long.
const SPIN: Nanos = 20_000;

#[cfg(target_os = "linux")]
pub(super) use linux::Timer;
#[cfg(not(target_os = "linux"))]
pub(super) use other::Timer;

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::{AsRawFd as _, OwnedFd};

    use mio::{Interest, unix::SourceFd};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };

    use super::{Duration, Nanos, Poll, SPIN, Token, io};

    /// For waits of this length, the milliseconds of the poll itself are fine enough.
    const COARSE: Nanos = 20_000_000;

    /// A timer of the system among the sockets.
    #[derive(Debug)]
    pub(crate) struct Timer {
        timer: OwnedFd,
        /// When it goes off, if it is set.
        set: Option<Nanos>,
    }

    impl Timer {
        pub(crate) fn new(poll: &Poll, token: Token) -> io::Result<Self> {
            let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            // Edges are enough: to set it again takes back that it went off.
            poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self { timer, set: None })
        }

        /// Prepares a wait until `end`, and says how long to wait beside that.
        pub(crate) fn wait(&mut self, now: Nanos, end: Nanos) -> io::Result<Option<Duration>> {
            let wait = end.saturating_sub(now);
            if wait < SPIN {
                return Ok(Some(Duration::ZERO));
            }
            if wait >= COARSE {
                return Ok(Some(Duration::from_nanos(wait)));
            }
            if self.set != Some(end) {
                let value = Timespec { tv_sec: 0, tv_nsec: wait as _ };
                let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
                timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
                self.set = Some(end);
            }
            Ok(None)
        }

        pub(crate) fn fired(&mut self) {
            self.set = None;
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use super::{Duration, Nanos, Poll, SPIN, Token, io};

    /// The waits of the poll itself.
    #[derive(Debug)]
    pub(crate) struct Timer;

    impl Timer {
        pub(crate) fn new(_: &Poll, _: Token) -> io::Result<Self> {
            Ok(Self)
        }

        pub(crate) fn wait(&mut self, now: Nanos, end: Nanos) -> io::Result<Option<Duration>> {
            let wait = end.saturating_sub(now);
            Ok(Some(if wait < SPIN { Duration::ZERO } else { Duration::from_nanos(wait) }))
        }

        pub(crate) fn fired(&mut self) {}
    }
}
