//! What the memory of the process is used for, where its allocator can tell.

use super::{Profiles, Samples};
use crate::debug::Refusal;

/// The memory that is in use and that was ever allocated, by the stacks that asked for it.
#[cfg(feature = "heap")]
pub(in crate::debug) async fn heap(profiles: &Profiles, default: &'static str) -> Result<Samples, Refusal> {
    use tokio::sync::Semaphore;

    /// The allocator writes one dump at a time; those who wait do so here, and not on threads. A global, because the
    /// allocator is one.
    static DUMPS: Semaphore = Semaphore::const_new(1);

    let permit = tokio::select! {
        permit = DUMPS.acquire() => permit.map_err(|error| Refusal::failed("no heap profile", &error))?,
        () = profiles.stopped() => return Err(Refusal::stopping()),
    };
    profiles
        .blocking(move |symbols, abandoned| {
            let _permit = permit;
            crate::debug::heap::samples(default, symbols, abandoned)
        })
        .await
}

/// Says that this program was built without.
#[cfg(not(feature = "heap"))]
pub(in crate::debug) async fn heap(_: &Profiles, _: &'static str) -> Result<Samples, Refusal> {
    Err(Refusal::new(
        http::StatusCode::NOT_IMPLEMENTED,
        "this program was built without heap profiles: build it with the feature `heap` of kit and put `#[global_allocator] \
         static ALLOCATOR: kit::debug::heap::Jemalloc = kit::debug::heap::Jemalloc;` into main.rs",
    ))
}
