use std::future::Future;

/// Done when the process is asked to stop: SIGINT or SIGTERM, Ctrl-C on Windows.
///
/// Signals are heard from the call on, not only once the future is polled, so that none is lost while a service starts. To be
/// called inside a Tokio runtime. Cancel-safe. When signals can't be heard it is never done, and says so in the log.
pub fn shutdown_signal() -> impl Future<Output = ()> + Send {
    #[cfg(unix)]
    let asked = {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        async move {
            let (mut interrupt, mut terminate) = (signals.0?, signals.1?);
            Ok(tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            })
        }
    };
    #[cfg(windows)]
    let asked = {
        let signal = tokio::signal::windows::ctrl_c();
        async move {
            signal?.recv().await;
            Ok("Ctrl-C")
        }
    };
    async move {
        let asked: std::io::Result<&str> = asked.await;
        match asked {
            Ok(signal) => tracing::info!("{signal}: stopping"),
            Err(error) => {
                tracing::error!(%error, "signals can't be heard");
                std::future::pending().await
            }
        }
    }
}
