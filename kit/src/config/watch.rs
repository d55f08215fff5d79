//! Files that change while the service runs.

use std::fs::Metadata;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{MissedTickBehavior, interval};

use super::error::ConfigError;
use super::loaded::{Loaded, Setting};
use super::loader::Loader;
use crate::Error;
use crate::validate::Validate;

/// Two seconds: as often as somebody who changes a file looks whether it had an effect.
const EVERY: Duration = Duration::from_secs(2);

/// Reads the files of a configuration again when they change: made by [`Loaded::watch`].
///
/// The files are looked at every two seconds, which sees every way to change one: written over, replaced, or moved by a symbolic
/// link as Kubernetes does it. A change is read when the file has stayed as it is from one look to the next, so that one that is
/// half written is not taken for whole. All sources are read again then, the environment as it was at the start.
///
/// What can't be read, does not fit, or breaks a rule changes nothing, and the log says what and where. So does what the service
/// refuses. Of values outside of [`live`](Self::live) the log says that they wait for a restart.
///
/// ```no_run
/// # use kit::config::{Loader, Validate, Violations};
/// # use kit::middleware::{ServerStackConfig, StandardStack};
/// # #[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
/// # #[serde(default, deny_unknown_fields)]
/// # struct Config { addr: String, standard: ServerStackConfig }
/// # impl Validate for Config { fn validate(&self, report: &mut Violations) { report.section("standard", &self.standard); } }
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let loaded = Loader::new("BOOKDETAILS").file("config/local.yaml").load_validated::<Config>()?;
/// let stack = StandardStack::server(&loaded.config.standard)?;
/// let around = stack.clone();
/// let watch = loaded.watch().live(["standard"]).run(move |config: &Config| around.reconfigure(&config.standard));
/// tokio::spawn(watch); // or `tasks.spawn_until_stopped`, so that a stop waits for it
/// # drop(stack); Ok(()) }
/// ```
#[must_use = "nothing is watched before `run`"]
pub struct Watch<T> {
    loader: Loader,
    settings: Vec<Setting>,
    /// The files as they were read.
    taken: Look,
    live: Vec<String>,
    every: Duration,
    config: PhantomData<fn() -> T>,
}

/// What is known of a file without reading it; `None` when it is not there.
pub(super) type Look = Vec<Option<(SystemTime, u64, u64)>>;

impl<T> Watch<T> {
    pub(super) fn new(loader: Loader, settings: Vec<Setting>, taken: Look) -> Self {
        Self { loader, settings, taken, live: Vec::new(), every: EVERY, config: PhantomData }
    }

    /// The sections that the service takes over while it runs; all others wait for a restart.
    pub fn live<S: Into<String>>(mut self, sections: impl IntoIterator<Item = S>) -> Self {
        self.live.extend(sections.into_iter().map(Into::into));
        self
    }

    /// How often the files are looked at. Default: every two seconds.
    pub fn every(mut self, time: Duration) -> Self {
        self.every = time;
        self
    }

    fn is_live(&self, key: &str) -> bool {
        self.live.iter().any(|section| {
            key.strip_prefix(section.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}

impl<T> Watch<T>
where
    T: Serialize + DeserializeOwned + Default + Validate + Send + 'static,
{
    /// Watches until it is dropped, and hands each changed configuration to `take`, which refuses it with an error. Ends at once
    /// when there is no file to watch.
    ///
    /// Cancel safe: what is dropped has been taken over as a whole or not at all.
    pub async fn run(mut self, mut take: impl FnMut(&T) -> Result<(), Error> + Send) {
        let paths = self.loader.paths();
        if paths.is_empty() {
            return;
        }
        let mut last = self.taken.clone();
        let mut ticks = interval(self.every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(now) = look(&paths).await else { return };
            let settled = std::mem::replace(&mut last, now) == last;
            if !settled || last == self.taken {
                continue;
            }
            self.taken.clone_from(&last);
            let loader = self.loader.clone();
            // The runtime goes, and so do we.
            let Ok(loaded) = tokio::task::spawn_blocking(move || loader.load_validated::<T>()).await else { return };
            self.take(loaded, &mut take);
        }
    }

    fn take(&mut self, loaded: Result<Loaded<T>, ConfigError>, take: &mut impl FnMut(&T) -> Result<(), Error>) {
        const REFUSED: &str =
            "the settings were changed and can't be taken over: the service goes on with those that it had";
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return tracing::error!(%error, "{REFUSED}"),
        };
        let changed = changed(&self.settings, loaded.settings());
        if let Err(error) = take(&loaded.config) {
            return tracing::error!(error = %error.to_log(), changed = changed.join(", "), "{REFUSED}");
        }
        let (live, later): (Vec<_>, Vec<_>) = changed.into_iter().partition(|key| self.is_live(key));
        if !later.is_empty() {
            tracing::warn!(changed = later.join(", "), "settings were changed that wait for a restart");
        }
        tracing::info!(changed = live.join(", "), "changed settings were taken over");
        // What waits is told of once.
        self.settings = loaded.settings().to_vec();
    }
}

/// The keys whose values are not the same. Secrets look alike, so that a changed one is not named.
fn changed(before: &[Setting], after: &[Setting]) -> Vec<String> {
    let value = |settings: &[Setting], key: &str| {
        settings.iter().find(|setting| setting.key() == key).map(|setting| setting.value().to_owned())
    };
    let gone = before.iter().filter(|setting| value(after, setting.key()).is_none());
    let other = after.iter().filter(|setting| value(before, setting.key()).as_deref() != Some(setting.value()));
    other.chain(gone).map(|setting| setting.key().to_owned()).collect()
}

/// Looks at all files, on a thread that may wait for a disk; `None` when the runtime is going.
async fn look(paths: &[PathBuf]) -> Option<Look> {
    let paths = paths.to_vec();
    tokio::task::spawn_blocking(move || look_at(&paths)).await.ok()
}

pub(super) fn look_at(paths: &[PathBuf]) -> Look {
    paths.iter().map(|path| std::fs::metadata(path).ok().as_ref().map(known)).collect()
}

fn known(file: &Metadata) -> (SystemTime, u64, u64) {
    #[cfg(unix)]
    let id = std::os::unix::fs::MetadataExt::ino(file);
    #[cfg(not(unix))]
    let id = 0;
    (file.modified().unwrap_or(SystemTime::UNIX_EPOCH), file.len(), id)
}

impl<T> std::fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("files", &self.loader.paths()).field("live", &self.live).finish_non_exhaustive()
    }
}
