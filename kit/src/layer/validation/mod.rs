//! Requests are checked against the rules of their `.proto` file before a handler sees them.
//!
//! The rules are those of [protovalidate](https://protovalidate.com), options of fields and messages that `kit-build` turned into
//! code ([`message::rules`](crate::message::rules)). Unlike a library that reads the options when it runs, nothing is interpreted
//! here, and an endpoint whose request has no rules does not even get the layer: it costs nothing where there is nothing to check.
//!
//! | request | what happens |
//! |---|---|
//! | one message that breaks a rule | the handler is not called: `INVALID_ARGUMENT` (400), the reason `INVALID_REQUEST`, a field violation (`google.rpc.BadRequest`) for each rule that is broken, up to `max_violations` |
//! | a stream with such a message | the handler reads the messages before it, then that error: the stream ends with it |
//!
//! The error is the caller's mistake ([`Class::Caller`](crate::Class::Caller)), as it would be if the handler had looked itself.
//! What the caller sent is not repeated in it, but for the keys of maps in the paths.
//!
//! ```
//! use kit::{
//!     Code, Context, Endpoint, Method, MethodInfo, MethodKind, Request,
//!     layer::validation::{Validation, ValidationConfig},
//! };
//! # use kit::message::{Message, Visit, VisitField, rules::Check};
//! # #[derive(Clone, PartialEq, prost::Message)]
//! # struct Book { #[prost(string, tag = "1")] title: String }
//! # impl Message for Book {
//! #     const NAME: &'static str = "library.Book";
//! #     fn visit<V: Visit>(&self, _: &mut V) -> Result<(), V::Error> { Ok(()) }
//! #     fn visit_field<V: VisitField>(&mut self, name: &str, v: V) -> Result<V::Output, V::Error> { v.unknown(name) }
//! #     const HAS_RULES: bool = true;
//! #     fn check_rules(&self, check: &mut Check<'_>) { check.field("title").string(&self.title).min_len(1); }
//! # }
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//!
//! // message Book { string title = 1 [(buf.validate.field).string.min_len = 1]; }
//! let method = Method::from(MethodInfo::new("library.Library", "Add", MethodKind::Unary));
//! let add = Endpoint::from_fn(method, |_, book: Book| async move { Ok(book) });
//! // Around all methods of a service it is the same: `endpoints.with(&validation)`.
//! let add = add.with(&Validation::new(&ValidationConfig::default())?);
//!
//! let error = add.call(Request::new(Context::background(), Book::default())).await.unwrap_err();
//! assert_eq!(error.code(), Code::InvalidArgument);
//! assert_eq!(error.field_violations()[0].field, "title");
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

pub use config::ValidationConfig;
pub use handle::Validation;
pub use layer::ValidationLayer;
pub use service::{ResponseFuture, Validated};
