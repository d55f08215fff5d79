use std::{fmt, io, net::SocketAddr};

/// Why a server could not be started, or stopped before it was asked to.
pub struct ServeError(String, Option<crate::error::Source>);

impl ServeError {
    pub(super) fn bind(address: &str, error: io::Error) -> Self {
        let what = match error.kind() {
            io::ErrorKind::AddrInUse => "another process has that port: stop it or choose another port".to_owned(),
            io::ErrorKind::PermissionDenied => {
                "not permitted: ports below 1024 need a privilege; choose another port".to_owned()
            }
            io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
            _ => error.to_string(),
        };
        Self(format!("can't listen on {address}: {what}"), Some(error.into()))
    }

    pub(super) fn setup(error: crate::Error) -> Self {
        Self(error.message().to_owned(), Some(error.into()))
    }

    #[cfg(any(feature = "tls", feature = "reflection"))]
    pub(super) fn other(message: String, source: impl Into<crate::error::Source>) -> Self {
        Self(message, Some(source.into()))
    }

    pub(super) fn listener(address: SocketAddr, error: io::Error) -> Self {
        Self(format!("the listener on {address} died: {error}"), Some(error.into()))
    }

    /// What did not end in time, on top of what a server died of.
    pub(super) fn cut(before: Option<Self>, calls: usize, tasks: u64) -> Self {
        let mut parts = Vec::new();
        let (before, source) = before.map_or((None, None), |Self(text, source)| (Some(text), source));
        parts.extend(before);
        if calls > 0 {
            parts.push(format!("{} cut at the stop", count(calls as u64, "call")));
        }
        if tasks > 0 {
            parts.push(format!("{} cut at the stop", count(tasks, "background task")));
        }
        Self(parts.join("; "), source)
    }

    pub(super) fn core_start(core: usize, error: io::Error) -> Self {
        let text = format!(
            "the thread of core {core} could not be started: {error}; allow the process more, or ask for fewer"
        );
        Self(text, Some(error.into()))
    }

    pub(super) fn core_died(core: usize) -> Self {
        Self(format!("the thread of core {core} panicked, and its calls were cut"), None)
    }

    pub(super) fn listener_task(error: tokio::task::JoinError) -> Self {
        Self("a listener stopped".to_owned(), Some(error.into()))
    }
}

fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what} was") } else { format!("{number} {what}s were") }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As `Display`, because `main` shows the `Debug` of what it returns.
impl fmt::Debug for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.1.as_deref().map(|e| e as _)
    }
}
