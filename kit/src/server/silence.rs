//! A client that sends no request must not hold a connection for ever.

use std::time::Duration;

use tokio::time::sleep;

use super::calls::ConnectionCalls;

/// Done when nothing was to do on a connection for `limit`, and at most twice as long: the head of a request may take so long, and so
/// long a connection may wait for the next one. hyper's own clock for that is made anew for each request, which takes longer than the
/// router does; this one is looked at when it rings.
pub(super) async fn silence(calls: &ConnectionCalls, limit: Duration) {
    let mut before = None;
    loop {
        let now = calls.idle_since();
        if now.is_some() && now == before {
            return;
        }
        before = now;
        sleep(limit).await;
    }
}
