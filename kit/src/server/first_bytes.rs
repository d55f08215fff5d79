//! A client that connects and says nothing must not hold a connection for ever.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use tokio_util::sync::CancellationToken;

/// What HTTP/2 begins with. hyper waits for it without a clock, to know which HTTP it is.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Ends reading when the protocol is not known in time: when the preface is complete, or differs, hyper's own clocks run.
/// Until then a connection that is told to end throws away what it has read; `known` says when that is over.
pub(super) struct FirstBytes<S> {
    inner: S,
    seen: usize,
    limit: Option<Pin<Box<Sleep>>>,
    known: CancellationToken,
}

impl<S> FirstBytes<S> {
    pub(super) fn new(inner: S, limit: Duration, known: CancellationToken) -> Self {
        Self { inner, seen: 0, limit: Some(Box::pin(sleep(limit))), known }
    }

    fn know(&mut self) {
        self.limit = None;
        self.known.cancel();
    }

    fn look(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if PREFACE.get(self.seen) != Some(byte) {
                return self.know();
            }
            self.seen += 1;
        }
        if self.seen == PREFACE.len() {
            self.know();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(limit) = &mut self.limit else { return Pin::new(&mut self.inner).poll_read(cx, buffer) };
        if limit.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client said nothing")));
        }
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if result.is_ready() {
            let new = buffer.filled().get(before..).unwrap_or_default();
            self.look(new);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    async fn ends(sent: &[u8]) -> bool {
        let (mut client, server) = tokio::io::duplex(64);
        let known = CancellationToken::new();
        let mut server = FirstBytes::new(server, LIMIT, known.clone());
        client.write_all(sent).await.unwrap();
        let mut buffer = [0; 64];
        let read = async {
            loop {
                if server.read(&mut buffer).await.is_err() {
                    return;
                }
            }
        };
        // The client stays connected: only the clock can end the reading.
        let ended = tokio::time::timeout(LIMIT * 100, read).await.is_ok();
        drop(client);
        assert_ne!(ended, known.is_cancelled());
        ended
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_sent_away() {
        assert!(ends(b"").await);
        assert!(ends(b"PRI * HT").await);
        assert!(!ends(b"GET / HT").await);
        assert!(!ends(PREFACE).await);
    }
}
