//! A client as people write it: a timeout, and a loop.

use std::time::Duration;

use kit::{Context, Endpoint, Error};
use tokio::time;

use super::Echo;

/// Tries `attempts` times at once, each time for as long as `timeout`.
pub(crate) fn naive_client(channel: &Endpoint<Echo, Echo>, attempts: u32, timeout: Duration) -> Endpoint<Echo, Echo> {
    let channel = channel.clone();
    Endpoint::from_fn(channel.method().clone(), move |_: Context, message: Echo| {
        let channel = channel.clone();
        async move {
            let mut last = Error::deadline_exceeded("the attempt took too long");
            for _ in 0..attempts {
                match time::timeout(timeout, channel.call_next(&Context::background(), message)).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(error)) => last = error,
                    Err(_) => {}
                }
            }
            Err(last)
        }
    })
}
