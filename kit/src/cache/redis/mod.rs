//! Values in a Redis server.

mod gate;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo as _, RedisError, RedisResult, Script,
    ServerErrorKind, aio::MultiplexedConnection, cmd,
};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::{sync::Mutex, time::timeout};

use super::{Cache, CacheConfig, CacheError, LONGEST};
use gate::Gate;

/// How many commands may wait to be written: with fewer, callers queue for room before they queue for the answer.
const QUEUED: usize = 1024;

/// How many keys Redis looks at in one step of a flush: a fraction of a millisecond, after which others have their turn.
const FLUSH_STEP: usize = 500;

/// Sets a key if it holds what is expected. What is no string is none of ours and counts as nothing.
const SAVE_IF: &str = r"
local current = false
if redis.call('TYPE', KEYS[1]).ok == 'string' then current = redis.call('GET', KEYS[1]) end
local expected = false
if ARGV[1] == '1' then expected = ARGV[2] end
if current ~= expected then return 0 end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return 1
";

/// Values in a Redis server, shared by all who use the same server, number and prefix. Clones share one connection, on which
/// commands of many calls are under way at once.
///
/// The connection is made when it is first needed. When the server cannot be reached, or does not answer within the timeout,
/// it is left alone for a rest; commands fail at once until then, and one tries. The log says so once when it begins and once
/// when it is over.
///
/// [`flush`](Cache::flush) walks over all keys of the database in small steps (`SCAN`, `UNLINK`): nobody is held up, but it
/// takes a while, and what is saved meanwhile may stay. A number in front of all keys would be faster to change, but every
/// single fetch would have to ask for it.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    client: Client,
    shown: String,
    prefix: String,
    timeout: Duration,
    connection: ArcSwapOption<MultiplexedConnection>,
    /// Whoever finds no connection makes one, and the others wait for it.
    connecting: Mutex<()>,
    gate: Gate,
    save_if: Script,
}

impl Redis {
    /// The server that the settings name; it is not connected yet. Otherwise what is wrong with the URL.
    pub(super) fn open(config: &CacheConfig) -> Result<Self, String> {
        let shown = shown(&config.url);
        match config.url.split_once(':').map(|(scheme, _)| scheme) {
            Some("redis" | "valkey" | "unix" | "redis+unix") => {}
            Some("rediss" | "valkeys") => {
                return Err(format!("({shown}) asks for TLS, which is not built in: use redis://"));
            }
            _ => return Err("must be memory:, redis://host:6379 or off".to_owned()),
        }
        let client = Client::open(config.url.as_str()).map_err(|error| {
            let why = error.detail().map(|why| format!(": {why}")).unwrap_or_default();
            format!("({shown}) is not like redis://user:password@host:6379/0{why}")
        })?;
        Ok(Self(Arc::new(Inner {
            client,
            prefix: config.prefix.clone(),
            timeout: config.timeout,
            connection: ArcSwapOption::empty(),
            connecting: Mutex::new(()),
            gate: Gate::new(shown.clone(), config.timeout, config.rest),
            save_if: Script::new(SAVE_IF),
            shown,
        })))
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.0.prefix)
    }

    /// Runs a command, the one way to the server: as a span of the trace that it is run for, with its name and never a key or a
    /// value.
    async fn command<T, F, Fut>(&self, name: &'static str, run: F) -> Result<T, CacheError>
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
    async fn send<T, F, Fut>(&self, name: &'static str, run: F) -> Result<T, CacheError>
    where
        F: FnOnce(MultiplexedConnection) -> Fut + Send,
        Fut: Future<Output = RedisResult<T>> + Send,
    {
        let inner = &*self.0;
        inner.gate.enter()?;
        let mut used = None;
        let work = async {
            let connection = inner.connection().await?;
            used = Some(Arc::clone(&connection));
            run(MultiplexedConnection::clone(&connection)).await
        };
        let outcome = match timeout(inner.timeout, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))),
        };
        let error = match outcome {
            Ok(value) => {
                inner.gate.answered();
                return Ok(value);
            }
            Err(error) => error,
        };
        let shown = &inner.shown;
        if is_away(&error) {
            if let Some(used) = used {
                inner.discard(&used);
            }
            let why =
                if error.is_timeout() { format!("no answer within {:?}", inner.timeout) } else { error.to_string() };
            inner.gate.failed(name, &why);
            return Err(CacheError::unavailable(format_args!("{name} at {shown}: {why}")));
        }
        inner.gate.answered();
        inner.gate.refused(name, &error);
        Err(CacheError::refused(format_args!("{name} at {shown}: {error}")))
    }
}

impl Inner {
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

/// Whether the server is not to be reached, or not ready, rather than that it refuses this command.
fn is_away(error: &RedisError) -> bool {
    use ErrorKind::{AuthenticationFailed, Io, Server};
    use ServerErrorKind::{BusyLoading, MasterDown, TryAgain};
    error.is_connection_dropped()
        || matches!(error.kind(), Io | AuthenticationFailed | Server(BusyLoading | MasterDown | TryAgain))
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}

fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

/// A URL without user, password and parameters.
pub(super) fn shown(url: &str) -> String {
    match url.into_connection_info() {
        Ok(info) => match info.addr() {
            address @ ConnectionAddr::Unix(_) => address.to_string(),
            address => format!("redis://{address}/{}", info.redis_settings().db()),
        },
        Err(_) => "...".to_owned(),
    }
}

/// In whole milliseconds, and at least one: Redis refuses zero.
fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.min(LONGEST).as_millis()).unwrap_or(u64::MAX).max(1)
}

/// A text in a pattern of `SCAN`, where it stands for itself.
fn literal(text: &str) -> String {
    let special = |char| matches!(char, '*' | '?' | '[' | ']' | '\\');
    text.chars().flat_map(|char| special(char).then_some('\\').into_iter().chain([char])).collect()
}

impl Cache for Redis {
    async fn contains(&self, key: &str) -> Result<bool, CacheError> {
        let key = self.key(key);
        self.command("EXISTS", |mut to| async move { cmd("EXISTS").arg(key).query_async(&mut to).await }).await
    }

    async fn delete(&self, key: &str) -> Result<bool, CacheError> {
        let key = self.key(key);
        self.command("UNLINK", |mut to| async move { cmd("UNLINK").arg(key).query_async(&mut to).await }).await
    }

    async fn expire(&self, key: &str, ttl: Duration) -> Result<bool, CacheError> {
        let (key, ttl) = (self.key(key), milliseconds(ttl));
        self.command("PEXPIRE", |mut to| async move { cmd("PEXPIRE").arg(key).arg(ttl).query_async(&mut to).await })
            .await
    }

    async fn fetch(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        let key = self.key(key);
        let get = |mut to| async move {
            let found: RedisResult<Option<Vec<u8>>> = cmd("GET").arg(key).query_async(&mut to).await;
            // A list or a hash is nothing of ours: it is overwritten by the next save.
            found.or_else(|error| if is_wrong_type(&error) { Ok(None) } else { Err(error) })
        };
        Ok(self.command("GET", get).await?.map(Bytes::from))
    }

    async fn fetch_many(&self, keys: &[&str]) -> Result<Vec<Option<Bytes>>, CacheError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = keys.iter().map(|key| self.key(key)).collect();
        let get = |mut to| async move { cmd("MGET").arg(keys).query_async::<Vec<Option<Vec<u8>>>>(&mut to).await };
        let found = self.command("MGET", get).await?;
        Ok(found.into_iter().map(|value| value.map(Bytes::from)).collect())
    }

    async fn flush(&self) -> Result<(), CacheError> {
        let pattern = format!("{}*", literal(&self.0.prefix));
        let mut cursor: u64 = 0;
        loop {
            let pattern = pattern.as_str();
            let scan = |mut to| async move {
                let mut scan = cmd("SCAN");
                scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(FLUSH_STEP);
                scan.query_async::<(u64, Vec<Vec<u8>>)>(&mut to).await
            };
            let (next, keys) = self.command("SCAN", scan).await?;
            if !keys.is_empty() {
                let unlink = |mut to| async move { cmd("UNLINK").arg(keys).query_async::<u64>(&mut to).await };
                self.command("UNLINK", unlink).await?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }

    async fn save(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        let (key, ttl) = (self.key(key), milliseconds(ttl));
        let set = |mut to| async move {
            cmd("SET").arg(key).arg(value.as_ref()).arg("PX").arg(ttl).query_async::<()>(&mut to).await
        };
        self.command("SET", set).await
    }

    async fn save_if(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: Bytes,
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        let key = self.key(key);
        let script = &self.0.save_if;
        let run = |mut to| async move {
            let mut run = script.key(key);
            run.arg(i32::from(expected.is_some())).arg(expected.unwrap_or_default());
            run.arg(value.as_ref()).arg(milliseconds(ttl));
            run.invoke_async::<bool>(&mut to).await
        };
        self.command("EVALSHA", run).await
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("url", &self.0.shown).field("prefix", &self.0.prefix).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_stands_for_itself_in_a_pattern() {
        assert_eq!(literal(r"a*[b]?\c:"), r"a\*\[b\]\?\\c:");
    }

    #[test]
    fn redis_gets_whole_milliseconds_and_never_none() {
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::from_micros(2500)), 2);
        assert_eq!(milliseconds(Duration::MAX), 365 * 24 * 60 * 60 * 1000);
    }
}
