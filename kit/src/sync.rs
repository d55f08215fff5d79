//! The atomics of what is shared without locks, and the lock of what is rare beside them.
//!
//! The crate `kit-loom` compiles such files again with loom's in their place, and tries all orders in which threads can run
//! them. So they name this module, and nothing else of the crate.

pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError, atomic};
