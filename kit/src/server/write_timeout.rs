//! A client that reads nothing must not hold a connection for ever.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::calls::ConnectionCalls;

/// Ends writing when not a byte is taken for `limit`: a slow client is served, one that has stopped to read is not. HTTP/2 has
/// its pings, HTTP/1 has nothing else.
pub(super) struct WriteTimeout<S> {
    inner: S,
    patience: Patience,
    calls: ConnectionCalls,
}

/// How long one waits for a peer that takes nothing.
pub(super) struct Patience {
    limit: Duration,
    // Made when one waits for the first time, which is seldom.
    clock: Option<Pin<Box<Sleep>>>,
    waits: bool,
}

impl Patience {
    /// With a `limit` of zero one waits for ever.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, clock: None, waits: false }
    }

    /// The peer has taken something. Whether it had been waited for.
    pub(super) fn renew(&mut self) -> bool {
        std::mem::take(&mut self.waits)
    }

    /// Done when the peer has taken nothing for too long. To be polled while it takes nothing.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let began = !std::mem::replace(&mut self.waits, true);
        if self.limit.is_zero() {
            return Poll::Pending;
        }
        let limit = self.limit;
        let clock = self.clock.get_or_insert_with(|| Box::pin(sleep(limit)));
        if began {
            clock.as_mut().reset(Instant::now() + limit);
        }
        clock.as_mut().poll(cx)
    }

    fn waits(&self) -> bool {
        self.waits
    }
}

impl<S> WriteTimeout<S> {
    /// With a `limit` of zero it waits for ever.
    pub(super) fn new(inner: S, limit: Duration, calls: ConnectionCalls) -> Self {
        Self { inner, patience: Patience::new(limit), calls }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.patience.renew() {
                self.calls.write_waits(false);
            }
            return written;
        }
        if !self.patience.waits() {
            self.calls.write_waits(true);
        }
        std::task::ready!(self.patience.poll_over(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watch(cx, written)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, flushed)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(cx, shut)
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.watch(cx, written)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::timeout,
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn calls() -> ConnectionCalls {
        crate::server::calls::Calls::default().of_connection()
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_to_read_is_cut_off() {
        let (client, server) = tokio::io::duplex(64);
        let mut server = WriteTimeout::new(server, LIMIT, calls());
        let started = Instant::now();
        let error = server.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 60);
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_is_served_and_silence_is_no_matter() {
        let (mut client, server) = tokio::io::duplex(1);
        let mut server = WriteTimeout::new(server, LIMIT, calls());
        let reads = async {
            let mut taken = Vec::new();
            for _ in 0..10 {
                sleep(LIMIT * 9 / 10).await;
                taken.push(client.read_u8().await.unwrap());
            }
            taken
        };
        let writes = async {
            server.write_all(&[1; 5]).await.unwrap();
            // Nothing to send for a long time, and no clock that runs on.
            sleep(LIMIT * 10).await;
            server.write_all(&[2; 5]).await.unwrap();
        };
        let (taken, ()) = tokio::join!(reads, writes);
        assert_eq!(taken, [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn zero_waits_for_ever() {
        let (_client, server) = tokio::io::duplex(64);
        let mut server = WriteTimeout::new(server, Duration::ZERO, calls());
        assert!(timeout(LIMIT * 1000, server.write_all(&[0; 1000])).await.is_err());
    }
}
