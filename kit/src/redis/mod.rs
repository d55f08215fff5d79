//! The way to a Redis server: one connection that many calls share, a timeout for each command, and a gate that leaves a server
//! alone which does not answer. What is kept there is the affair of whoever uses it.

mod gate;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo as _, RedisError, RedisResult,
    ServerErrorKind, aio::MultiplexedConnection,
};
use arc_swap::ArcSwapOption;
use tokio::{sync::Mutex, time::timeout};

pub(crate) use gate::Words;
use gate::{Closed, Gate};

/// How many commands may wait to be written: with fewer, callers queue for room before they queue for the answer.
const QUEUED: usize = 1024;

/// A server and the connection to it.
///
/// The connection is made when it is first needed. When the server cannot be reached, or does not answer within the timeout,
/// it is left alone for a rest; commands fail at once until then, and one tries. The log says so once when it begins and once
/// when it is over.
pub(crate) struct Link {
    client: Client,
    shown: String,
    timeout: Duration,
    connection: ArcSwapOption<MultiplexedConnection>,
    /// Whoever finds no connection makes one, and the others wait for it.
    connecting: Mutex<()>,
    gate: Gate,
}

/// Why a command was not done, written for operators.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) message: String,
}

/// Whose doing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The server was away a moment ago and was not asked.
    NotAsked,
    /// It cannot be reached, is not ready, or does not answer in time.
    Away,
    /// It answered, and refuses this command.
    Refused,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// Whether a URL names a Redis that this could reach, with TLS or without.
pub(crate) fn is_url(url: &str) -> bool {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    matches!(scheme, Some("redis" | "valkey" | "unix" | "redis+unix" | "rediss" | "valkeys"))
}

impl Link {
    /// The server that a URL names; it is not connected yet. Otherwise what is wrong with the URL. `timeout` is for a command
    /// with the connecting, `rest` for a server that is away.
    pub(crate) fn open(url: &str, timeout: Duration, rest: Duration, words: Words) -> Result<Self, String> {
        let shown = shown(url);
        if url.starts_with("rediss:") || url.starts_with("valkeys:") {
            return Err(format!("({shown}) asks for TLS, which is not built in: use redis://"));
        }
        let client = Client::open(url).map_err(|error| {
            let why = error.detail().map(|why| format!(": {why}")).unwrap_or_default();
            format!("({shown}) is not like redis://user:password@host:6379/0{why}")
        })?;
        Ok(Self {
            client,
            timeout,
            connection: ArcSwapOption::empty(),
            connecting: Mutex::new(()),
            gate: Gate::new(shown.clone(), timeout, rest, words),
            shown,
        })
    }

    /// The server without user and password.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// For how long the server is still left alone; `None` while it answers, zero when the next command tries.
    pub(crate) fn rests(&self) -> Option<Duration> {
        self.gate.closed_for()
    }

    /// Runs a command, the one way to the server: as a span of the trace that it is run for, with its name and never a key or a
    /// value.
    ///
    /// Dropping the future gives the command up; the server may have done it by then.
    pub(crate) async fn command<T, F, Fut>(&self, name: &'static str, run: F) -> Result<T, Fault>
    where
        F: FnOnce(MultiplexedConnection) -> Fut + Send,
        Fut: Future<Output = RedisResult<T>> + Send,
    {
        #[cfg(feature = "trace")]
        {
            use crate::{endpoint::current, trace::Kind};
            let span = current::child_span(name).with_kind(Kind::Client).with_remote("redis", None);
            span.tag("db.system", "redis");
            let result = span.run(self.send(name, run)).await;
            if let Err(error) = &result {
                span.fail(error.to_string());
            }
            result
        }
        #[cfg(not(feature = "trace"))]
        self.send(name, run).await
    }

    /// What the server does not answer in time counts as not there.
    async fn send<T, F, Fut>(&self, name: &'static str, run: F) -> Result<T, Fault>
    where
        F: FnOnce(MultiplexedConnection) -> Fut + Send,
        Fut: Future<Output = RedisResult<T>> + Send,
    {
        let shown = &self.shown;
        self.gate.enter().map_err(|Closed| Fault {
            kind: FaultKind::NotAsked,
            message: format!("{shown} is away and not asked just now"),
        })?;
        let mut used = None;
        let work = async {
            let connection = self.connection().await?;
            used = Some(Arc::clone(&connection));
            run(MultiplexedConnection::clone(&connection)).await
        };
        let outcome = match timeout(self.timeout, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))),
        };
        let error = match outcome {
            Ok(value) => {
                self.gate.answered();
                return Ok(value);
            }
            Err(error) => error,
        };
        if is_away(&error) {
            if let Some(used) = used {
                self.discard(&used);
            }
            let why =
                if error.is_timeout() { format!("no answer within {:?}", self.timeout) } else { error.to_string() };
            self.gate.failed(name, &why);
            return Err(Fault { kind: FaultKind::Away, message: format!("{name} at {shown}: {why}") });
        }
        self.gate.answered();
        self.gate.refused(name, &error);
        Err(Fault { kind: FaultKind::Refused, message: format!("{name} at {shown}: {error}") })
    }

    async fn connection(&self) -> RedisResult<Arc<MultiplexedConnection>> {
        if let Some(connection) = self.connection.load_full() {
            return Ok(connection);
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(connection) = self.connection.load_full() {
            return Ok(connection);
        }
        // The timeout of the command covers connecting and answering.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUED);
        let connection = Arc::new(self.client.get_multiplexed_async_connection_with_config(&config).await?);
        self.connection.store(Some(Arc::clone(&connection)));
        Ok(connection)
    }

    /// The next command connects anew: a server that went away without a word would be waited for on the old connection.
    fn discard(&self, connection: &Arc<MultiplexedConnection>) {
        self.connection.compare_and_swap(connection, None);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("url", &self.shown).finish_non_exhaustive()
    }
}

/// Whether the server is not to be reached, or not ready, rather than that it refuses this command.
fn is_away(error: &RedisError) -> bool {
    use ErrorKind::{AuthenticationFailed, Io, Server};
    use ServerErrorKind::{BusyLoading, MasterDown, TryAgain};
    error.is_connection_dropped()
        || matches!(error.kind(), Io | AuthenticationFailed | Server(BusyLoading | MasterDown | TryAgain))
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}

/// A URL without user, password and parameters.
pub(crate) fn shown(url: &str) -> String {
    match url.into_connection_info() {
        Ok(info) => match info.addr() {
            address @ ConnectionAddr::Unix(_) => address.to_string(),
            address => format!("redis://{address}/{}", info.redis_settings().db()),
        },
        Err(_) => "...".to_owned(),
    }
}
