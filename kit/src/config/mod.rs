//! Settings of a service: from its defaults, a YAML file, a `.env` file and the environment.
//!
//! The configuration is one plain struct with `Default`. Each source may set any part of it; a
//! later source wins:
//!
//! 1. the struct's own `Default`,
//! 2. the files given by [`Loader::file`], [`Loader::optional_file`] and [`Loader::text`], in the
//!    order given,
//! 3. the `.env` files given by [`Loader::env_file`],
//! 4. the environment given by [`Loader::env`].
//!
//! Nothing global is read or written: the environment is passed in, and a `.env` file never reaches
//! it.
//!
//! ```
//! use std::time::Duration;
//!
//! use kit::config::{Loaded, Loader, Secret, Validate, Violations};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct Config {
//!     addr: String,
//!     #[serde(with = "kit::config::duration")]
//!     drain: Duration,
//!     database: Database,
//! }
//!
//! impl Default for Config {
//!     fn default() -> Self {
//!         Self {
//!             addr: "127.0.0.1:8080".into(),
//!             drain: Duration::from_secs(30),
//!             database: Database::default(),
//!         }
//!     }
//! }
//!
//! #[derive(Debug, Default, Serialize, Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct Database {
//!     url: String,
//!     password: Secret,
//! }
//!
//! impl Validate for Config {
//!     fn validate(&self, report: &mut Violations) {
//!         report.require(!self.database.url.is_empty(), "database.url", "must be set");
//!     }
//! }
//!
//! let loaded: Loaded<Config> = Loader::new("BOOKDETAILS")
//!     // A service says `.file("config/local.yaml")` and `.env(std::env::vars_os())`.
//!     .text("config/local.yaml", "drain: 5s\ndatabase:\n  url: sqlite:books.db\n")
//!     .env([("BOOKDETAILS_DATABASE_PASSWORD", "pa55")])
//!     .load_validated()?;
//!
//! assert_eq!(loaded.config.drain, Duration::from_secs(5));
//! assert_eq!(loaded.config.database.password.expose(), "pa55");
//! assert_eq!(
//!     loaded.to_string(),
//!     r#"addr = "127.0.0.1:8080"             # default
//! drain = "5s"                        # config/local.yaml:1
//! database.url = "sqlite:books.db"    # config/local.yaml:3
//! database.password = "***"           # env BOOKDETAILS_DATABASE_PASSWORD"#
//! );
//! # Ok::<(), kit::config::ConfigError>(())
//! ```
//!
//! A service that takes changed settings over while it runs uses [`Loaded::watch`].
//!
//! A flag `--check-config` is `load()` and nothing else; `--print-config` prints the [`Loaded`].
//!
//! # Names in the environment
//!
//! The key `database.max_connections` under the prefix `BOOKDETAILS` is
//! `BOOKDETAILS_DATABASE_MAX_CONNECTIONS`: upper case, with `_` for each dot and for anything that
//! is neither letter nor digit. The names are made from the keys that the default configuration has
//! (and those that a file adds, such as the entries of a map), never the other way round, so that
//! no name is ambiguous: two keys with the same name are an error. A variable with the prefix that
//! is no key is an error too, because it is nearly always a misspelling; see
//! [`Loader::ignore_env`].
//!
//! A key can only be found in the default configuration when it is serialized there: leave
//! `skip_serializing_if` away.
//!
//! # Values in the environment
//!
//! A section that may be left out is by `none`.
//!
//! Text is read as the type that the field has: a `String` keeps `123` and `yes` as they are, a
//! number must be one, a `bool` is any of `true`/`false`, `1`/`0`, `yes`/`no`, `on`/`off`. A list
//! is comma separated (`a, b`) or inline YAML or JSON (`[a, "b, c"]`); a struct or a map is inline
//! (`{cert: a.pem}`). Empty text is `None` for an `Option`, and an empty list.
//!
//! # What to know about defaults
//!
//! A section that is partly set takes the rest from the section as it is in the `Default` of the
//! whole configuration (not from the `Default` of the section's own type, should the two differ;
//! only a [`Secret`] is always filled from the latter). A map of free keys (`HashMap`) or a list
//! that is set anywhere replaces the default one as a whole.
//!
//! A map of free keys is best a `BTreeMap`: a `HashMap` is printed in another order each time.

mod de;
mod dotenv;
pub use crate::duration;
mod error;
mod fill;
mod loaded;
mod loader;
mod names;
mod parse;
mod read;
#[cfg(test)]
mod tests;
mod tree;
mod watch;

pub use crate::mask::Secret;
pub use crate::validate::{Validate, Violations};
pub use error::{ConfigError, Origin, Problem};
pub use loaded::{Loaded, Setting};
pub use loader::Loader;
pub use watch::Watch;
