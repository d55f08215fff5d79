//! What makes this database the one of the comments service: its names and its migrations.

use kit::sql::{Schema, Step, lock_key};

pub(super) static SCHEMA: Schema = Schema {
    application: "bookcomments",
    migrations_table: "comments_migrations",
    lock_key: lock_key("bookcomments"),
    steps: &[Step {
        version: 1,
        description: "comments",
        sqlite: include_str!("../../migrations/sqlite/0001_comments.sql"),
        mysql: include_str!("../../migrations/mysql/0001_comments.sql"),
        postgres: include_str!("../../migrations/postgres/0001_comments.sql"),
    }],
};
