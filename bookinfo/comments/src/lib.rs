//! The comments service of BookInfo: readers post comments on books, list them and watch them come in.
//!
//! | layer | module |
//! |---|---|
//! | the wire: messages, trait, endpoints, client | [`proto`], generated from `proto/comments.proto` |
//! | what a call does | [`service`] |
//! | where comments are kept | [`repository`] |
//! | what a comment is | [`models`] |
//! | around the service | [`audit`] |
//! | everything put together | [`app`], [`config`] |

pub mod app;
pub mod audit;
pub mod config;
pub mod models;
pub mod repository;
pub mod service;

/// What `kit-build` makes of `proto/comments.proto`.
pub mod proto {
    kit::include_protos!();
}
