//! What makes this database the one of the details service: its names and its migrations.

use kit::sql::{Schema, Step, lock_key};

pub(super) static SCHEMA: Schema = Schema {
    application: "bookdetails",
    migrations_table: "details_migrations",
    lock_key: lock_key("bookdetails"),
    steps: &[Step {
        version: 1,
        description: "books",
        sqlite: include_str!("../../migrations/sqlite/0001_books.sql"),
        mysql: include_str!("../../migrations/mysql/0001_books.sql"),
        postgres: include_str!("../../migrations/postgres/0001_books.sql"),
    }],
};
