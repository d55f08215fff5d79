//! The answers of a whole turn in one write.
//!
//! h2 writes out what it has whenever it is polled, and whenever a frame of 256 bytes or more is queued behind another. A turn of a
//! connection polls it many times, and makes many answers.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that are held back: then what is written goes on at the pace of the peer, in the middle of a turn too. Linux
/// takes about so much at a time from a socket with its usual buffers.
const MOST: usize = 64 * 1024;

/// What an idle connection keeps of the buffer: nothing but what costs little.
const KEPT: usize = 1024;

/// Whether writes are held back. Set and read by the task of the connection alone.
#[derive(Clone, Default)]
pub(super) struct Hold(Arc<AtomicBool>);

impl Hold {
    pub(super) fn set(&self, hold: bool) {
        self.0.store(hold, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream whose writes can be held back.
pub(super) struct Held<S> {
    inner: S,
    hold: Hold,
    waiting: Vec<u8>,
    written: usize,
}

impl<S> Held<S> {
    pub(super) fn new(inner: S, hold: Hold) -> Self {
        Self { inner, hold, waiting: Vec::new(), written: 0 }
    }
}

impl<S: AsyncWrite + Unpin> Held<S> {
    /// Writes out what waits.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.waiting.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.written = 0;
        self.waiting.clear();
        self.waiting.shrink_to(KEPT);
        Poll::Ready(Ok(()))
    }

    /// Whether what is written now has to wait, behind what waits already or for the end of the turn; makes room for it.
    fn poll_waits(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.waiting.len() >= MOST {
            ready!(self.poll_out(cx))?;
        }
        Poll::Ready(Ok(self.hold.is_on() || !self.waiting.is_empty()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Held<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Held<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !ready!(self.poll_waits(cx))? {
            return Pin::new(&mut self.inner).poll_write(cx, bytes);
        }
        self.waiting.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.hold.is_on() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !ready!(self.poll_waits(cx))? {
            return Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        }
        let before = self.waiting.len();
        for slice in slices {
            self.waiting.extend_from_slice(slice);
        }
        Poll::Ready(Ok(self.waiting.len() - before))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_is_held_back_comes_at_once_and_in_order() {
        let (mut client, server) = tokio::io::duplex(1024);
        let hold = Hold::default();
        let mut server = Held::new(server, hold.clone());
        hold.set(true);
        server.write_all(b"one ").await.unwrap();
        server.flush().await.unwrap();
        let slices = [io::IoSlice::new(b"two "), io::IoSlice::new(b"three ")];
        assert_eq!(server.write_vectored(&slices).await.unwrap(), 10);
        let mut buffer = [0; 64];
        let nothing = futures_util::FutureExt::now_or_never(client.read(&mut buffer));
        assert!(nothing.is_none());

        hold.set(false);
        // Behind what waits, not before it.
        server.write_all(b"four").await.unwrap();
        server.flush().await.unwrap();
        let read = client.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..read], b"one two three four");
        assert!(server.waiting.capacity() <= KEPT);
    }

    #[tokio::test]
    async fn what_is_held_back_is_bounded() {
        let (mut client, server) = tokio::io::duplex(8);
        let hold = Hold::default();
        let mut server = Held::new(server, hold.clone());
        hold.set(true);
        let sent = vec![7; 3 * MOST];
        let writes = async {
            for chunk in sent.chunks(1000) {
                server.write_all(chunk).await.unwrap();
                assert!(server.waiting.len() < MOST + 1000);
            }
            server.shutdown().await.unwrap();
        };
        let reads = async {
            let mut read = Vec::new();
            client.read_to_end(&mut read).await.unwrap();
            read
        };
        let ((), read) = tokio::join!(writes, reads);
        assert_eq!(read.len(), sent.len());
    }
}
