//! Servers in processes of their own, measured over loopback sockets in turns.
//!
//! - [`Process`]: a server on one core, with the processor time and the memory that it takes.
//! - [`Driver`]: `kit load` on another core.
//! - [`Runner`]: all [cases](Case) of a scenario in turns (A B C A B C ...), each turn in a new process.
//! - [`Spread`]: median and quartiles.
//! - [`Scenario`]: cases, and the bars that their figures are held to.
//! - [`Subjects`] and [`Peers`]: the servers of `bench-server`, and those in other crates and languages.
//!
//! What comes of it is told by [`crate::results`].

mod driver;
mod peers;
mod process;
mod runner;
mod scenario;
mod spread;
mod subjects;

pub(crate) use driver::profile_folder;
pub use driver::{Driver, Latency, Load, Report};
pub use peers::Peers;
pub use process::{Process, pin_this_thread};
pub use runner::{Case, DRIVER_CORE, Runner, SERVER_CORE, Samples, Settings, Subject, Turn};
pub(crate) use scenario::thousands;
pub use scenario::{Figure, Scenario};
pub use spread::Spread;
pub use subjects::{Allocator, Runtime, Subjects};
