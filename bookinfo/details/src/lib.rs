//! The details service of BookInfo.

pub mod models;
pub mod repository;
