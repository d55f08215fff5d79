//! Answers of one type, loaded by whoever misses them.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Cache, CacheConfig, CacheError, CacheFigures, Store,
    config::MOST_JITTER,
    doubts::{Doubt, Doubts},
    entry::{self, Found},
    figures::Figures,
};
use crate::{
    Code, Error, Message,
    flights::{Flight, Flights},
};

/// How long a change keeps older loads from being saved. Longer than any call: its deadline is seconds.
const GUARD: Duration = Duration::from_secs(120);

/// Answers of one message type in a store. Clones share it.
///
/// - **One loader at a time.** Of the calls in this process that miss the same key at the same time one loads; the others get
///   its answer, or its error. When it is cancelled the next one loads. When it ran out of its own time, the next one tries
///   with its own.
/// - **Errors are not kept.** "There is none" is worth keeping only as a message that says so.
/// - **A store that is away is not waited for** longer than its timeout, and then not at all until it rests no more: calls
///   load. Nothing fails because of a store.
/// - **A value that is not what was saved** (damaged, of another type, somebody else's) is a miss and is replaced.
/// - **A change** of what answers are made of is told by [`change`](Self::change).
///
/// A load must not depend on who calls, since others get its outcome.
pub struct Cached<M, C = Store>(pub(super) Arc<Inner<M, C>>);

pub(super) struct Inner<M, C> {
    store: C,
    name: String,
    /// The longest that an answer is kept.
    ttl: Duration,
    jitter: f64,
    /// The shortest that an answer is kept.
    shortest: Duration,
    max_value_bytes: usize,
    flights: Flights<Result<M, Error>>,
    doubts: Doubts,
    // Shared with what shows them, which must not keep the store open.
    pub(super) figures: Arc<Figures>,
}

/// What was in the place of an answer that was not there.
enum Seen {
    /// Nothing, or these bytes. An answer may only be put in the place of just that.
    Place(Option<Bytes>),
    /// The store could not be asked, or is not believed: nothing may be put anywhere.
    Unknown,
}

/// A load that runs for a key.
struct Loading<'a, M, T> {
    key: &'a str,
    flight: &'a Flight<Result<M, Error>>,
    /// How many flights were over when the store was looked into.
    landed: u64,
    /// For how long an answer is kept.
    ttl: &'a T,
}

impl<M: Message, C: Cache> Cached<M, C> {
    /// Keeps answers in the store, for as long and as large as the settings say. All keys begin with `name`, so that several
    /// may share a store.
    pub fn new(name: impl Into<String>, store: C, config: &CacheConfig) -> Self {
        let jitter = config.jitter.clamp(0.0, MOST_JITTER);
        Self::within(name.into(), store, config, config.ttl.mul_f64(1.0 - jitter), config.ttl)
    }

    /// The same where each answer has its own time to live, from `shortest` to `longest`: see [`Cached::get_or_load_by`].
    pub(crate) fn within(name: String, store: C, config: &CacheConfig, shortest: Duration, longest: Duration) -> Self {
        Self(Arc::new(Inner {
            store,
            name,
            ttl: longest,
            jitter: config.jitter.clamp(0.0, MOST_JITTER),
            shortest,
            max_value_bytes: config.max_value_bytes,
            flights: Flights::default(),
            doubts: Doubts::default(),
            figures: Arc::default(),
        }))
    }

    /// What all its keys begin with.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The store below.
    pub fn store(&self) -> &C {
        &self.0.store
    }

    /// What it has done so far.
    pub fn figures(&self) -> CacheFigures {
        self.0.figures.read()
    }

    /// The answer from the store, or else from `load`, which is then kept.
    ///
    /// # Errors
    /// Those of `load`, this call's or the one whose outcome is shared. The store causes none.
    ///
    /// # Cancel safety
    /// Dropping the future drops the load, unless it is another call's; another call that waits for it loads then.
    pub async fn get_or_load<E, F, Fut>(&self, key: &str, load: F) -> Result<M, Error>
    where
        E: Into<Error>,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<M, E>> + Send,
    {
        self.get_or_load_by(key, |_| true, |_| Some(self.0.ttl()), load).await
    }

    /// The same for answers that say themselves whether they are `fresh`, and for how long they are kept: `None` keeps it not.
    /// One that is not fresh is loaded as if it were not there, and stays where it is until another takes its place.
    pub(crate) async fn get_or_load_by<E, F, Fut>(
        &self,
        key: &str,
        mut fresh: impl FnMut(&M) -> bool + Send,
        ttl: impl Fn(&M) -> Option<Duration> + Send + Sync,
        load: F,
    ) -> Result<M, Error>
    where
        E: Into<Error>,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<M, E>> + Send,
    {
        let inner = &*self.0;
        let key = inner.key(key);
        let landed = inner.flights.landed();
        let seen = match inner.look(&key, &mut fresh).await {
            Ok(answer) => return Ok(answer),
            Err(seen) => seen,
        };
        let seat = inner.flights.join(key.as_bytes());
        let mut own_error = None;
        let mut led = false;
        let lead = async {
            led = true;
            let loading = Loading { key: &key, flight: &seat.flight, landed, ttl: &ttl };
            inner.lead(loading, seen, &mut fresh, load).await.or_else(|error| {
                // What speaks of this call alone is not for the others.
                if matches!(error.code(), Code::Cancelled | Code::DeadlineExceeded) {
                    return Err(error);
                }
                let shared = error.share();
                own_error = Some(error);
                Ok(Err(shared))
            })
        };
        let outcome = seat.flight.outcome.get_or_try_init(|| lead).await?;
        if !led {
            inner.figures.coalesced.count();
        }
        match outcome {
            Ok(answer) => Ok(answer.clone()),
            Err(error) => Err(own_error.unwrap_or_else(|| error.share())),
        }
    }

    /// Whoever comes from now on does not share a load that runs, whose answer is not kept.
    pub(crate) fn close(&self, key: &str) {
        self.0.flights.close(self.0.key(key).as_bytes());
    }

    /// To be held while what an answer is made of changes, from before the change until its end.
    ///
    /// Whatever becomes of the change, the old answer is not trusted after it: [`Change::done`] tells the store; where the
    /// call is cancelled or fails in between, dropping does what can be done at once, and the next call the rest.
    #[must_use = "call `done` after the change"]
    pub fn change(&self, key: &str) -> Change<'_, M, C> {
        Change { inner: &self.0, key: self.0.key(key), done: false }
    }

    #[cfg(test)]
    pub(super) fn flights(&self) -> usize {
        self.0.flights.count()
    }

    #[cfg(test)]
    pub(super) fn waiting(&self, key: &str) -> usize {
        self.0.flights.seats(self.0.key(key).as_bytes())
    }
}

impl<M: Message, C: Cache> Inner<M, C> {
    fn key(&self, key: &str) -> String {
        let mut whole = String::with_capacity(self.name.len() + key.len());
        whole.push_str(&self.name);
        whole.push_str(key);
        whole
    }

    async fn look(&self, key: &str, fresh: &mut (impl FnMut(&M) -> bool + Send)) -> Result<M, Seen> {
        let seen = self.fetch(key, fresh).await;
        match &seen {
            Ok(_) => self.figures.hits.count(),
            Err(_) => self.figures.misses.count(),
        }
        seen
    }

    async fn fetch(&self, key: &str, fresh: &mut (impl FnMut(&M) -> bool + Send)) -> Result<M, Seen> {
        match self.doubts.about(key) {
            Doubt::None => {}
            Doubt::Everything => return Err(Seen::Unknown),
            Doubt::Tell { key: doubtful, number } => match self.bury(&doubtful).await {
                Some(tombstone) => {
                    self.doubts.settled(&doubtful, number);
                    if doubtful == key {
                        return Err(Seen::Place(Some(tombstone)));
                    }
                }
                None if doubtful == key => return Err(Seen::Unknown),
                None => {}
            },
        }
        let Some(found) = self.noted(self.store.fetch(key).await) else { return Err(Seen::Unknown) };
        let Some(bytes) = found else { return Err(Seen::Place(None)) };
        match entry::read(key, &bytes) {
            Found::Value(answer) if fresh(&answer) => return Ok(answer),
            Found::Value(_) | Found::Tombstone => {}
            Found::Corrupt => self.figures.corrupt.count(),
        }
        Err(Seen::Place(Some(bytes)))
    }

    /// Loads, as the only one for this key.
    async fn lead<E, F, Fut>(
        &self,
        loading: Loading<'_, M, impl Fn(&M) -> Option<Duration> + Sync>,
        seen: Seen,
        fresh: &mut (impl FnMut(&M) -> bool + Send),
        load: F,
    ) -> Result<Result<M, Error>, Error>
    where
        E: Into<Error>,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<M, E>> + Send,
    {
        let mut seen = seen;
        // Another flight of this key may have landed between the look and this one's start.
        if self.flights.landed() != loading.landed {
            match self.fetch(loading.key, fresh).await {
                Ok(answer) => return Ok(Ok(answer)),
                Err(now) => seen = now,
            }
        }
        let start = Instant::now();
        self.figures.loads.count();
        let answer = match load().await {
            Ok(answer) => answer,
            Err(error) => {
                self.figures.failed_loads.count();
                return Err(error.into());
            }
        };
        if let Seen::Place(place) = seen {
            self.keep(loading, place.as_deref(), start, &answer).await;
        }
        Ok(Ok(answer))
    }

    async fn keep(
        &self,
        loading: Loading<'_, M, impl Fn(&M) -> Option<Duration>>,
        place: Option<&[u8]>,
        start: Instant,
        answer: &M,
    ) {
        let Some(ttl) = (loading.ttl)(answer) else { return };
        if answer.encoded_len() > self.max_value_bytes {
            return self.figures.oversized.count();
        }
        let value = entry::value(loading.key, answer);
        // What was there when the load began can only have gone and come back within a time to live, or that of a tombstone.
        if loading.flight.is_outdated() || start.elapsed() >= self.shortest.min(GUARD) {
            return self.figures.overtaken.count();
        }
        if self.noted(self.store.save_if(loading.key, place, value, ttl).await) == Some(false) {
            self.figures.overtaken.count();
        }
    }

    /// Puts a tombstone in the place of an answer: the store knows then that it changed.
    async fn bury(&self, key: &str) -> Option<Bytes> {
        let tombstone = entry::tombstone();
        self.noted(self.store.save(key, tombstone.clone(), GUARD).await).map(|()| tombstone)
    }

    /// Never longer than the time to live: that is the bound of what is promised.
    fn ttl(&self) -> Duration {
        self.ttl.mul_f64(1.0 - self.jitter * fastrand::f64())
    }

    fn noted<T>(&self, outcome: Result<T, CacheError>) -> Option<T> {
        if outcome.is_err() {
            self.figures.errors.count();
        }
        outcome.ok()
    }
}

impl<M, C> Clone for Cached<M, C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M, C: fmt::Debug> fmt::Debug for Cached<M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { store, name, ttl, jitter, .. } = &*self.0;
        f.debug_struct("Cached")
            .field("name", name)
            .field("store", store)
            .field("ttl", ttl)
            .field("jitter", jitter)
            .finish_non_exhaustive()
    }
}

/// A change of what an answer is made of: see [`Cached::change`].
#[must_use = "call `done` after the change"]
pub struct Change<'a, M: Message, C: Cache = Store> {
    inner: &'a Inner<M, C>,
    key: String,
    done: bool,
}

impl<M: Message, C: Cache> Change<'_, M, C> {
    /// The change is over, well or not: the answer is loaded anew by whoever asks after this.
    ///
    /// Where the store cannot be told, this process does not believe it about this answer until it was told. Other processes
    /// may see the old answer for as long as its time to live.
    ///
    /// # Cancel safety
    /// As that of dropping the change.
    pub async fn done(mut self) {
        let Self { inner, key, .. } = &self;
        inner.flights.outdate(key.as_bytes());
        if inner.bury(key).await.is_some() {
            // Only now: a flight that began before the tombstone stood may have read the old answer.
            inner.flights.close(key.as_bytes());
            self.done = true;
        }
    }

    /// Nothing was changed after all: the answer stays.
    pub fn cancel(mut self) {
        self.done = true;
    }
}

impl<M: Message, C: Cache> Drop for Change<'_, M, C> {
    fn drop(&mut self) {
        if !self.done {
            self.inner.doubts.add(&self.key, self.inner.ttl.max(GUARD));
            self.inner.flights.close(self.key.as_bytes());
        }
    }
}

impl<M: Message, C: Cache> fmt::Debug for Change<'_, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").field("key", &self.key).finish_non_exhaustive()
    }
}
