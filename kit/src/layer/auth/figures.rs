use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Map, Value};

use super::Failure;
use crate::{Code, Error};

const FAILURES: usize = Failure::ALL.len();

/// What the layer refused of one method since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthFigures {
    failures: [u64; FAILURES],
    /// Calls of which the authenticator could not say who makes them.
    pub errors: u64,
}

impl AuthFigures {
    /// Calls that were refused for a reason.
    pub fn rejected(&self, why: Failure) -> u64 {
        Failure::ALL.iter().zip(self.failures).find(|(failure, _)| **failure == why).map_or(0, |(_, count)| count)
    }

    /// All calls that were not made.
    pub fn total(&self) -> u64 {
        self.failures.iter().sum::<u64>() + self.errors
    }

    pub(super) fn to_json(self) -> Value {
        let failures = Failure::ALL.iter().zip(self.failures).filter(|(_, count)| *count > 0);
        let mut rejected: Map<_, _> = failures.map(|(why, count)| (why.name().to_owned(), count.into())).collect();
        if self.errors > 0 {
            rejected.insert(ERROR.to_owned(), self.errors.into());
        }
        rejected.into()
    }
}

/// The reason where it is not the caller's.
pub(super) const ERROR: &str = "error";

#[derive(Debug, Default)]
pub(super) struct Figures {
    failures: [AtomicU64; FAILURES],
    errors: AtomicU64,
}

impl Figures {
    pub(super) fn count(&self, error: &Error) {
        let why = (error.code() == Code::Unauthenticated).then(|| Failure::of(error));
        let cell = why.and_then(|why| Failure::ALL.iter().zip(&self.failures).find(|(failure, _)| **failure == why));
        cell.map_or(&self.errors, |(_, cell)| cell).fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> AuthFigures {
        AuthFigures {
            failures: self.failures.each_ref().map(|cell| cell.load(Relaxed)),
            errors: self.errors.load(Relaxed),
        }
    }
}
