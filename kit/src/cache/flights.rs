//! One load at a time for each key, shared by all who wait for it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::OnceCell;

/// The loads that run.
///
/// A flight is a cell that is filled once. Who comes first fills it, the others wait; when the one who fills it is cancelled,
/// the cell lets the next who waits do it. There are never more flights than calls that run.
#[derive(Debug)]
pub(super) struct Flights<T> {
    running: Mutex<HashMap<String, Place<T>>>,
    landed: AtomicU64,
}

#[derive(Debug)]
struct Place<T> {
    flight: Arc<Flight<T>>,
    seats: usize,
}

#[derive(Debug)]
pub(super) struct Flight<T> {
    pub(super) outcome: OnceCell<T>,
    outdated: AtomicBool,
}

impl<T> Flight<T> {
    /// Whether what is loaded changed after the load began.
    pub(super) fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Acquire)
    }
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { running: Mutex::default(), landed: AtomicU64::new(0) }
    }
}

impl<T> Flights<T> {
    /// How many flights are over. As long as it is the same, what was not in the store is still not there by us.
    pub(super) fn landed(&self) -> u64 {
        self.landed.load(Ordering::Acquire)
    }

    /// A seat in the flight of a key: the one that runs, or a new one.
    pub(super) fn join<'a>(&'a self, key: &'a str) -> Seat<'a, T> {
        let mut running = self.running();
        let flight = match running.get_mut(key) {
            Some(place) => {
                place.seats += 1;
                Arc::clone(&place.flight)
            }
            None => {
                let flight = Arc::new(Flight { outcome: OnceCell::new(), outdated: AtomicBool::new(false) });
                running.insert(key.to_owned(), Place { flight: Arc::clone(&flight), seats: 1 });
                flight
            }
        };
        Seat { flights: self, key, flight }
    }

    /// What is being loaded is out of date. Those who wait get it, because they asked before; it is not kept.
    pub(super) fn outdate(&self, key: &str) {
        if let Some(place) = self.running().get(key) {
            place.flight.outdated.store(true, Ordering::Release);
        }
    }

    /// The same, and whoever comes from now on starts anew.
    pub(super) fn close(&self, key: &str) {
        if let Some(place) = self.running().remove(key) {
            place.flight.outdated.store(true, Ordering::Release);
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.running().len()
    }

    /// How many calls share the flight of a key.
    #[cfg(test)]
    pub(super) fn seats(&self, key: &str) -> usize {
        self.running().get(key).map_or(0, |place| place.seats)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Place<T>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by each call that shares a flight. The last one, or the first after the landing, clears the place.
#[derive(Debug)]
pub(super) struct Seat<'a, T> {
    flights: &'a Flights<T>,
    key: &'a str,
    pub(super) flight: Arc<Flight<T>>,
}

impl<T> Drop for Seat<'_, T> {
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
