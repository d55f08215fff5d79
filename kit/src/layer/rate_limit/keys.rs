//! The debts of many keys, in bounded memory.
//!
//! A key whose debt is paid is the same as one that was never seen, so it may be forgotten; one that owes never is, or callers
//! could have their debts forgiven by making up keys. When there is no room among keys that owe, the caller is told so and has
//! to do with a limit that all such keys share.
//!
//! Keys come as hashes (SipHash with random keys: nobody can aim at a shard, or at the debt of another), so an entry is 16
//! bytes whatever the key is. Each shard has a lock that is held for one look into a small table. Room is made when a shard is
//! full, in one walk over its few hundred entries; when the walk finds nothing, there is none again before the earliest debt is
//! paid.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::gcra::{Rate, SLACK, Verdict};

/// So few that a walk over all takes about a microsecond, so many that chance fills shards evenly.
const KEYS_PER_SHARD: usize = 512;

/// What keys owe.
#[derive(Debug)]
pub(super) struct Keys {
    /// A power of two of them.
    shards: Box<[Mutex<Shard>]>,
    /// The most keys of one shard.
    room: usize,
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Shard {
    /// The TAT by key.
    keys: HashMap<u64, u64, BuildHasherDefault<Hashed>>,
    /// Until when a walk would find nothing that is paid.
    full_until: u64,
}

impl Keys {
    /// Room for about that many.
    pub(super) fn new(max: usize) -> Self {
        let shards = (max / KEYS_PER_SHARD).checked_next_power_of_two().unwrap_or(1).max(1);
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            room: max.div_ceil(shards).max(1),
            count: AtomicUsize::new(0),
        }
    }

    /// The same debts with room for another number of keys: all who owe are in it, should they be more.
    pub(super) fn moved(&self, max: usize, rate: Rate, now: u64) -> Self {
        let moved = Self::new(max);
        for shard in &self.shards {
            let owing: Vec<_> = lock(shard).keys.iter().map(|(key, tat)| (*key, *tat)).collect();
            for (key, tat) in owing.into_iter().filter(|(_, tat)| rate.owed(*tat, now) > 0) {
                if let Some(mut shard) = moved.shard(key) {
                    shard.keys.insert(key, tat);
                    moved.count.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        moved
    }

    /// Where a key is: by its upper half, because the table inside takes its places from the lower.
    fn shard(&self, key: u64) -> Option<MutexGuard<'_, Shard>> {
        let at = usize::try_from(key >> 32).unwrap_or_default() & (self.shards.len() - 1);
        self.shards.get(at).map(lock)
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Decides about a call at `now`; `None` when there is no room for its key.
    pub(super) fn take(&self, key: u64, rate: Rate, now: u64) -> Option<Verdict> {
        let mut shard = self.shard(key)?;
        if let Some(tat) = shard.keys.get_mut(&key) {
            let (next, verdict) = rate.next(*tat, now);
            *tat = next;
            return Some(verdict);
        }
        if shard.keys.len() >= self.room {
            let before = shard.keys.len();
            let made = shard.make_room(self.room, rate, now);
            self.count.fetch_sub(before - shard.keys.len(), Ordering::Relaxed);
            if !made {
                return None;
            }
        }
        let (next, verdict) = rate.next(0, now);
        shard.keys.insert(key, next);
        self.count.fetch_add(1, Ordering::Relaxed);
        Some(verdict)
    }

    /// Forgives what is owed beyond the largest debt of a rate: for one that was changed.
    pub(super) fn clamp(&self, rate: Rate, now: u64) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.full_until = 0;
            shard.keys.values_mut().for_each(|tat| *tat = (*tat).min(now.saturating_add(rate.full)));
        }
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            let gone = std::mem::take(&mut *lock(shard));
            self.count.fetch_sub(gone.keys.len(), Ordering::Relaxed);
        }
    }
}

impl Shard {
    /// Forgets those who owe nothing; says whether there is room now.
    fn make_room(&mut self, room: usize, rate: Rate, now: u64) -> bool {
        // Further ahead than any debt reaches, it was said by a clock that has since gone back.
        let known = self.full_until.saturating_sub(now);
        if known > 0 && known <= rate.full.saturating_add(SLACK) {
            return false;
        }
        let mut earliest = u64::MAX;
        self.keys.retain(|_, tat| {
            let owed = rate.owed(*tat, now);
            *tat = now.saturating_add(owed);
            earliest = earliest.min(*tat);
            owed > 0
        });
        let made = self.keys.len() < room;
        self.full_until = if made { 0 } else { earliest };
        made
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keys are hashes already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One call a microsecond, two at once.
    const RATE: Rate = Rate { interval: 1_000, full: 2_000 };

    /// Spread over shards and tables as hashes are.
    fn key(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
    }

    fn admitted(verdict: Option<Verdict>) -> bool {
        verdict.is_some_and(|verdict| verdict.wait == 0)
    }

    #[test]
    fn keys_don_t_share_what_they_owe() {
        let keys = Keys::new(10);
        for _ in 0..2 {
            assert!(admitted(keys.take(key(1), RATE, 0)));
        }
        assert_eq!(keys.take(key(1), RATE, 0), Some(Verdict { wait: 1_000, debt: 2_000 }));
        assert!(admitted(keys.take(key(2), RATE, 0)));
        assert_eq!(keys.len(), 2);
    }

    #[test]
    fn a_key_that_owes_is_not_forgotten_for_a_new_one() {
        let keys = Keys::new(2);
        for number in [1, 1, 2] {
            assert!(admitted(keys.take(key(number), RATE, 0)));
        }
        for number in 3..100 {
            assert_eq!(keys.take(key(number), RATE, 999), None, "nobody has paid");
        }
        assert!(!admitted(keys.take(key(1), RATE, 999)), "its debt is still known");
        // The second key has paid: its place is free for one, not for two.
        assert!(admitted(keys.take(key(3), RATE, 1_000)));
        assert_eq!(keys.take(key(4), RATE, 1_000), None);
        assert_eq!(keys.len(), 2);
        assert!(admitted(keys.take(key(1), RATE, 1_000)));
        assert!(!admitted(keys.take(key(1), RATE, 1_000)), "it paid for one call");
    }

    /// What a call can cost at most: a walk over one shard.
    #[test]
    fn a_walk_is_short_however_many_keys_there_are() {
        for max in [1, 511, 512, 1_000, 65_536, 100_001, 10_000_000] {
            let keys = Keys::new(max);
            assert!(keys.room <= 2 * KEYS_PER_SHARD && keys.room * keys.shards.len() >= max, "{max}");
            assert!(keys.room * keys.shards.len() < max + keys.shards.len(), "{max}");
        }
    }

    #[test]
    fn keys_by_the_million_stay_bounded() {
        const MAX: usize = 10_000;
        let keys = Keys::new(MAX);
        let mut refused = 0;
        for number in 0..1_000_000 {
            // A new key each nanosecond, each owing for a microsecond: a thousand owe at a time.
            refused += usize::from(keys.take(key(number), RATE, number).is_none());
            assert!(keys.len() <= MAX + keys.shards.len());
        }
        assert_eq!(refused, 0, "there is always room among those who have paid");
        let rate = Rate { interval: u64::MAX / 4, full: u64::MAX / 4 };
        let keys = Keys::new(MAX);
        let kept = (0..1_000_000).filter(|number| keys.take(key(*number), rate, 0).is_some()).count();
        assert!(kept <= MAX + keys.shards.len() && kept > MAX * 9 / 10, "{kept}");
        assert_eq!(keys.len(), kept);
    }

    #[test]
    fn a_clock_that_goes_back_does_not_close_the_table() {
        let keys = Keys::new(1);
        let future = 1_000 * SLACK;
        assert!(admitted(keys.take(key(1), RATE, future)));
        assert_eq!(keys.take(key(2), RATE, future), None);
        // Much earlier: what the first owes is the largest debt, from now on.
        assert_eq!(keys.take(key(2), RATE, 5), None);
        assert!(admitted(keys.take(key(2), RATE, 5 + RATE.full)));
    }

    #[test]
    fn debts_are_kept_when_the_room_changes() {
        let keys = Keys::new(100);
        (0..100).for_each(|number| assert!(admitted(keys.take(key(number), RATE, number))));
        let keys = keys.moved(10, RATE, 0);
        assert_eq!((keys.take(key(200), RATE, 99), keys.len()), (None, 100));
        assert!(
            admitted(keys.take(key(7), RATE, 99)) && !admitted(keys.take(key(7), RATE, 99)),
            "its debt came with it"
        );
        let keys = keys.moved(100_000, RATE, 1_050);
        assert_eq!(keys.len(), 50, "who has paid by then stayed behind: all up to 50, but for 7");
        assert!(admitted(keys.take(key(200), RATE, 1_050)));
        assert_eq!(keys.len(), 51);
        keys.clear();
        assert_eq!(keys.len(), 0);
    }

    #[test]
    fn a_changed_rate_forgives_what_can_t_be_owed_any_more() {
        let slow = Rate { interval: 50_000, full: 50_000 };
        let keys = Keys::new(1);
        assert!(admitted(keys.take(key(1), slow, 0)));
        keys.clamp(RATE, 0);
        assert!(admitted(keys.take(key(1), RATE, 1_000)));
    }
}
