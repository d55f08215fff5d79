//! Faults on purpose, for tests: calls that are late, and calls that fail.
//!
//! What a breaker, a retry or a deadline does is seen when something goes wrong, and nothing goes wrong when it is looked for. This
//! layer delays calls, or answers them with an error, by chance, by method, or because a header asks for it. It is **off** unless it is
//! configured, and says so in the log, as a warning, when it is turned on.
//!
//! | setting | does |
//! |---|---|
//! | `delay` | makes a share of the calls wait before they are made: for a fixed time, or one between two. A stream waits before its first message |
//! | `abort` | answers a share of the calls with a code, without making them; after the delay if there is one too |
//! | `headers` | obeys `x-fault-delay: 100ms` and `x-fault-abort: UNAVAILABLE`, in the place of the settings, of callers that are trusted |
//! | `methods` | other faults for some methods; `{}` is none |
//! | `max_active` | the most calls that wait at once: more are made as if there were no faults |
//!
//! An error that is made here looks like one of the service to all layers outside, with the reason `FAULT_INJECTED`: a breaker counts
//! it. Put it inside of what is to be tested: on a server next to the handler, on a client next to the channel.
//!
//! A handle without faults costs one atomic read for each call, so it can be left in place and turned on for a trial on the
//! debug port.
//!
//! ```
//! use kit::{Code, Context, Endpoint, Method, MethodInfo, MethodKind};
//! use kit::layer::fault::{AbortConfig, Fault, FaultConfig};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let config = FaultConfig::default().with_abort(AbortConfig::of(Code::Unavailable, 25.0)).with_seed(1);
//! let fault = Fault::new(&config)?;
//! let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
//! let say = Endpoint::from_fn(method, |_, text: String| async move { Ok(text) }).with(&fault);
//! let mut failed = 0;
//! for _ in 0..1000 {
//!     failed += usize::from(say.call_next(&Context::background(), "a".to_owned()).await.is_err());
//! }
//! assert!((200..300).contains(&failed));
//! # Ok::<(), kit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod control;
mod figures;
mod handle;
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
mod plan;
mod service;
#[cfg(test)]
mod tests;

pub use crate::trust::Network;
pub use config::{AbortConfig, DelayConfig, FaultConfig, MethodFaults};
pub use figures::FaultFigures;
pub use handle::Fault;
pub(crate) use handle::Faults;
pub use layer::FaultLayer;
pub use service::{FaultService, ResponseFuture};
