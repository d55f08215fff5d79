//! Where the keys come from, and when they are looked at again.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::{JoinHandle, spawn_blocking},
    time::Instant,
};

#[cfg(feature = "http")]
use super::fetch::Fetch;
use super::{Algorithm, JwtConfig, KeySet};
use crate::Error;

/// As often as the files of certificates are looked at.
const EACH_FILE: Duration = Duration::from_secs(10);
/// As long as common providers let a set be kept at the least.
#[cfg(feature = "http")]
const EACH_ADDRESS: Duration = Duration::from_secs(5 * 60);
/// How often strangers can have the keys looked at by naming keys that there are not.
const EACH_STRANGER: Duration = Duration::from_secs(10);
/// Sets have some kilobytes.
pub(super) const MOST_BYTES: usize = 1024 * 1024;

/// Where keys come from.
pub(super) enum Origin {
    Program,
    File(PathBuf),
    #[cfg(feature = "http")]
    Address(Fetch),
}

impl Origin {
    /// What is wrong with an origin in settings. It does not repeat it: addresses may hold secrets.
    pub(super) fn check(text: &str) -> Result<(), String> {
        if !text.contains("://") {
            return Ok(());
        }
        #[cfg(feature = "http")]
        return Fetch::check(text);
        #[cfg(not(feature = "http"))]
        Err("is an address, which needs the feature http of kit: name a file".to_owned())
    }

    fn new(text: &str) -> Result<Self, Error> {
        match text {
            "" => Ok(Self::Program),
            #[cfg(feature = "http")]
            address if address.contains("://") => Ok(Self::Address(Fetch::new(address)?)),
            path => Ok(Self::File(PathBuf::from(path))),
        }
    }

    fn each(&self) -> Duration {
        match self {
            Self::Program => Duration::MAX,
            Self::File(_) => EACH_FILE,
            #[cfg(feature = "http")]
            Self::Address(_) => EACH_ADDRESS,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Program => "the program".to_owned(),
            Self::File(path) => path.display().to_string(),
            #[cfg(feature = "http")]
            Self::Address(fetch) => fetch.name().to_owned(),
        }
    }
}

/// When a file was changed, and its size.
type Stamp = Option<(SystemTime, u64)>;

/// The keys that hold now, and what brings others.
pub(super) struct Source {
    origin: Origin,
    each: Duration,
    algorithms: Vec<Algorithm>,
    keys: ArcSwap<KeySet>,
    made: Instant,
    /// When the last look began, and the last good one ended: milliseconds since it was made.
    looked: AtomicU64,
    good: AtomicU64,
    away: AtomicBool,
    /// Held by the one who looks.
    known: Arc<Mutex<Stamp>>,
}

impl Source {
    /// The keys of settings that were checked: a file is read at once.
    pub(super) fn new(config: &JwtConfig) -> Result<Self, Error> {
        let origin = Origin::new(&config.keys)?;
        let mut source = Self::of(origin, KeySet::default(), config);
        if let Origin::File(path) = &source.origin {
            // The date first: what changes between the two is read again.
            let stamp = stamp(path);
            let set = read(path).and_then(|json| source.usable(&json));
            let set = set.map_err(|e| {
                Error::invalid_argument(format!("auth.jwt.keys {}: {}", path.display(), e.message())).with_source(e)
            })?;
            tell(&set);
            source.keys.store(Arc::new(set));
            source.known = Arc::new(Mutex::new(stamp));
        }
        Ok(source)
    }

    pub(super) fn given(keys: KeySet, config: &JwtConfig) -> Self {
        Self::of(Origin::Program, keys, config)
    }

    fn of(origin: Origin, keys: KeySet, config: &JwtConfig) -> Self {
        Self {
            each: config.refresh.unwrap_or(origin.each()),
            origin,
            algorithms: config.algorithms.clone(),
            keys: ArcSwap::from_pointee(keys),
            made: Instant::now(),
            looked: AtomicU64::new(0),
            good: AtomicU64::new(0),
            away: AtomicBool::new(false),
            known: Arc::default(),
        }
    }

    pub(super) fn keys(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }

    pub(super) fn replace(&self, keys: KeySet) {
        self.keys.store(Arc::new(keys));
    }

    fn usable(&self, json: &[u8]) -> Result<KeySet, Error> {
        let set = KeySet::from_json(json)?;
        if !set.serves(&self.algorithms) {
            return Err(Error::invalid_argument("none of the keys is for one of the algorithms that are taken"));
        }
        Ok(set)
    }

    /// Looks at the keys again if it is time. Who calls waits only where the old keys can't be trusted to be right: there are none
    /// yet, or nobody called for long.
    pub(super) async fn keep(self: &Arc<Self>) {
        if matches!(self.origin, Origin::Program) {
            return;
        }
        let never = self.keys.load().is_empty();
        let each = if never { EACH_STRANGER.min(self.each) } else { self.each };
        // The first look of an address that was never asked waits for nothing.
        let first = never && self.looked.load(Relaxed) == 0;
        let Some(look) = self.turn(if first { Duration::ZERO } else { each }) else {
            if never {
                // Somebody is at it.
                drop(self.known.lock().await);
            }
            return;
        };
        let since = self.now().saturating_sub(self.good.load(Relaxed));
        if never || u128::from(since) > 2 * self.each.as_millis() {
            let _ = look.await;
        }
    }

    /// Looks for keys that a token names and that are not there. Whether it is worth to try again.
    pub(super) async fn look_for_more(self: &Arc<Self>) -> bool {
        if matches!(self.origin, Origin::Program) {
            return false;
        }
        match self.turn(EACH_STRANGER) {
            Some(look) => look.await.is_ok(),
            None => match self.known.try_lock() {
                Ok(_) => false,
                // Somebody is at it.
                Err(_) => {
                    drop(self.known.lock().await);
                    true
                }
            },
        }
    }

    /// Begins a look, unless the last one began less than `each` ago. In a task: a caller that goes away does not end it.
    fn turn(self: &Arc<Self>, each: Duration) -> Option<JoinHandle<()>> {
        let early = || u128::from(self.now().saturating_sub(self.looked.load(Relaxed))) < each.as_millis();
        if early() {
            return None;
        }
        // Held from here on: whoever comes before the task runs finds that somebody is at it.
        let known = Arc::clone(&self.known).try_lock_owned().ok()?;
        if early() {
            return None;
        }
        // Never 0 again, which is "never".
        self.looked.store(self.now().max(1), Relaxed);
        let this = Arc::clone(self);
        Some(tokio::spawn(async move { this.look(known).await }))
    }

    async fn look(&self, mut known: OwnedMutexGuard<Stamp>) {
        let found = match &self.origin {
            Origin::Program => return,
            Origin::File(path) => {
                let (path, before) = (path.clone(), *known);
                let look = move || {
                    let stamp = stamp(&path);
                    // A file that is gone has no stamp, and is read for the error that says so.
                    (stamp.is_none() || stamp != before).then(|| (stamp, read(&path)))
                };
                match spawn_blocking(look).await {
                    Ok(found) => found,
                    Err(_) => return,
                }
            }
            #[cfg(feature = "http")]
            Origin::Address(fetch) => Some((None, fetch.get().await)),
        };
        let Some((stamp, read)) = found else { return self.well(None) };
        match read.and_then(|json| self.usable(&json)) {
            Ok(set) => {
                *known = stamp;
                self.well(Some(set));
            }
            Err(error) if self.away.swap(true, Relaxed) => {
                tracing::debug!(keys = self.origin.name(), error = %error.to_log(), "keys of tokens are still not to be had");
            }
            Err(error) => {
                tracing::warn!(keys = self.origin.name(), error = %error.to_log(), "keys of tokens can't be read: the old ones hold");
            }
        }
    }

    fn well(&self, set: Option<KeySet>) {
        self.good.store(self.now(), Relaxed);
        let back = self.away.swap(false, Relaxed);
        let Some(set) = set else { return };
        let old = self.keys.load();
        let changed = !set.kids().eq(old.kids()) || set.len() != old.len();
        if changed || back {
            tracing::info!(keys = self.origin.name(), count = set.len(), "keys of tokens read");
            tell(&set);
        }
        self.keys.store(Arc::new(set));
    }

    fn now(&self) -> u64 {
        u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn to_json(&self) -> Value {
        let mut json = self.keys.load().to_json();
        json["source"] = self.origin.name().into();
        if !matches!(self.origin, Origin::Program) {
            let age = Duration::from_millis(self.now().saturating_sub(self.good.load(Relaxed)));
            json["read_ago"] = crate::duration::format(Duration::from_secs(age.as_secs())).into();
            json["away"] = json!(self.away.load(Relaxed));
        }
        json
    }
}

/// Says what was left out of a set.
fn tell(set: &KeySet) {
    if !set.left_out().is_empty() {
        tracing::info!(left_out = set.left_out().join("; "), "keys that can't be used");
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |e: std::io::Error| Error::invalid_argument(format!("it can't be read: {e}"));
    let mut json = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut json).map_err(unreadable)?;
    if json.len() > MOST_BYTES {
        return Err(Error::invalid_argument("it is larger than 1 MiB"));
    }
    Ok(json)
}
