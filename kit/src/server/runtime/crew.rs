//! Which core serves a connection.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;

/// All cores, and how many connections each has. Cheap to clone.
#[derive(Clone)]
pub(super) struct Crew(Arc<Shared>);

struct Shared {
    handles: Vec<Handle>,
    // One lock for all, taken twice in the life of a connection: what is compared is of one moment.
    loads: Mutex<Vec<usize>>,
}

impl Crew {
    pub(super) fn new(handles: Vec<Handle>) -> Self {
        let loads = Mutex::new(vec![0; handles.len()]);
        Self(Arc::new(Shared { handles, loads }))
    }

    /// The place of an accept loop that runs on that core, or on none.
    pub(super) fn place(&self, here: Option<usize>) -> Place {
        Place { crew: self.clone(), here }
    }

    pub(super) fn handle(&self, core: usize) -> Option<&Handle> {
        self.0.handles.get(core)
    }

    /// How many connections a core has.
    #[cfg(any(feature = "metrics", test))]
    pub(super) fn load(&self, core: usize) -> usize {
        self.with_loads(|loads| loads.get(core).copied().unwrap_or_default())
    }

    fn with_loads<T>(&self, what: impl FnOnce(&mut Vec<usize>) -> T) -> T {
        what(&mut self.0.loads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a seat for a connection that came to a core.
    fn seat(&self, here: Option<usize>) -> Seat {
        let core = self.with_loads(|loads| {
            let core = choose(loads, here);
            if let Some(load) = loads.get_mut(core) {
                *load += 1;
            }
            core
        });
        Seat { crew: self.clone(), core }
    }
}

/// The core that a connection goes to: the one it came to, unless that has clearly more than the one with the fewest. The hash
/// by which the kernel chooses evens out among thousands of connections, not among ten; and a change of cores costs as much as
/// a call or two. What came to none goes to the one with the fewest.
fn choose(loads: &[usize], here: Option<usize>) -> usize {
    let fewest = loads.iter().copied().enumerate().min_by_key(|(_, load)| *load);
    let Some((least, fewest)) = fewest else { return here.unwrap_or_default() };
    let clearly_more = fewest.saturating_add(1 + fewest / 8);
    here.filter(|here| loads.get(*here).is_some_and(|load| *load <= clearly_more)).unwrap_or(least)
}

/// Where an accept loop runs, and so where what it takes is served if nothing speaks against it.
#[derive(Clone)]
pub(in crate::server) struct Place {
    crew: Crew,
    here: Option<usize>,
}

impl Place {
    /// Takes a seat for a connection, and says which runtime it is to be handed to, unless it stays.
    pub(in crate::server) fn seat(&self) -> (Seat, Option<&Handle>) {
        let seat = self.crew.seat(self.here);
        let other = if self.here == Some(seat.core) { None } else { self.crew.handle(seat.core) };
        (seat, other)
    }
}

/// One connection on a core, for as long as it is held.
pub(in crate::server) struct Seat {
    crew: Crew,
    core: usize,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crew.with_loads(|loads| {
            if let Some(load) = loads.get_mut(self.core) {
                *load = load.saturating_sub(1);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crew(cores: usize) -> Crew {
        // Nothing is handed over here: one handle does for all.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Crew::new(vec![runtime.handle().clone(); cores])
    }

    #[test]
    fn connections_that_all_come_to_one_core_are_spread() {
        for (cores, here, connections, most, fewest) in
            [(2, Some(0), 16, 9, 7), (4, Some(3), 16, 6, 3), (4, Some(1), 4000, 1100, 950), (4, None, 16, 4, 4)]
        {
            let crew = crew(cores);
            let place = crew.place(here);
            let seats: Vec<_> = (0..connections).map(|_| place.seat().0).collect();
            let loads: Vec<usize> = (0..cores).map(|core| crew.load(core)).collect();
            assert_eq!(loads.iter().sum::<usize>(), connections);
            assert!(loads.iter().all(|load| (fewest..=most).contains(load)), "{here:?}: {loads:?}");
            drop(seats);
            assert!((0..cores).all(|core| crew.load(core) == 0));
        }
    }

    #[test]
    fn connections_that_come_evenly_stay_where_they_are() {
        let crew = crew(4);
        let mut seats = Vec::new();
        for number in 0..1000 {
            let place = crew.place(Some(number % 4));
            let (seat, other) = place.seat();
            assert!(other.is_none(), "{number}");
            seats.push(seat);
        }
    }
}
