/// Done when the process is asked to stop: SIGINT or SIGTERM, Ctrl-C on Windows.
///
/// Cancel-safe. When signals can't be heard it is never done, and says so in the log.
pub async fn shutdown_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(mut interrupt), Ok(mut terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
                    _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
                }
                return;
            }
            (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "signals can't be heard"),
        }
    }
    #[cfg(not(unix))]
    match tokio::signal::ctrl_c().await {
        Ok(()) => return tracing::info!("Ctrl-C: stopping"),
        Err(error) => tracing::error!(%error, "signals can't be heard"),
    }
    std::future::pending().await
}
