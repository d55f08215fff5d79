//! A service that starts before its database does.

use std::{
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{sync::watch, time::sleep};
use tokio_util::task::AbortOnDropHandle;

use super::SqlError;

/// The first wait: a server that is restarting mostly takes a few seconds.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest: what it costs a server to refuse an instance now and then is nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A repository that is there as soon as its database is. Clones share it.
///
/// Where a database that is away would keep a process from starting, an outage of the database would become an outage of
/// every instance that is started meanwhile. With this the process starts, its calls are `UNAVAILABLE`, and it goes on by
/// itself when the database is back. What is wrong for good (settings, user, schema) still stops the start.
///
/// ```
/// use kit::sql::{Late, SqlError};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
/// # runtime.block_on(async {
/// let books = Late::connect(|| async { Err::<u32, _>(SqlError::unavailable("nobody listens")) }).await?;
/// assert!(books.get().is_err_and(|error| error.is_unavailable()));
///
/// // A repository of your own passes its methods on: `self.0.get()?.find(id).await`.
/// assert_eq!(*Late::ready(7).get()?, 7);
/// # Ok::<(), SqlError>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Late<R>(Arc<State<R>>);

struct State<R> {
    repository: OnceLock<R>,
    /// Why it is not there yet.
    why: watch::Sender<Arc<str>>,
    /// What goes on trying; it ends with the last clone.
    trying: OnceLock<AbortOnDropHandle<()>>,
}

impl<R: Send + Sync + 'static> Late<R> {
    /// A repository that is there.
    pub fn ready(repository: R) -> Self {
        Self::new(OnceLock::from(repository), "")
    }

    /// Connects; while the database can't be reached, goes on trying behind the scenes for as long as a clone lives.
    ///
    /// # Errors
    /// What the first attempt failed with, unless that is [`SqlError::is_unavailable`].
    ///
    /// # Cancel safety
    /// As `connect`: dropping the future ends the first attempt, and there is no second.
    pub async fn connect<F, Fut>(connect: F) -> Result<Self, SqlError>
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, SqlError>> + Send + 'static,
    {
        match connect().await {
            Ok(repository) => Ok(Self::ready(repository)),
            Err(error) if error.is_unavailable() => {
                tracing::warn!(%error, "the service starts without its database");
                let late = Self::new(OnceLock::new(), &error.to_string());
                // Weak: what is tried for must not keep itself alive.
                let trying = tokio::spawn(keep_trying(Arc::downgrade(&late.0), connect));
                let _ = late.0.trying.set(AbortOnDropHandle::new(trying));
                Ok(late)
            }
            Err(error) => Err(error),
        }
    }

    /// The repository.
    ///
    /// # Errors
    /// [`SqlError::is_unavailable`] as long as it is not there, with what the last attempt failed with.
    pub fn get(&self) -> Result<&R, SqlError> {
        self.0.repository.get().ok_or_else(|| SqlError::unavailable(Arc::clone(&self.0.why.borrow())))
    }

    /// Waits until the repository is there: for as long as that takes.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait and nothing else.
    pub async fn available(&self) -> &R {
        let mut news = self.0.why.subscribe();
        loop {
            if let Some(repository) = self.0.repository.get() {
                return repository;
            }
            if news.changed().await.is_err() {
                // The sender lives in what `self` holds.
                std::future::pending::<()>().await;
            }
        }
    }

    fn new(repository: OnceLock<R>, why: &str) -> Self {
        Self(Arc::new(State { repository, why: watch::Sender::new(why.into()), trying: OnceLock::new() }))
    }
}

async fn keep_trying<R, F, Fut>(state: std::sync::Weak<State<R>>, connect: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<R, SqlError>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        sleep(pause).await;
        // Should it panic, that was one attempt: the next may pass, and nobody else makes it.
        let attempt = AssertUnwindSafe(async { connect().await }).catch_unwind();
        let result = attempt.await.unwrap_or_else(|_| Err(SqlError::internal("the attempt to connect panicked")));
        let Some(state) = state.upgrade() else { return };
        match result {
            Ok(repository) => {
                let _ = state.repository.set(repository);
                state.why.send_replace("".into());
                tracing::info!("the database is there now");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "the database is not there yet");
                state.why.send_replace(error.to_string().into());
                pause = if error.is_unavailable() { (pause * 2).min(LONGEST_PAUSE) } else { LONGEST_PAUSE };
            }
        }
    }
}

impl<R> Clone for Late<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R> fmt::Debug for Late<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Late").field("ready", &self.0.repository.get().is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_comes_when_the_database_does() {
        let attempts = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&attempts);
        let late =
            Late::connect(move || {
                let attempt = count.fetch_add(1, Ordering::Relaxed);
                async move {
                    if attempt < 3 { Err(SqlError::unavailable(format_args!("no {attempt}"))) } else { Ok(attempt) }
                }
            })
            .await
            .unwrap();
        assert_eq!(late.get().unwrap_err().to_string(), "no 0");
        sleep(FIRST_PAUSE + Duration::from_millis(1)).await;
        assert_eq!(late.get().unwrap_err().to_string(), "no 1");
        sleep(LONGEST_PAUSE).await;
        assert_eq!(late.get().unwrap(), &3);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_tries_for_a_repository_that_nobody_holds() {
        let attempts = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&attempts);
        let late = Late::<()>::connect(move || {
            count.fetch_add(1, Ordering::Relaxed);
            async { Err(SqlError::unavailable("away")) }
        })
        .await
        .unwrap();
        drop(late);
        sleep(LONGEST_PAUSE * 4).await;
        assert_eq!(attempts.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_runs_ends_with_the_last_clone() {
        let (began, mut begins) = tokio::sync::mpsc::channel(1);
        let late = Late::<()>::connect(move || {
            let began = began.clone();
            async move {
                if began.try_send("first").is_ok() {
                    return Err(SqlError::unavailable("away"));
                }
                // The second attempt hangs, for as long as it is let.
                let _ = began.send("second").await;
                std::future::pending().await
            }
        })
        .await
        .unwrap();
        sleep(FIRST_PAUSE * 2).await;
        assert_eq!((begins.recv().await, begins.recv().await), (Some("first"), Some("second")));
        drop(late);
        assert!(begins.recv().await.is_none(), "the attempt, and what makes them, are gone");
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_panics_is_not_the_last() {
        let attempts = AtomicU32::new(0);
        let late = Late::connect(move || {
            let attempt = attempts.fetch_add(1, Ordering::Relaxed);
            assert_ne!(attempt, 1, "before there is a future");
            async move {
                assert_ne!(attempt, 2, "in the future");
                if attempt == 0 { Err(SqlError::unavailable("away")) } else { Ok(attempt) }
            }
        })
        .await
        .unwrap();
        sleep(FIRST_PAUSE + Duration::from_millis(1)).await;
        assert_eq!(late.get().unwrap_err().to_string(), "the attempt to connect panicked");
        assert_eq!(late.available().await, &3);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_when_it_is_there() {
        let attempts = AtomicU32::new(0);
        let late = Late::connect(move || {
            let attempt = attempts.fetch_add(1, Ordering::Relaxed);
            async move { if attempt < 5 { Err(SqlError::unavailable("away")) } else { Ok(attempt) } }
        })
        .await
        .unwrap();
        assert_eq!(late.available().await, &5);
        assert_eq!(late.available().await, &5, "at once");
        assert_eq!(Late::ready(7).available().await, &7);
    }

    #[tokio::test]
    async fn what_is_wrong_for_good_stops_the_start() {
        let error = Late::<()>::connect(|| async { Err(SqlError::internal("no such user")) }).await.unwrap_err();
        assert_eq!(error.to_string(), "no such user");
    }
}
