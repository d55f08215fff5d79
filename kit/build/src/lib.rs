//! Generates kit services from `.proto` files in a build script. No protoc is needed.
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), kit_build::Error> {
//!     kit_build::compile(&["proto/details.proto"], &["proto"])
//! }
//! ```
//!
//! ```text
//! // src/main.rs or src/lib.rs
//! pub mod proto {
//!     kit::include_protos!();
//! }
//! ```
//!
//! # What is generated
//!
//! A module for each protobuf package, nested as the packages are, with
//!
//! - prost's types for messages and enums, which implement `kit::Message` and serde's traits (canonical JSON);
//! - for each service `Foo` of the files given: the trait `Foo`, `FooEndpoints`, `FooClient` and the statics `FOO` and
//!   `FOO_METHOD`;
//! - `register`, which makes the package's messages known to the JSON of `google.protobuf.Any`.
//!
//! Messages of imported files are generated, too, unless an [extern path](Builder::extern_path) says that they exist; the
//! services of imported files are not.
//!
//! # What is checked
//!
//! Rules of `buf/validate/validate.proto` (protovalidate) become code that `kit::layer::validation` calls. Those that would have to be
//! interpreted (CEL) or that don't fit their field are refused.
//!
//! HTTP rules are checked against the messages, and all rules against each other, so that a service that builds has routes
//! that work. All problems are told at once, each as `file:line:column: what is wrong: what to do`.

mod builder;
mod emit;
mod error;
mod google;
mod ident;
mod messages;
mod model;
mod openapi;
mod rule;
mod source;
mod types;

use std::path::Path;

pub use builder::Builder;
pub use error::Error;

/// Generates the code of `files`, whose imports are found in `includes`: [`Builder`] with its defaults.
///
/// ```no_run
/// kit_build::compile(&["proto/details.proto"], &["proto"])?;
/// # Ok::<(), kit_build::Error>(())
/// ```
///
/// # Errors
/// Everything that is wrong with the files, each with its place.
pub fn compile(files: &[impl AsRef<Path>], includes: &[impl AsRef<Path>]) -> Result<(), Error> {
    let builder = files.iter().fold(Builder::new(), Builder::file);
    includes.iter().fold(builder, Builder::include).compile()
}
