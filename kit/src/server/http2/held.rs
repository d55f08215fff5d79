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

/// What is worth a write of its own, behind what waits: to copy it would cost more than the write does.
const LARGE: usize = 8 * 1024;

/// The most pieces of one write: h2 has a head and a payload.
const PIECES: usize = 8;

/// What a connection keeps of the buffer from turn to turn: the answers of some ten small calls.
const KEPT: usize = 4 * 1024;

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
        self.poll_through(cx, &[]).map_ok(|_| ())
    }

    /// Whether so many bytes more are held back, for the end of the turn or to go with what waits.
    fn holds(&self, length: usize) -> bool {
        (self.hold.is_on() || !self.waiting.is_empty()) && length < LARGE && self.waiting.len() < MOST
    }

    /// Writes out what waits, and these behind it in the same write; how much of these was written.
    fn poll_through(&mut self, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        while let Some(rest) = self.waiting.get(self.written..).filter(|rest| !rest.is_empty()) {
            let mut pieces = [io::IoSlice::new(&[]); PIECES];
            let all = std::iter::once(rest).chain(slices.iter().map(|slice| &**slice));
            for (piece, bytes) in pieces.iter_mut().zip(all) {
                *piece = io::IoSlice::new(bytes);
            }
            let waited = rest.len();
            match ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, &pieces))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written if written <= waited => self.written += written,
                written => {
                    self.clear();
                    return Poll::Ready(Ok(written - waited));
                }
            }
        }
        self.clear();
        if slices.is_empty() {
            return Poll::Ready(Ok(0));
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn clear(&mut self) {
        self.written = 0;
        self.waiting.clear();
        self.waiting.shrink_to(KEPT);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Held<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Held<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
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
        let length = slices.iter().map(|slice| slice.len()).sum();
        if !self.holds(length) {
            return self.poll_through(cx, slices);
        }
        for slice in slices {
            self.waiting.extend_from_slice(slice);
        }
        Poll::Ready(Ok(length))
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
    async fn what_is_large_goes_at_once_behind_what_waits() {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let hold = Hold::default();
        let mut server = Held::new(server, hold.clone());
        hold.set(true);
        server.write_all(b"small").await.unwrap();
        let (head, large) = ([1; 9], vec![2; LARGE]);
        let slices = [io::IoSlice::new(&head), io::IoSlice::new(&large)];
        assert_eq!(server.write_vectored(&slices).await.unwrap(), 9 + LARGE);
        let mut read = vec![0; 5 + 9 + LARGE];
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(read, [b"small".as_slice(), &head, &large].concat());
        assert!(server.waiting.is_empty());
    }

    #[tokio::test]
    async fn what_is_held_back_is_bounded() {
        let (mut client, server) = tokio::io::duplex(8);
        let hold = Hold::default();
        let mut server = Held::new(server, hold.clone());
        hold.set(true);
        let sent: Vec<u8> = (0..10 * MOST).map(|at| (at % 251) as u8).collect();
        let writes = async {
            let mut rest = &sent[..];
            for size in [1, 1000, LARGE - 1, LARGE, 3 * LARGE].iter().cycle() {
                let (chunk, after) = rest.split_at((*size).min(rest.len()));
                server.write_all(chunk).await.unwrap();
                assert!(server.waiting.len() < MOST + LARGE);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            server.shutdown().await.unwrap();
        };
        let reads = async {
            let mut read = Vec::new();
            client.read_to_end(&mut read).await.unwrap();
            read
        };
        let ((), read) = tokio::join!(writes, reads);
        assert!(read == sent);
    }
}
