//! System protection: refuses calls while the processors are busy and more calls run than the service gets done.
//!
//! A concurrency limit, fixed or [adaptive](super), protects what stands behind it at any time. This one protects the machine,
//! and only in need: below 80 % of the processors everything passes. Above it, and for a second after the last refusal, a call
//! is refused when as many run as the best tenth of a second of the last ten had done, times the shortest time that calls took:
//! by Little's law more of them only wait for each other. Four may run in any case, and work of other processes is no need. The name is that of TCP's congestion control, which finds its window
//! by the same two numbers.
//!
//! Important calls are let through longer, up to twice that many; sheddable ones only up to three quarters of it. The refusal is
//! `RESOURCE_EXHAUSTED` with a retry delay and the reason `OVERLOADED`. It is not `UNAVAILABLE`: that would count as a failure
//! with the breakers of callers, and a service that sheds a tenth of its calls would soon get none.
//!
//! How busy the processors are is read, at most four times a second, by a call that comes by: from `/proc/stat`, and from the
//! control group (v2) where that has a quota; the higher of the two holds. On other systems nothing is known, and nothing is
//! ever refused, unless a [`CpuSource`] of yours knows.
//!
//! ```
//! use kit::{
//!     Context, Endpoint, Method, MethodInfo, MethodKind, Request,
//!     layer::adaptive::bbr::{Bbr, BbrConfig},
//! };
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let bbr = Bbr::new(&BbrConfig::default())?;
//! let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
//! let say = Endpoint::from_fn(method, |_, text: String| async move { Ok(text) }).with(&bbr);
//! say.call(Request::new(Context::background(), "hello".to_owned())).await?;
//! assert_eq!(bbr.figures().in_flight, 0);
//! # Ok::<(), kit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod cpu;
mod handle;
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
mod passes;
mod service;
mod system;
#[cfg(test)]
mod tests;

pub use config::BbrConfig;
pub use cpu::CpuSource;
pub use handle::{Bbr, BbrFigures};
pub(crate) use handle::{Running, Shared};
pub use layer::BbrLayer;
pub(crate) use service::Guard;
pub use service::Guarded;
pub use system::SystemCpu;
