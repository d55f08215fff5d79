//! The parts that simulations are put together from.

pub(crate) mod chain;
pub(crate) mod golden;
pub(crate) mod naive;
pub(crate) mod plot;
pub(crate) mod record;
pub(crate) mod replicas;
pub(crate) mod server;
pub(crate) mod users;
pub(crate) mod wire;
pub(crate) mod world;

use kit::{Idempotency, Method, MethodInfo, MethodKind};

/// What all methods take and answer.
pub(crate) type Echo = u64;

/// A method that may be repeated.
pub(crate) fn method(name: &'static str) -> Method {
    let info = MethodInfo::new("simulation.Service", name, MethodKind::Unary);
    Method::from(MethodInfo { idempotency: Idempotency::NoSideEffects, ..info })
}
