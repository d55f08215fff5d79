//! Which HTTP a client speaks, and that it says something at all.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    time::timeout,
};

/// What HTTP/2 begins with (RFC 9113, section 3.4). A request of HTTP/1 begins with something else.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// Reads until it is known which HTTP it is: until the preface is complete, or a byte is another one. What was read is in the
/// stream that is given back.
///
/// # Errors
/// When the connection breaks or ends, and when it is not known in time.
pub(super) async fn read<S: AsyncRead + Unpin>(mut stream: S, limit: Duration) -> io::Result<(Version, Rewound<S>)> {
    let mut first = [0; PREFACE.len()];
    let reading = async {
        let mut read = 0;
        while let Some(rest) = first.get_mut(read..).filter(|rest| !rest.is_empty()) {
            let more = stream.read(rest).await?;
            if more == 0 && read == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            read += more;
            if more == 0 || !PREFACE.starts_with(first.get(..read).unwrap_or_default()) {
                return Ok((Version::Http1, read));
            }
        }
        Ok((Version::Http2, read))
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the client said nothing");
    let (version, read) = timeout(limit, reading).await.map_err(late)??;
    Ok((version, Rewound { first, read, given: 0, inner: stream }))
}

/// A stream whose first bytes were read already.
pub(super) struct Rewound<S> {
    first: [u8; PREFACE.len()],
    read: usize,
    given: usize,
    inner: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let rest = self.first.get(self.given..self.read).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buffer);
        }
        let fits = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..fits).unwrap_or_default());
        self.given += fits;
        // What follows is mostly there already. hyper would double its buffer, and keep that, to read it separately.
        match Pin::new(&mut self.inner).poll_read(cx, buffer) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
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
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// What is known of a client that sends these pieces and stays connected, and what is read of it then.
    async fn first(pieces: &[&[u8]]) -> io::Result<(Version, Vec<u8>)> {
        let (mut client, server) = tokio::io::duplex(1);
        let sends = async {
            for piece in pieces {
                client.write_all(piece).await?;
            }
            // Only the clock can end the reading.
            tokio::time::sleep(LIMIT * 2).await;
            drop(client);
            Ok(())
        };
        let reads = async {
            let (version, mut stream) = read(server, LIMIT).await?;
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await?;
            Ok((version, all))
        };
        tokio::try_join!(sends, reads).map(|((), read)| read)
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_sent_away() {
        for sent in [&b""[..], b"PRI * HT", &PREFACE[..23]] {
            assert_eq!(first(&[sent]).await.unwrap_err().kind(), io::ErrorKind::TimedOut, "{sent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_version_is_known_and_no_byte_is_lost() {
        let long = [&PREFACE[..], b"and more"].concat();
        for (sent, version) in [
            (&b"GET / HTTP/1.1\r\n"[..], Version::Http1),
            (b"PRI * HTTP/2.1\r\n", Version::Http1),
            (b"P", Version::Http1),
            (&PREFACE[..], Version::Http2),
            (&long, Version::Http2),
        ] {
            let (begin, rest) = sent.split_at(sent.len() / 2);
            let known = first(&[begin, rest]).await;
            if sent == b"P" {
                assert!(known.is_err());
                continue;
            }
            assert_eq!(known.unwrap(), (version, sent.to_vec()));
        }
    }

    #[tokio::test]
    async fn who_hangs_up_within_the_preface_speaks_http1() {
        let mut sent = &PREFACE[..7];
        let (version, mut stream) = read(&mut sent, LIMIT).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        assert_eq!((version, all.as_slice()), (Version::Http1, &PREFACE[..7]));
        let mut nothing = &b""[..];
        assert_eq!(read(&mut nothing, LIMIT).await.err().map(|e| e.kind()), Some(io::ErrorKind::UnexpectedEof));
    }
}
