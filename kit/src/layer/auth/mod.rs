//! Who calls: each call is made in the name of somebody, or not at all.
//!
//! An [`Authenticate`] looks at what came with a call (metadata, address, certificates) and says who the caller is. The layer runs
//! it before the call and leaves the [`Identity`] in the context, where handlers and the layers behind find it. What they may do
//! is not decided here but by [`authorize`](super::authorize).
//!
//! | a call | is |
//! |---|---|
//! | of somebody who is known | made, with `cx.extension::<Identity>()` |
//! | of anybody else | `UNAUTHENTICATED`, HTTP 401, with `WWW-Authenticate`, reason `UNAUTHENTICATED` |
//! | of a method in [`AuthConfig::public`] | made, with the identity if there is one |
//! | when the authenticator can't tell | answered with its error, such as `UNAVAILABLE` |
//!
//! A stream is checked when it begins: it outlives the token that it was begun with. What a caller is told is that there is no
//! token, that it has expired, or that it is not valid; the log has the reason. Tokens stand in neither.
//!
//! An authenticator for bearer tokens is `jwt::Jwt` (feature `jwt`). One of your own:
//!
//! ```
//! use kit::{Code, Context, Endpoint, Error, Method, MethodInfo, MethodKind};
//! use kit::layer::auth::{Auth, AuthConfig, Authenticate, Failure, Identity};
//!
//! struct ApiKeys;
//!
//! impl Authenticate for ApiKeys {
//!     async fn authenticate(&self, cx: &Context) -> Result<Identity, Error> {
//!         match cx.metadata().get("x-api-key") {
//!             None => Err(Failure::Missing.into()),
//!             Some("k1") => Ok(Identity::new("ann").with_scopes(["books.read"])),
//!             Some(_) => Err(Failure::Other.into()),
//!         }
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let auth = Auth::new(ApiKeys, &AuthConfig::default())?;
//! let method = Method::from(MethodInfo::new("demo.Demo", "Who", MethodKind::Unary));
//! let who = Endpoint::from_fn(method, |cx: Context, (): ()| async move {
//!     let identity = cx.extension::<Identity>().ok_or_else(|| Error::internal("nobody"))?;
//!     Ok(identity.subject().to_owned())
//! });
//! // Around all methods of a service it is the same: `endpoints.with(&auth)`.
//! let who = who.with(&auth);
//!
//! let mut cx = Context::background();
//! assert_eq!(who.call(kit::Request::new(cx.clone(), ())).await.unwrap_err().code(), Code::Unauthenticated);
//! cx.metadata_mut().insert("x-api-key", "k1")?;
//! assert_eq!(who.call(kit::Request::new(cx, ())).await?.message(), "ann");
//! # Ok::<(), Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod authenticate;
mod config;
mod failure;
mod figures;
mod handle;
mod identity;
#[cfg(feature = "jwt")]
pub mod jwt;
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
pub(in crate::layer) mod refusal;
mod service;
#[cfg(test)]
mod tests;

pub use authenticate::Authenticate;
pub use config::AuthConfig;
pub use failure::Failure;
pub use figures::AuthFigures;
pub use handle::Auth;
pub(crate) use handle::Gate;
pub use identity::Identity;
pub use layer::AuthLayer;
pub use service::{AuthService, ResponseFuture};
