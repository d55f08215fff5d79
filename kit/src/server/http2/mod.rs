//! Connections of HTTP/2, turn by turn, on the crate `h2`.
//!
//! A turn is what one readiness of the socket brings: all requests that have arrived are taken, then their calls run, then the
//! answers go out in one write. A call that is done at its first poll, as most are that find what they need in memory, costs no
//! task and no wake-up.
//!
//! A call that waits goes on in the task of the connection where there is one thread for all, and in a task of its own where there
//! are several ([`Running`]).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream as _, stream::FuturesUnordered};
use h2::{RecvStream, server::SendResponse};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::{Handle, RuntimeFlavor},
    task::JoinSet,
    time::Instant,
};

use super::{ServerConfig, calls::ConnectionCalls, port::App};
use crate::Peer;

mod exchange;
mod held;
mod keep_alive;
mod sending;
#[cfg(test)]
mod tests;

use exchange::Exchange;
use held::{Held, Hold};
use keep_alive::KeepAlive;

/// How many bytes a client may send ahead on a stream, and on all streams of a connection: hyper's default. The 64 KiB of the
/// protocol let a message of 1 MB wait for sixteen round trips.
const WINDOW: u32 = 1024 * 1024;
/// The most bytes of an answer that h2 holds for a stream whose window is open: hyper's default.
const SEND_BUFFER: usize = 400 * 1024;
/// The most streams that may be reset for what is wrong with them, before the connection ends: hyper's default.
const LOCAL_RESETS: usize = 1024;

/// For how many requests a connection that is idle keeps room.
const KEPT: usize = 4;

/// The settings of HTTP/2.
#[derive(Clone)]
pub(super) struct Http2 {
    builder: h2::server::Builder,
    keep_alive: Duration,
    write_timeout: Duration,
}

impl Http2 {
    pub(super) fn new(config: &ServerConfig) -> Self {
        let mut builder = h2::server::Builder::new();
        builder
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_concurrent_streams(config.max_concurrent_streams)
            .max_header_list_size(config.max_header_size)
            .max_send_buffer_size(SEND_BUFFER)
            .max_local_error_reset_streams(Some(LOCAL_RESETS));
        Self { builder, keep_alive: config.keep_alive, write_timeout: config.write_timeout }
    }

    /// A connection whose client has said that it speaks HTTP/2; its greeting is still to be read.
    pub(super) fn serve<S>(&self, stream: S, app: App, peer: Arc<Peer>, calls: ConnectionCalls) -> Connection<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let hold = Hold::default();
        let handshake = self.builder.handshake(Held::new(stream, hold.clone()));
        Connection {
            state: State::Greeting(handshake),
            keep_alive: self.keep_alive,
            served: Served { app, peer, calls, write_timeout: self.write_timeout },
            hold,
            // For one call at a time; a vector that grows from nothing has room for four, and idle connections keep it.
            arrived: Vec::with_capacity(1),
            running: Running::new(),
            closing: false,
        }
    }
}

/// A connection that is served. Dropping it ends it, and the calls on it.
pub(super) struct Connection<S> {
    state: State<S>,
    keep_alive: Duration,
    served: Served,
    hold: Hold,
    // Empty between turns.
    arrived: Vec<Arrived>,
    running: Running,
    closing: bool,
}

enum State<S> {
    Greeting(h2::server::Handshake<Held<S>, Bytes>),
    Serving { connection: h2::server::Connection<Held<S>, Bytes>, keep_alive: Option<KeepAlive>, told: bool },
}

type Arrived = (http::Request<RecvStream>, SendResponse<Bytes>);

/// What calls get of their connection.
struct Served {
    app: App,
    peer: Arc<Peer>,
    calls: ConnectionCalls,
    write_timeout: Duration,
}

/// Why a connection ended that should not have.
#[derive(Debug)]
pub(super) enum Error {
    Http2(h2::Error),
    Silent,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http2(error) => error.fmt(f),
            Self::Silent => f.write_str("the client does not answer pings"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Http2(error) => Some(error),
            Self::Silent => None,
        }
    }
}

impl From<h2::Error> for Error {
    fn from(error: h2::Error) -> Self {
        Self::Http2(error)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Tells the client to send no more calls; the connection ends with the last that it has sent. To be polled on.
    pub(super) fn close(&mut self) {
        self.closing = true;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Connection<S> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        if let State::Greeting(handshake) = &mut this.state {
            let mut connection = ready!(Pin::new(handshake).poll(cx))?;
            let keep_alive = connection.ping_pong().map(|pings| KeepAlive::new(pings, this.keep_alive));
            this.state = State::Serving { connection, keep_alive, told: false };
        }
        let State::Serving { connection, keep_alive, told } = &mut this.state else { return Poll::Pending };
        if this.closing && !*told {
            *told = true;
            connection.graceful_shutdown();
        }
        if let Some(keep_alive) = keep_alive {
            keep_alive.poll(cx).map_err(|_| Error::Silent)?;
        }
        loop {
            let first = match connection.poll_accept(cx) {
                Poll::Ready(Some(arrived)) => arrived?,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                // What calls have sent goes out when the connection is polled again.
                Poll::Pending if this.running.poll(cx) => continue,
                Poll::Pending => return Poll::Pending,
            };
            this.hold.set(true);
            // Nobody is to be woken by what this turn itself does: it polls the connection again when it is done.
            let quiet = &mut Context::from_waker(Waker::noop());
            let mut next = Poll::Ready(Some(Ok(first)));
            let over = loop {
                match next {
                    Poll::Ready(Some(Ok(arrived))) => this.arrived.push(arrived),
                    Poll::Ready(Some(Err(error))) => break Some(Err(error)),
                    Poll::Ready(None) => break Some(Ok(())),
                    Poll::Pending => break None,
                }
                next = connection.poll_accept(quiet);
            };
            let mut turn = Turn::begin(&this.running);
            for (request, respond) in this.arrived.drain(..) {
                if let Some(exchange) = Exchange::new(&this.served, request, respond) {
                    this.running.start(exchange, &mut turn, cx);
                }
            }
            if this.arrived.capacity() > KEPT {
                this.arrived = Vec::new();
            }
            this.running.poll(cx);
            this.hold.set(false);
            if let Some(result) = over {
                return Poll::Ready(result.map_err(Error::from));
            }
        }
    }
}

/// Where calls run.
enum Running {
    /// In the task of the connection: on a runtime of one thread another task would gain nothing, and cost a wake-up for each
    /// step of each call and a write for each answer.
    Here(FuturesUnordered<Exchange>),
    /// In tasks of their own from the moment on when they wait, so that other threads take them over. What does not wait is done
    /// before a task would have been woken; unless it computes, or blocks: then the next calls get their tasks at once.
    Apart { waiting: JoinSet<()>, spawned_next: u32 },
}

/// A call that holds its thread for so long is worth another thread: some times what it costs to wake one.
const LONG: Duration = Duration::from_micros(100);
/// A turn that takes so long leaves the rest of its calls to other threads: each by itself may be short.
const LONG_TURN: Duration = Duration::from_micros(500);
/// After a long call, so many get tasks of their own before it is tried again whether they need them.
const PROBATION: u32 = 100;

/// How long the calls of a turn take that run one after the other, where they could run on other threads.
struct Turn {
    /// When it began, and when its last call was over.
    times: Option<(Instant, Instant)>,
    is_long: bool,
}

impl Turn {
    fn begin(running: &Running) -> Self {
        let apart = matches!(running, Running::Apart { .. });
        Self { times: apart.then(Instant::now).map(|now| (now, now)), is_long: false }
    }

    /// How long the call took that is over now.
    fn took(&mut self) -> Duration {
        let Some((began, last)) = &mut self.times else { return Duration::ZERO };
        let now = Instant::now();
        self.is_long = now.saturating_duration_since(*began) > LONG_TURN;
        now.saturating_duration_since(std::mem::replace(last, now))
    }
}

impl Running {
    fn new() -> Self {
        let several = Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
        if several {
            Self::Apart { waiting: JoinSet::new(), spawned_next: 0 }
        } else {
            Self::Here(FuturesUnordered::new())
        }
    }

    /// Runs a call for as long as it does not wait.
    fn start(&mut self, mut exchange: Exchange, turn: &mut Turn, cx: &mut Context<'_>) {
        match self {
            Self::Here(waiting) => {
                if Pin::new(&mut exchange).poll(cx).is_pending() {
                    waiting.push(exchange);
                }
            }
            Self::Apart { waiting, spawned_next } if turn.is_long || *spawned_next > 0 => {
                *spawned_next = spawned_next.saturating_sub(1);
                waiting.spawn(exchange);
            }
            Self::Apart { waiting, spawned_next } => {
                if Pin::new(&mut exchange).poll(cx).is_pending() {
                    waiting.spawn(exchange);
                }
                if turn.took() > LONG {
                    *spawned_next = PROBATION;
                }
            }
        }
    }

    /// Runs the calls that wait no longer; whether one of them was finished here.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let mut finished = false;
        match self {
            Self::Here(waiting) => {
                while let Poll::Ready(Some(())) = Pin::new(&mut *waiting).poll_next(cx) {
                    finished = true;
                }
            }
            Self::Apart { waiting, .. } => while let Poll::Ready(Some(_)) = waiting.poll_join_next(cx) {},
        }
        finished
    }
}
