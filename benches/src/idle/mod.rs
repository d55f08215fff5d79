//! Connections that are held and do nothing: what each of them takes, and whether many of them are in the way of those that call.
//!
//! Every server runs in a process of its own, and so does whoever holds connections to it: the memory of a process says what the
//! connections take, and a process may only have so many descriptors. Both are this very program, started again with a
//! [`role`].

pub mod census;
pub mod figures;
pub mod holder;
pub mod limits;
pub mod process;
pub mod role;
pub mod subjects;
pub mod wire;
