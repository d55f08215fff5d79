use std::{fmt, io};

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

    pub(super) fn listener_task(error: tokio::task::JoinError) -> Self {
        Self("a listener stopped".to_owned(), Some(error.into()))
    }
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
