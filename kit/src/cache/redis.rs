//! Values in a Redis server.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use ::redis::{RedisError, RedisResult, Script, aio::MultiplexedConnection, cmd};
use bytes::Bytes;

use super::{Cache, CacheConfig, CacheError, LONGEST};
use crate::redis::{Fault, FaultKind, Link, Words, is_url};

/// What the log says of the server.
const WORDS: Words = Words {
    away: "the cache is away: answers are loaded until it is back",
    back: "the cache is back",
    refuses: "the cache refuses a command",
};

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
    link: Link,
    prefix: String,
    save_if: Script,
}

impl Redis {
    /// The server that the settings name; it is not connected yet. Otherwise what is wrong with the URL.
    pub(super) fn open(config: &CacheConfig) -> Result<Self, String> {
        if !is_url(&config.url) {
            return Err("must be memory:, redis://host:6379 or off".to_owned());
        }
        let link = Link::open(&config.url, config.timeout, config.rest, WORDS)?;
        Ok(Self(Arc::new(Inner { link, prefix: config.prefix.clone(), save_if: Script::new(SAVE_IF) })))
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.0.prefix)
    }

    async fn command<T, F, Fut>(&self, name: &'static str, run: F) -> Result<T, CacheError>
    where
        F: FnOnce(MultiplexedConnection) -> Fut + Send,
        Fut: Future<Output = RedisResult<T>> + Send,
    {
        Ok(self.0.link.command(name, run).await?)
    }
}

impl From<Fault> for CacheError {
    fn from(fault: Fault) -> Self {
        match fault.kind {
            FaultKind::NotAsked | FaultKind::Away => Self::unavailable(fault.message),
            FaultKind::Refused => Self::refused(fault.message),
        }
    }
}

fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
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
        f.debug_struct("Redis")
            .field("url", &self.0.link.shown())
            .field("prefix", &self.0.prefix)
            .finish_non_exhaustive()
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
