//! One recording at a time in the process.
//!
//! This is a global because what it guards is one: a process has one SIGPROF handler and one profiling timer, however many
//! debug ports it has.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::debug::Refusal;

static RUNNING: Mutex<Option<Recording>> = Mutex::new(None);

#[derive(Clone, Copy)]
struct Recording {
    what: &'static str,
    ends: Instant,
}

impl Recording {
    fn left(self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }
}

/// The right to record; the next may when this is dropped.
#[derive(Debug)]
pub(in crate::debug) struct Turn(());

impl Turn {
    /// Takes the turn for a recording that is to last so long.
    pub(in crate::debug) fn take(what: &'static str, length: Duration) -> Result<Self, Refusal> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = *running {
            return Err(Refusal::busy(running.what, running.left()));
        }
        *running = Some(Recording { what, ends: Instant::now() + length });
        Ok(Self(()))
    }

    /// What is being recorded, and for how long still.
    pub(super) fn taken() -> Option<(&'static str, Duration)> {
        let running = *RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.map(|running| (running.what, running.left()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
