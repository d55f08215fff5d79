//! One run of the same work at a time for each key, shared by all who wait for it.
//!
//! The loads of `cache` and the calls of `layer::single_flight` are such work.

#[cfg(feature = "cache")]
use std::sync::atomic::AtomicBool;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::OnceCell;

/// What runs, by key.
type Places<T, W> = HashMap<Box<[u8]>, Place<T, W>>;

/// The work that runs.
///
/// A flight is a cell that is filled once. Who comes first fills it, the others wait; when the one who fills it is cancelled,
/// the cell lets the next who waits do it. There are never more flights than calls that run.
///
/// `W` is work that was begun: whoever is cancelled while filling the cell may leave it for the next (see [`Flight::leave`]).
#[derive(Debug)]
pub(crate) struct Flights<T, W = ()> {
    running: Mutex<Places<T, W>>,
    landed: AtomicU64,
}

#[derive(Debug)]
struct Place<T, W> {
    flight: Arc<Flight<T, W>>,
    seats: usize,
}

#[derive(Debug)]
pub(crate) struct Flight<T, W = ()> {
    pub(crate) outcome: OnceCell<T>,
    #[cfg(feature = "cache")]
    outdated: AtomicBool,
    begun: Mutex<Option<W>>,
}

impl<T, W> Flight<T, W> {
    fn new() -> Self {
        Self {
            outcome: OnceCell::new(),
            #[cfg(feature = "cache")]
            outdated: AtomicBool::new(false),
            begun: Mutex::new(None),
        }
    }

    /// Whether what is loaded changed after the load began.
    #[cfg(feature = "cache")]
    pub(crate) fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Acquire)
    }

    /// Leaves work that was begun for the next who fills the cell. When nobody waits any more it is dropped with the flight.
    pub(crate) fn leave(&self, work: W) {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
    }

    /// The work that the one before left.
    pub(crate) fn take(&self) -> Option<W> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T, W> Default for Flights<T, W> {
    fn default() -> Self {
        Self { running: Mutex::default(), landed: AtomicU64::new(0) }
    }
}

impl<T, W> Flights<T, W> {
    /// How many flights are over. As long as it is the same, what was not in the store is still not there by us.
    #[cfg(feature = "cache")]
    pub(crate) fn landed(&self) -> u64 {
        self.landed.load(Ordering::Acquire)
    }

    /// A seat in the flight of a key: the one that runs, or a new one.
    #[cfg(feature = "cache")]
    pub(crate) fn join<'a>(&'a self, key: &'a [u8]) -> Seat<'a, T, W> {
        let flight = self.enter(&mut self.running(), key);
        Seat { flights: self, key, flight }
    }

    /// The same, and `None` where it would be a new one and there are `most` of them.
    pub(crate) fn join_below<'a>(&'a self, key: &'a [u8], most: usize) -> Option<Seat<'a, T, W>> {
        let mut running = self.running();
        if running.len() >= most && !running.contains_key(key) {
            return None;
        }
        let flight = self.enter(&mut running, key);
        drop(running);
        Some(Seat { flights: self, key, flight })
    }

    fn enter(&self, running: &mut HashMap<Box<[u8]>, Place<T, W>>, key: &[u8]) -> Arc<Flight<T, W>> {
        if let Some(place) = running.get_mut(key) {
            place.seats += 1;
            return Arc::clone(&place.flight);
        }
        let flight = Arc::new(Flight::new());
        running.insert(key.into(), Place { flight: Arc::clone(&flight), seats: 1 });
        flight
    }

    /// What is being loaded is out of date. Those who wait get it, because they asked before; it is not kept.
    #[cfg(feature = "cache")]
    pub(crate) fn outdate(&self, key: &[u8]) {
        if let Some(place) = self.running().get(key) {
            place.flight.outdated.store(true, Ordering::Release);
        }
    }

    /// The same, and whoever comes from now on starts anew.
    #[cfg(feature = "cache")]
    pub(crate) fn close(&self, key: &[u8]) {
        if let Some(place) = self.running().remove(key) {
            place.flight.outdated.store(true, Ordering::Release);
        }
    }

    /// How many flights there are.
    pub(crate) fn count(&self) -> usize {
        self.running().len()
    }

    /// How many calls wait for them, those among them that fill the cells.
    pub(crate) fn waiting(&self) -> usize {
        self.running().values().map(|place| place.seats).sum()
    }

    /// How many calls share the flight of a key.
    #[cfg(all(test, feature = "cache"))]
    pub(crate) fn seats(&self, key: &[u8]) -> usize {
        self.running().get(key).map_or(0, |place| place.seats)
    }

    fn running(&self) -> MutexGuard<'_, Places<T, W>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by each call that shares a flight. The last one, or the first after the landing, clears the place.
#[derive(Debug)]
pub(crate) struct Seat<'a, T, W = ()> {
    flights: &'a Flights<T, W>,
    key: &'a [u8],
    pub(crate) flight: Arc<Flight<T, W>>,
}

impl<T, W> Seat<'_, T, W> {
    /// Ends the flight if nobody shares it, and says whether it did: the outcome need not be kept for others then.
    pub(crate) fn end_if_alone(&self) -> bool {
        let mut running = self.flights.running();
        match running.get(self.key) {
            Some(place) if Arc::ptr_eq(&place.flight, &self.flight) => {
                if place.seats > 1 {
                    return false;
                }
            }
            // It was closed: whether others wait is not known.
            _ => return false,
        }
        running.remove(self.key);
        self.flights.landed.fetch_add(1, Ordering::Release);
        true
    }
}

impl<T, W> Drop for Seat<'_, T, W> {
    fn drop(&mut self) {
        let landed = self.flight.outcome.initialized();
        let mut running = self.flights.running();
        let Some(place) = running.get_mut(self.key).filter(|place| Arc::ptr_eq(&place.flight, &self.flight)) else {
            return;
        };
        place.seats -= 1;
        if landed || place.seats == 0 {
            running.remove(self.key);
            self.flights.landed.fetch_add(1, Ordering::Release);
        }
    }
}
