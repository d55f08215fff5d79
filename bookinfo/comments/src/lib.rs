//! The comments service of BookInfo.

pub mod models;
pub mod repository;
