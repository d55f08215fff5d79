//! On which threads calls run: on the runtime that runs the server, or on cores of their own.

mod config;
mod cores;
mod crew;
mod pin;
#[cfg(test)]
mod tests;

pub use config::{CoresConfig, RuntimeKind};
pub(super) use cores::Cores;
pub(super) use crew::{Place, Seat};
