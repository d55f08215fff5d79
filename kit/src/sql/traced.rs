//! Statements as spans of the trace that they are run for.

use std::future::Future;

use super::Database;

impl Database {
    /// Runs a query as a span inside the one that is open in this task: it has the text of the statement, never a value.
    ///
    /// The repository needs no context for it. Where no trace is going on, and without the feature `trace`, it is `query`
    /// alone.
    ///
    /// ```
    /// use kit::sql::{Database, SqlError, on_pool};
    ///
    /// const COUNT: &str = "SELECT COUNT(*) FROM greetings_words WHERE word <> $1";
    ///
    /// async fn count(database: &Database) -> Result<i64, SqlError> {
    ///     let count = on_pool!(database, pool => {
    ///         database.traced(COUNT, sqlx::query_scalar(COUNT).bind("secret").fetch_one(pool)).await
    ///     });
    ///     count.map_err(database.failed("count the words"))
    /// }
    /// # let _ = count;
    /// ```
    ///
    /// # Errors
    /// What `query` failed with; the span has the kind of the failure, whose text could repeat a value.
    ///
    /// # Cancel safety
    /// As `query`; the span of one that is dropped has the tag `cancelled`.
    pub async fn traced<T, F>(&self, statement: &str, query: F) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        #[cfg(feature = "trace")]
        return spans::traced(self, statement, query).await;
        #[cfg(not(feature = "trace"))]
        {
            let _ = statement;
            query.await
        }
    }
}

#[cfg(feature = "trace")]
mod spans {
    use std::future::Future;

    use super::super::{Database, Pool, statement};
    use crate::{
        endpoint::current,
        trace::{Kind, OpenSpan},
    };

    pub(super) async fn traced<T, F>(database: &Database, text: &str, query: F) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        let open = current::span().filter(|span| span.is_recorded());
        let Some(parent) = open else { return query.await };
        let (system, dialect) = match database.pool() {
            Pool::Sqlite(_) => ("sqlite", statement::Dialect::Standard),
            Pool::MySql(_) => ("mysql", statement::Dialect::MySql),
            Pool::Postgres(_) => ("postgresql", statement::Dialect::Postgres),
        };
        let shown = statement::without_values(text, dialect);
        let name = shown.split(' ').next().unwrap_or_default().to_ascii_lowercase();
        let span = parent.child(name).with_kind(Kind::Client).with_remote(system, None);
        span.tag("db.system", system);
        span.tag("sql.query", shown);
        let mut open = Open { span, over: false };
        let result = open.span.run(query).await;
        open.over = true;
        if let Err(error) = &result {
            open.fail(error);
        }
        result
    }

    struct Open {
        span: OpenSpan,
        over: bool,
    }

    impl Open {
        /// A database quotes values in its messages, so of those only the code is told.
        fn fail(&self, error: &sqlx::Error) {
            match error {
                // An answer like any other.
                sqlx::Error::RowNotFound => {}
                sqlx::Error::Database(error) => {
                    let code = error.code().unwrap_or_else(|| "unknown".into());
                    self.span.fail(format!("the database answered error {code}"));
                }
                sqlx::Error::PoolTimedOut => self.span.fail("no connection was free in time"),
                sqlx::Error::PoolClosed => self.span.fail("the pool of connections is closed"),
                sqlx::Error::Io(error) => self.span.fail(format!("the connection failed: {}", error.kind())),
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => self.span.fail("a value can't be read"),
                _ => self.span.fail("the statement could not be run"),
            }
        }
    }

    impl Drop for Open {
        fn drop(&mut self) {
            if !self.over {
                self.span.tag("cancelled", "true");
            }
        }
    }
}
