//! One limit for several processes, kept in Redis.

use std::{sync::Arc, time::Duration};

use ::redis::Script;
use serde_json::{Value, json};

use super::{
    config::SharedConfig,
    figures::Figures,
    gcra::{Rate, SLACK, Verdict},
    key::Key,
};
use crate::redis::{FaultKind, Link, Words, is_url};

const WORDS: Words = Words {
    away: "the store of shared rate limits is away: its when_away holds until it is back",
    back: "the store of shared rate limits is back",
    refuses: "the store of shared rate limits refuses a command",
};

/// The same decision as `Rate::next`, in microseconds: those of Redis' own clock, so that the clocks of callers don't matter, and
/// few enough to be exact in Lua's numbers. What is no number counts as nothing owed. A key is gone when its debt is paid.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval, full, slack = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local owed = (tonumber(redis.call('GET', KEYS[1]) or '') or now) - now
if not (owed > 0) then owed = 0 end
local back = owed > full + slack
if back then owed = full end
local debt, wait = owed + interval, 0
if debt > full then debt, wait = owed, debt - full end
if wait == 0 or back then
    redis.call('SET', KEYS[1], string.format('%.0f', now + debt), 'PX', math.ceil(debt / 1000))
end
return {wait, debt}
";

/// Nanoseconds in a microsecond.
const MICRO: u64 = 1_000;

/// What is wrong with the URL.
pub(super) fn check_url(config: &SharedConfig) -> Result<(), String> {
    Store::open(config).map(drop)
}

/// The server, for all limits that are kept there.
pub(super) struct Store {
    link: Link,
    take: Script,
    config: SharedConfig,
}

impl Store {
    pub(super) fn open(config: &SharedConfig) -> Result<Self, String> {
        if !is_url(&config.url) {
            return Err("must be redis://host:6379".to_owned());
        }
        let link = Link::open(&config.url, config.timeout, config.rest, WORDS)?;
        Ok(Self { link, take: Script::new(TAKE), config: config.clone() })
    }

    pub(super) fn config(&self) -> &SharedConfig {
        &self.config
    }

    pub(super) fn state(&self) -> Value {
        let server = self.link.shown();
        match self.link.rests() {
            None => json!({ "server": server, "state": "asked" }),
            Some(Duration::ZERO) => json!({ "server": server, "state": "away: the next call tries" }),
            Some(rest) => json!({
                "server": server,
                "state": "away: not asked just now",
                "next_try_in": crate::duration::format(rest),
            }),
        }
    }

    /// The name in Redis of what a key owes to the limit of this scope.
    pub(super) fn name(&self, scope: &str, key: Option<Key<'_>>) -> String {
        let digest = key.map_or_else(|| "all".to_owned(), Key::digest);
        format!("{}{scope}:{digest}", self.config.prefix)
    }

    /// Decides about a call; `None` when Redis can't. Dropping the future may leave the call counted, or not.
    pub(super) async fn take(self: &Arc<Self>, name: String, rate: Rate, figures: &Figures) -> Option<Verdict> {
        let interval = rate.interval.div_ceil(MICRO);
        let full = interval.saturating_mul(rate.full / rate.interval.max(1));
        let run = |mut to| async move {
            let mut run = self.take.key(name);
            run.arg(interval).arg(full).arg(SLACK / MICRO);
            run.invoke_async::<(u64, u64)>(&mut to).await
        };
        match self.link.command("EVALSHA", run).await {
            Ok((wait, debt)) => Some(Verdict { wait: wait.saturating_mul(MICRO), debt: debt.saturating_mul(MICRO) }),
            Err(fault) => {
                if fault.kind != FaultKind::NotAsked {
                    figures.shared_errors.count();
                }
                None
            }
        }
    }
}
