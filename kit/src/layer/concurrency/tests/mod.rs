//! The limiter itself, then services around which it stands.

mod limiter;
mod schedules;
mod service;

use std::time::Duration;

use super::{
    ConcurrencyConfig, Priority,
    limiter::{Entry, Limiter, Permit},
    wait::Wait,
};
use crate::Error;

fn config(max: u32, queue: usize) -> ConcurrencyConfig {
    ConcurrencyConfig { max, queue, queue_timeout: Duration::from_secs(1), ..ConcurrencyConfig::default() }
}

fn limiter(max: u32, queue: usize) -> Limiter {
    Limiter::new(max, config(max, queue).admission())
}

impl Entry {
    fn admitted(self) -> Permit {
        match self {
            Self::Admitted(permit) => permit,
            other => panic!("not admitted: {other:?}"),
        }
    }

    fn waiting(self) -> Wait {
        match self {
            Self::Waiting(wait) => wait,
            other => panic!("does not wait: {other:?}"),
        }
    }

    fn refused(self) -> Error {
        match self {
            Self::Refused(error) => error,
            other => panic!("not refused: {other:?}"),
        }
    }
}

fn enter(limiter: &Limiter, class: Priority) -> Entry {
    limiter.enter(class, None)
}

fn reason(error: &Error) -> &str {
    error.reason().map_or("", |reason| &reason.reason)
}
