//! What the programs of BookInfo do before and around serving: flags, settings, limits, pid file.
//!
//! ```no_run
//! use bookcommon::{Failure, Program, Settings};
//! use kit::config::Loaded;
//!
//! #[derive(Default, serde::Serialize, serde::Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct Config { greeting: String }
//!
//! impl kit::config::Validate for Config {
//!     fn validate(&self, _: &mut kit::config::Violations) {}
//! }
//!
//! async fn serve(loaded: Loaded<Config>) -> Result<(), Failure> {
//!     let _ = loaded.config.greeting;
//!     Ok(())
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     let program = Program {
//!         name: "hello-server",
//!         version: env!("CARGO_PKG_VERSION"),
//!         about: "Says hello",
//!         settings: Settings {
//!             prefix: "HELLO",
//!             folder: env!("CARGO_MANIFEST_DIR"),
//!             local: "greeting: hello",
//!             container: "greeting: ahoy",
//!         },
//!     };
//!     program.main(serve)
//! }
//! ```

mod chain;
mod pid;
mod program;
mod settings;
pub mod testing;

pub use chain::limited_chain;
pub use pid::PidFile;
pub use program::Program;
pub use settings::{RunMode, Settings, Surroundings};

/// Why a program could not start, or stopped before it was asked to: any error whose text says it to an operator.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
