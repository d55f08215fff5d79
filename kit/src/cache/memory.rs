//! Values in this process.

use std::{fmt, time::Duration};

use bytes::Bytes;
use moka::{
    Expiry,
    future::{Cache as Moka, FutureExt as _},
    ops::compute::{CompResult, Op},
};
use tokio::time::Instant;

use super::{Cache, CacheError, LONGEST};

/// What an entry costs beside its key and its value: moka's node, its two queues and its timer.
const OVERHEAD: usize = 200;

/// Values in memory, bounded by their bytes: those that are asked for seldom go first. Clones share them.
///
/// ```
/// use std::time::Duration;
/// use kit::cache::{Cache as _, Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kit::cache::CacheError> {
/// let memory = Memory::new(1 << 20);
/// memory.save("a", "1".into(), Duration::from_secs(60)).await?;
/// assert_eq!(memory.fetch_many(&["a", "b"]).await?, [Some("1".into()), None]);
/// assert!(!memory.save_if("a", None, "2".into(), Duration::from_secs(60)).await?, "there is one already");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Memory {
    entries: Moka<String, Entry>,
}

#[derive(Clone)]
struct Entry {
    value: Bytes,
    /// What decides: moka's own clock only tells when the room can be used again, and does not stand still in tests.
    deadline: Instant,
}

impl Entry {
    fn new(value: Bytes, ttl: Duration) -> Self {
        Self { value, deadline: Instant::now() + ttl.min(LONGEST) }
    }

    fn is_alive(&self) -> bool {
        Instant::now() < self.deadline
    }
}

struct AtDeadline;

#[allow(clippy::disallowed_types, reason = "the signature is moka's; the value is not looked at")]
impl Expiry<String, Entry> for AtDeadline {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: std::time::Instant) -> Option<Duration> {
        Some(entry.deadline.saturating_duration_since(Instant::now()))
    }

    fn expire_after_update(
        &self,
        key: &String,
        entry: &Entry,
        now: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, entry, now)
    }
}

impl Memory {
    /// Room for this many bytes of keys and values, with what their entries cost.
    pub fn new(max_bytes: u64) -> Self {
        let weigh =
            |key: &String, entry: &Entry| u32::try_from(key.len() + entry.value.len() + OVERHEAD).unwrap_or(u32::MAX);
        Self { entries: Moka::builder().max_capacity(max_bytes).weigher(weigh).expire_after(AtDeadline).build() }
    }

    async fn alive(&self, key: &str) -> Option<Entry> {
        self.entries.get(key).await.filter(Entry::is_alive)
    }

    /// Changes an entry, with nobody in between; says whether it was changed. All changes go through here: moka's `insert` and
    /// `remove` do not wait for one that runs, and what that puts in the place of the value before would stay.
    async fn change(&self, key: &str, make: impl FnOnce(Option<Entry>) -> Op<Entry> + Send) -> bool {
        let compute = |current: Option<moka::Entry<String, Entry>>| {
            let current = current.map(moka::Entry::into_value).filter(Entry::is_alive);
            std::future::ready(make(current))
        };
        // Boxed, because moka's future is large and its caller's would be too.
        let done = self.entries.entry_by_ref(key).and_compute_with(compute).boxed().await;
        matches!(done, CompResult::Inserted(_) | CompResult::ReplacedWith(_) | CompResult::Removed(_))
    }

    /// Puts an entry in the place of another, or none.
    async fn replace(&self, key: &str, make: impl FnOnce(Option<Entry>) -> Option<Entry> + Send) -> bool {
        self.change(key, |current| make(current).map_or(Op::Nop, Op::Put)).await
    }
}

impl Cache for Memory {
    async fn contains(&self, key: &str) -> Result<bool, CacheError> {
        Ok(self.alive(key).await.is_some())
    }

    async fn delete(&self, key: &str) -> Result<bool, CacheError> {
        Ok(self.change(key, |current| current.map_or(Op::Nop, |_| Op::Remove)).await)
    }

    async fn expire(&self, key: &str, ttl: Duration) -> Result<bool, CacheError> {
        Ok(self.replace(key, |current| current.map(|entry| Entry::new(entry.value, ttl))).await)
    }

    async fn fetch(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        Ok(self.alive(key).await.map(|entry| entry.value))
    }

    async fn fetch_many(&self, keys: &[&str]) -> Result<Vec<Option<Bytes>>, CacheError> {
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(self.alive(key).await.map(|entry| entry.value));
        }
        Ok(values)
    }

    async fn flush(&self) -> Result<(), CacheError> {
        self.entries.invalidate_all();
        Ok(())
    }

    async fn save(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        self.replace(key, |_| Some(Entry::new(value, ttl))).await;
        Ok(())
    }

    async fn save_if(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: Bytes,
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        let make = |current: Option<Entry>| {
            (current.as_ref().map(|entry| entry.value.as_ref()) == expected).then(|| Entry::new(value, ttl))
        };
        Ok(self.replace(key, make).await)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("bytes", &self.entries.weighted_size()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_value_is_gone_when_its_time_is_over() {
        let memory = Memory::new(1 << 20);
        memory.save("a", "1".into(), MINUTE).await.unwrap();
        tokio::time::advance(MINUTE - Duration::from_millis(1)).await;
        assert_eq!(memory.fetch("a").await.unwrap(), Some("1".into()));
        assert!(memory.expire("a", MINUTE).await.unwrap(), "from now on");
        tokio::time::advance(MINUTE - Duration::from_millis(1)).await;
        assert!(memory.contains("a").await.unwrap());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!memory.contains("a").await.unwrap() && !memory.delete("a").await.unwrap());
        assert!(!memory.expire("a", MINUTE).await.unwrap());
        assert!(memory.save_if("a", None, "2".into(), MINUTE).await.unwrap(), "what is over is not there");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_saved_is_not_lost_to_a_save_in_the_place_of_what_was_before() {
        let memory = Memory::new(1 << 20);
        memory.save("a", "0".into(), MINUTE).await.unwrap();
        let other = memory.clone();
        let following = tokio::spawn(async move {
            loop {
                let seen = other.fetch("a").await.unwrap().unwrap();
                if seen == "end" {
                    return;
                }
                if !seen.starts_with(b"after ") {
                    let after = [b"after ", &seen[..]].concat();
                    other.save_if("a", Some(&seen), after.into(), MINUTE).await.unwrap();
                }
                tokio::task::yield_now().await;
            }
        });
        for number in 1..=20_000 {
            let saved = number.to_string();
            memory.save("a", saved.clone().into(), MINUTE).await.unwrap();
            let found = memory.fetch("a").await.unwrap().unwrap();
            assert!(found == saved || found == format!("after {saved}"), "{number}: {found:?}");
        }
        memory.save("a", "end".into(), MINUTE).await.unwrap();
        following.await.unwrap();
    }

    #[tokio::test]
    async fn saving_again_gives_it_its_whole_time() {
        let memory = Memory::new(1 << 20);
        memory.save("a", "1".into(), Duration::from_millis(1)).await.unwrap();
        memory.save("a", "2".into(), Duration::MAX).await.unwrap();
        memory.entries.run_pending_tasks().await;
        // moka's timer knows of the second time too: it would remove the entry otherwise.
        let deadline = memory.entries.get("a").await.unwrap().deadline;
        assert!(deadline > Instant::now() + MINUTE);
    }

    #[tokio::test]
    async fn the_bytes_are_bounded() {
        let memory = Memory::new(100_000);
        for number in 0..1000 {
            memory.save(&format!("key {number}"), vec![0; 1000].into(), MINUTE).await.unwrap();
        }
        memory.entries.run_pending_tasks().await;
        assert!((50_000..=100_000).contains(&memory.entries.weighted_size()), "{memory:?}");
        memory.save("large", vec![0; 100_001].into(), MINUTE).await.unwrap();
        memory.entries.run_pending_tasks().await;
        assert_eq!(memory.fetch("large").await.unwrap(), None);
    }
}
