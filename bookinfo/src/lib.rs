//! Both services of BookInfo in one process: the quick start, and the whole for tests.
//!
//! The process is one, the services are two: details asks comments over gRPC on the loopback, as it would from another
//! machine, and each has its own ports, its own database and its own settings.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), bookcommon::Failure> {
//! use bookinfo::{BookInfo, Config};
//!
//! let mut config = Config::default();
//! config.listen_on("127.0.0.1:0".parse()?);
//! config.details.database.url = "sqlite::memory:".to_owned();
//! config.comments.database.url = "sqlite::memory:".to_owned();
//!
//! let bookinfo = BookInfo::start(config, None).await?;
//! assert_ne!(bookinfo.addresses().details_http.port(), 0);
//! bookinfo.run(async { /* until this is done */ }).await?;
//! # Ok(()) }
//! ```

mod config;
mod hints;
mod run;

pub use config::Config;
pub use hints::hints;
pub use run::{Addresses, BookInfo};
