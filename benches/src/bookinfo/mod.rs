//! BookInfo under load against the same two services written by hand: details with SQLite, which ask comments with SQLite over gRPC.
//!
//! The kit's side is the programs of the demo as they are built for release, with figures, traces of one call in a thousand, which a
//! collector takes, and the standard chain with limits that let everything through; its access log is off. The other side,
//! [`by_hand`], is tonic and sqlx with the same schema, statements, pools and time limits, and nothing else.

pub mod by_hand;
pub mod figures;
pub mod program;
