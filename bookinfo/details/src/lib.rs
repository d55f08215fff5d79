//! The details service of BookInfo: a book, with what readers say about it.
//!
//! | layer | module |
//! |---|---|
//! | the wire: messages, trait, endpoints, client | [`proto`], generated from `proto/details.proto` |
//! | what a call does | [`service`] |
//! | where books are kept | [`repository`] |
//! | what a book is | [`models`] |
//! | around the endpoints | [`slow_calls`] |
//! | everything put together | [`app`], [`config`] |

pub mod app;
pub mod config;
pub mod models;
pub mod repository;
pub mod service;
pub mod slow_calls;

/// What `kit-build` makes of `proto/details.proto`.
pub mod proto {
    kit::include_protos!();
}
