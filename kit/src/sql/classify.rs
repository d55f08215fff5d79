//! Which answers of a database mean what.

use sqlx::{error::DatabaseError, mysql::MySqlDatabaseError, postgres::PgDatabaseError, sqlite::SqliteError};

use super::error::{COME_BACK, Kind};

const MAKE_WRITABLE: &str = "point `database.url` at the server that takes writes, or make the file writable";
const REPORT: &str = "repeating it won't help: see the log of the database";
const LOG_IN: &str = "check the user and the password in `database.url`, and that the server admits this host";
const CREATE_DATABASE: &str = "create that database first, or correct `database.url`";
const MIGRATE: &str = "the schema is missing or old: start once with `database.migrate: true`";

/// The kind of an error, and what an operator can do about it.
pub(super) fn classify(error: &sqlx::Error) -> (Kind, &'static str) {
    match error {
        sqlx::Error::Database(error) => classify_answer(error.as_ref()),
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => (Kind::Unavailable, COME_BACK),
        sqlx::Error::PoolClosed => (Kind::Unavailable, "this process is shutting down: ask another one"),
        sqlx::Error::Tls(_) => (Kind::Unavailable, "check the TLS settings of `database.url` and of the server"),
        _ => (Kind::Internal, REPORT),
    }
}

fn classify_answer(error: &dyn DatabaseError) -> (Kind, &'static str) {
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        classify_mysql(error.number())
    } else if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        classify_postgres(error.code())
    } else if let Some(error) = error.try_downcast_ref::<SqliteError>() {
        classify_sqlite(error)
    } else {
        (Kind::Internal, REPORT)
    }
}

/// Numbers from MySQL's and MariaDB's error reference; the five-letter states are too coarse here (`HY000` is most).
fn classify_mysql(number: u16) -> (Kind, &'static str) {
    match number {
        // too many connections, shutting down, user's limit, lock wait, deadlock
        1040 | 1053 | 1203 | 1205 | 1213 => (Kind::Unavailable, COME_BACK),
        // --read-only, read-only transaction, read-only mode
        1290 | 1792 | 1836 => (Kind::ReadOnly, MAKE_WRITABLE),
        1044 | 1045 | 1130 | 1698 => (Kind::Internal, LOG_IN),
        1049 => (Kind::Internal, CREATE_DATABASE),
        1054 | 1146 => (Kind::Internal, MIGRATE),
        _ => (Kind::Internal, REPORT),
    }
}

/// States from appendix A of PostgreSQL's manual.
fn classify_postgres(code: &str) -> (Kind, &'static str) {
    match code {
        // too many connections, shutdown or recovery, serialisation, deadlock, lock timeout
        "53300" | "57P01" | "57P02" | "57P03" | "40001" | "40P01" | "55P03" => (Kind::Unavailable, COME_BACK),
        "25006" => (Kind::ReadOnly, MAKE_WRITABLE),
        "28000" | "28P01" => (Kind::Internal, LOG_IN),
        "3D000" => (Kind::Internal, CREATE_DATABASE),
        "42P01" | "42703" => (Kind::Internal, MIGRATE),
        code if code.starts_with("08") => (Kind::Unavailable, COME_BACK),
        _ => (Kind::Internal, REPORT),
    }
}

/// Whether another connection to the SQLite file stands in the way.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    let error = error.and_then(|error| error.try_downcast_ref::<SqliteError>());
    error.is_some_and(|error| sqlite_family(error) == 5)
}

/// Result codes from sqlite.org/rescode.html: the low byte is the family, the rest a refinement.
fn sqlite_family(error: &SqliteError) -> i32 {
    let code = DatabaseError::code(error).and_then(|code| code.parse::<i32>().ok());
    code.unwrap_or_default() & 0xff
}

fn classify_sqlite(error: &SqliteError) -> (Kind, &'static str) {
    match sqlite_family(error) {
        // busy, locked, cannot open
        5 | 6 | 14 => (Kind::Unavailable, COME_BACK),
        8 => (Kind::ReadOnly, MAKE_WRITABLE),
        1 if is_schema_missing(error.message()) => (Kind::Internal, MIGRATE),
        _ => (Kind::Internal, REPORT),
    }
}

/// SQLite has no code of its own for a missing table or column: the text says it, in another way to `INSERT` than to `SELECT`.
fn is_schema_missing(message: &str) -> bool {
    ["no such table", "no such column"].iter().any(|beginning| message.starts_with(beginning))
        || message.contains("has no column named")
}
