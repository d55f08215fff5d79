//! Who may run, who waits, who is refused: what a fixed limit and one that moves have in common.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{sync::oneshot, time::Instant};

use super::{
    gate::Gate,
    priority::{Classes, Classifier, MethodClass, Priority, PriorityConfig},
    queue::{Queue, Ticket},
    refusal::{self, Why},
    wait::Wait,
};
use crate::{Error, Method};

/// How calls are let in, beside the limit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Admission {
    pub(crate) queue: usize,
    pub(crate) queue_timeout: Duration,
    pub(crate) retry_after: Duration,
    pub(crate) priority: PriorityConfig,
}

/// A limit, the calls that it holds and those that wait. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Limiter(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    gate: Gate,
    limit: AtomicU32,
    ceilings: Classes<AtomicU32>,
    admission: ArcSwap<Admission>,
    classifier: Classifier,
    // Never held across an await, nor while a waiter is told something: what that drops may need it.
    queue: Mutex<Queue<oneshot::Sender<Turn>>>,
    pub(super) counts: Counts,
}

/// Who had to go, the place in the queue, and where it is told that its turn has come.
type Joined = (Option<oneshot::Sender<Turn>>, Ticket, oneshot::Receiver<Turn>);

/// What became of waiting.
#[derive(Debug)]
pub(super) enum Turn {
    Granted(Permit),
    Displaced,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) full: AtomicU64,
    pub(super) displaced: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) waited: AtomicU64,
    pub(super) waited_nanoseconds: AtomicU64,
}

/// What a limit has done so far, and how things are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConcurrencyFigures {
    /// How many calls may run at once.
    pub limit: u32,
    /// Calls that run, streams until their end.
    pub in_flight: u32,
    /// Calls that wait.
    pub queued: u32,
    /// Calls that were refused because the limit was reached and the queue full.
    pub full: u64,
    /// Calls that gave their place in the queue to more important ones.
    pub displaced: u64,
    /// Calls that waited in vain.
    pub timed_out: u64,
    /// Calls that ran after they had waited.
    pub waited: u64,
    /// How long those waited, all together.
    pub waiting_time: Duration,
}

/// May this call run?
#[derive(Debug)]
pub(crate) enum Entry {
    /// Yes.
    Admitted(Permit),
    /// Not yet.
    Waiting(Wait),
    /// No.
    Refused(Error),
}

impl Limiter {
    pub(crate) fn new(limit: u32, admission: Admission) -> Self {
        let limiter = Self(Arc::new(Shared {
            gate: Gate::new(),
            limit: AtomicU32::new(limit),
            ceilings: Classes::default(),
            classifier: Classifier::new(admission.priority.clone()),
            admission: ArcSwap::from_pointee(admission),
            queue: Mutex::default(),
            counts: Counts::default(),
        }));
        limiter.set_limit(limit);
        limiter
    }

    /// Moves the limit. Calls that run above a lower one are left alone; a higher one lets waiting calls begin.
    pub(crate) fn set_limit(&self, limit: u32) {
        let shared = &self.0;
        {
            // Two that move it at once must not leave the ceilings of different limits behind.
            let _turn = shared.queue();
            let ceilings = shared.admission.load().priority.ceilings(limit);
            shared.limit.store(limit, Ordering::Relaxed);
            for class in Priority::ALL {
                shared.ceilings.of(class).store(*ceilings.of(class), Ordering::Relaxed);
            }
        }
        Shared::hand_on(shared);
    }

    /// Changes all of it. Calls that wait keep their places, and the time that they may wait.
    pub(crate) fn reconfigure(&self, limit: u32, admission: Admission) {
        self.0.classifier.reconfigure(admission.priority.clone());
        self.0.admission.store(Arc::new(admission));
        self.set_limit(limit);
    }

    pub(crate) fn limit(&self) -> u32 {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// The class of a method's calls, for as long as somebody holds it.
    pub(crate) fn class(&self, method: Option<&Method>) -> MethodClass {
        self.0.classifier.class(method)
    }

    pub(crate) fn figures(&self) -> ConcurrencyFigures {
        let (gate, counts) = (&self.0.gate, &self.0.counts);
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ConcurrencyFigures {
            limit: self.limit(),
            in_flight: gate.running(),
            queued: gate.waiting(),
            full: read(&counts.full),
            displaced: read(&counts.displaced),
            timed_out: read(&counts.timed_out),
            waited: read(&counts.waited),
            waiting_time: Duration::from_nanos(read(&counts.waited_nanoseconds)),
        }
    }

    #[cfg(feature = "metrics")]
    pub(super) fn downgrade(&self) -> std::sync::Weak<Shared> {
        Arc::downgrade(&self.0)
    }

    #[cfg(feature = "metrics")]
    pub(super) fn upgrade(weak: &std::sync::Weak<Shared>) -> Option<Self> {
        weak.upgrade().map(Self)
    }

    /// Lets a call in if there is room and nobody waits.
    #[inline]
    pub(crate) fn admit(&self, class: Priority) -> Option<Permit<&Arc<Shared>>> {
        let shared = &self.0;
        let in_flight = shared.gate.enter(shared.ceiling(class))?;
        Some(Permit { shared, in_flight })
    }

    /// Lets a call in, lets it wait, or refuses it. `deadline` is the call's own.
    #[inline]
    pub(crate) fn enter(&self, class: Priority, deadline: Option<Instant>) -> Entry {
        match self.admit(class) {
            Some(permit) => Entry::Admitted(permit.give(Arc::clone(&self.0))),
            None => Shared::enter_slowly(&self.0, class, deadline),
        }
    }

    /// A permit of this limiter, for as long as a call has the limiter at hand.
    pub(crate) fn lend(&self, permit: Permit) -> Permit<&Arc<Shared>> {
        permit.give(&self.0)
    }
}

impl Shared {
    #[inline]
    fn ceiling(&self, class: Priority) -> u32 {
        self.ceilings.of(class).load(Ordering::Relaxed)
    }

    fn queue(&self) -> MutexGuard<'_, Queue<oneshot::Sender<Turn>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter_slowly(this: &Arc<Self>, class: Priority, deadline: Option<Instant>) -> Entry {
        let admission = this.admission.load();
        if admission.queue == 0 && this.gate.waiting() == 0 {
            return Entry::Refused(this.refuse(Why::Full));
        }
        let now = Instant::now();
        let joined = {
            let mut queue = this.queue();
            if queue.first().is_none_or(|first| class < first)
                && let Some(in_flight) = this.gate.overtake(this.ceiling(class))
            {
                return Entry::Admitted(Permit { shared: Arc::clone(this), in_flight });
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                Err(Why::Late)
            } else {
                this.join(&mut queue, class, admission.queue)
            }
        };
        let (displaced, ticket, receiver) = match joined {
            Ok(joined) => joined,
            Err(why) => return Entry::Refused(this.refuse(why)),
        };
        let place = Place { shared: Arc::clone(this), ticket };
        if let Some(displaced) = displaced {
            let _ = displaced.send(Turn::Displaced);
        }
        // A call that ended before this one waited asked nobody who is next.
        Self::hand_on(this);
        let patience = now.checked_add(admission.queue_timeout);
        Entry::Waiting(Wait::new(place, receiver, now, patience, deadline))
    }

    /// Takes a place in the queue, that of a lesser call if it has to be.
    fn join(&self, queue: &mut Queue<oneshot::Sender<Turn>>, class: Priority, places: usize) -> Result<Joined, Why> {
        let mut displaced = None;
        if queue.len() >= places {
            if places > 0 {
                displaced = queue.displace(class);
            }
            if displaced.is_none() {
                return Err(Why::Full);
            }
            self.gate.give_up();
        }
        let (sender, receiver) = oneshot::channel();
        let ticket = queue.join(class, sender);
        self.gate.wait();
        Ok((displaced, ticket, receiver))
    }

    /// Gives free places to those that wait.
    fn hand_on(this: &Arc<Self>) {
        while let Some((waiter, in_flight)) = this.next() {
            let permit = Permit { shared: Arc::clone(this), in_flight };
            // A waiter that has gone away in this moment gives the permit back by dropping it.
            let _ = waiter.send(Turn::Granted(permit));
        }
    }

    fn next(&self) -> Option<(oneshot::Sender<Turn>, u32)> {
        if self.gate.waiting() == 0 {
            return None;
        }
        // The limit is moved under this lock, so none of those who look here misses that it was.
        let mut queue = self.queue();
        let class = queue.first()?;
        let in_flight = self.gate.grant(self.ceiling(class))?;
        Some((queue.take(class)?, in_flight))
    }

    pub(super) fn refuse(&self, why: Why) -> Error {
        let count = match why {
            Why::Full => &self.counts.full,
            Why::Displaced => &self.counts.displaced,
            Why::Waited | Why::Late => &self.counts.timed_out,
        };
        count.fetch_add(1, Ordering::Relaxed);
        refusal::error(why, self.admission.load().retry_after)
    }
}

/// The right to run. Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit<H: Handle = Arc<Shared>> {
    shared: H,
    /// 0 for one that was given to another holder.
    in_flight: u32,
}

/// A limiter's own handle, or one that is borrowed.
pub(crate) trait Handle {
    fn shared(&self) -> &Arc<Shared>;
}

impl Handle for Arc<Shared> {
    fn shared(&self) -> &Arc<Shared> {
        self
    }
}

impl Handle for &Arc<Shared> {
    fn shared(&self) -> &Arc<Shared> {
        self
    }
}

impl<H: Handle> Permit<H> {
    /// How many calls ran when this one began, itself among them.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// The same with another handle of the same limiter.
    #[inline]
    fn give<K: Handle>(mut self, shared: K) -> Permit<K> {
        Permit { shared, in_flight: std::mem::take(&mut self.in_flight) }
    }
}

impl Permit<&Arc<Shared>> {
    /// For a call that outlives the borrowed handle.
    pub(crate) fn keep(self) -> Permit {
        let shared = Arc::clone(self.shared);
        self.give(shared)
    }
}

impl<H: Handle> Drop for Permit<H> {
    #[inline]
    fn drop(&mut self) {
        if self.in_flight > 0 && self.shared.shared().gate.leave() {
            Shared::hand_on(self.shared.shared());
        }
    }
}

/// A place in the queue. Given up when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) shared: Arc<Shared>,
    ticket: Ticket,
}

impl Place {
    /// Leaves the queue; `false` when its turn had come.
    pub(super) fn leave(&self) -> bool {
        let mut queue = self.shared.queue();
        let left = queue.leave(self.ticket);
        if left.is_some() {
            self.shared.gate.give_up();
        }
        drop(queue);
        left.is_some()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Nobody's turn comes by that: who stands before others has at least as much room as they.
        self.leave();
    }
}

#[cfg(test)]
impl Limiter {
    pub(super) fn in_flight(&self) -> u32 {
        self.0.gate.running()
    }

    /// The class of who is next.
    pub(super) fn first_class(&self) -> Option<Priority> {
        self.0.queue().first()
    }
}
