//! The wish that the program stops.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use kit::server::shutdown_signal;

/// Hears SIGINT and SIGTERM from now on; what it gives is done when one has come.
///
/// Called first thing in a program: a signal that comes while it still starts would kill it otherwise, and leave its pid
/// file behind.
pub async fn hear_signals() -> impl Future<Output = ()> {
    let mut asked: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(shutdown_signal());
    // It listens as soon as somebody looks.
    let came = poll_fn(|task| Poll::Ready(asked.as_mut().poll(task).is_ready())).await;
    async move {
        if !came {
            asked.await;
        }
    }
}
