//! A peer that went away without a word.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

/// A silent peer is dropped this long after a ping: hyper's default, and that of gRPC.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Asks the peer every now and then whether it is there.
pub(super) struct KeepAlive {
    interval: Duration,
    pings: PingPong,
    clock: Pin<Box<Sleep>>,
    /// Whether the clock knows whom to wake.
    set: bool,
    asked: bool,
}

/// The peer did not answer in time.
pub(super) struct Silent;

impl KeepAlive {
    pub(super) fn new(pings: PingPong, interval: Duration) -> Self {
        Self { interval, pings, clock: Box::pin(sleep(interval)), set: false, asked: false }
    }

    fn wait(&mut self, time: Duration) {
        self.clock.as_mut().reset(Instant::now() + time);
        self.set = false;
    }

    /// Called at every turn of the connection, and so cheap when there is nothing to do.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), Silent> {
        if self.asked && self.pings.poll_pong(cx).is_ready() {
            self.asked = false;
            self.wait(self.interval);
        }
        while if self.set { self.clock.is_elapsed() } else { self.is_over(cx) } {
            if self.asked {
                return Err(Silent);
            }
            // It fails when the connection ends, which is noticed elsewhere.
            self.asked = self.pings.send_ping(Ping::opaque()).is_ok();
            self.wait(if self.asked { PING_TIMEOUT } else { self.interval });
            if self.asked && self.pings.poll_pong(cx).is_ready() {
                self.asked = false;
                self.wait(self.interval);
            }
        }
        Ok(())
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.set = true;
        matches!(self.clock.as_mut().poll(cx), Poll::Ready(()))
    }
}
