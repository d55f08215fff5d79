//! What a caller may do: each method says which scopes and roles it asks for.
//!
//! It stands behind [`auth`](super::auth), which says who calls, and judges by the [`Identity`](super::auth::Identity) that it finds
//! in the context.
//!
//! | the method | nobody in particular calls | somebody calls |
//! |---|---|---|
//! | has a rule with `public: true` | made | made |
//! | has a rule | `UNAUTHENTICATED`, 401 | made, if it has all of the `scopes`, and one of the `roles` if there are any; otherwise `PERMISSION_DENIED`, 403 |
//! | has none, `default: allow` | `UNAUTHENTICATED` | made |
//! | has none, `default: deny` | `UNAUTHENTICATED` | `PERMISSION_DENIED` |
//!
//! What a method alone can't decide, such as whether a book is the caller's own, a rule of the program does ([`Authorize::with_rule`]):
//! it is asked after the settings, and both must agree. What needs the message is for the handler.
//!
//! A caller that is refused reads that it may not call the method, with the reason `PERMISSION_DENIED`. What it lacks stands in the
//! log.
//!
//! ```
//! use kit::{Code, Context, Endpoint, Method, MethodInfo, MethodKind, Request};
//! use kit::layer::{auth::Identity, authorize::{Authorize, AuthorizeConfig, MethodRule}};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let config = AuthorizeConfig::default().with_method("Say", MethodRule::scopes(["speech"]));
//! let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
//! let say = Endpoint::from_fn(method, |_, text: String| async move { Ok(text) }).with(&Authorize::new(&config)?);
//!
//! // In a service the layer `auth` does this.
//! let of = |identity| {
//!     let mut cx = Context::background();
//!     cx.set_extension::<Identity>(identity);
//!     Request::new(cx, "hello".to_owned())
//! };
//! let refused = say.call(of(Identity::new("ann"))).await.unwrap_err();
//! assert_eq!(refused.code(), Code::PermissionDenied);
//! say.call(of(Identity::new("ann").with_scopes(["speech"]))).await?;
//! # Ok::<(), kit::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod handle;
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
mod service;
#[cfg(test)]
mod tests;

pub use config::{AuthorizeConfig, DefaultRule, MethodRule};
pub use handle::Authorize;
pub(crate) use handle::Judge;
pub use layer::AuthorizeLayer;
pub use service::{AuthorizeService, ResponseFuture};
