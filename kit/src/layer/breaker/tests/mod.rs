//! The breaker around endpoints, on a paused clock; the machine against a plain model.

mod model;
mod service;
