//! The one message of a request: five bytes that say how it comes, then its bytes (gRPC over HTTP/2, "Length-Prefixed-Message").

use std::pin::Pin;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body::Body as _;

use super::Incoming;
use crate::Error;

/// A flag byte and four bytes of length.
pub(super) const PREFIX: usize = 5;

/// How much room is made for a message before its bytes have come: what a client announces costs it nothing. Memory that is not
/// written to is only an address; longer messages grow as they come.
const ROOM: usize = 1024 * 1024;

/// The bytes of the one message of a body, which may have at most `limit`.
///
/// Cancel-safe in that the body is all that it takes from; dropping it drops what was read.
pub(super) async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, Error> {
    let mut message = Gathered::new(limit);
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame?.into_data() else { break };
        message.push(data)?;
    }
    message.finish()
}

/// A message whose bytes come in pieces. Mostly there is one piece, which then is not copied.
struct Gathered {
    limit: usize,
    /// What has come while there is no whole message.
    pieces: BytesMut,
    /// The length that the prefix says, once it is known.
    length: Option<usize>,
    message: Option<Bytes>,
}

impl Gathered {
    fn new(limit: usize) -> Self {
        Self { limit, pieces: BytesMut::new(), length: None, message: None }
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// When they can't be the one message that the limit lets in.
    fn push(&mut self, mut data: Bytes) -> Result<(), Error> {
        if data.is_empty() {
            return Ok(());
        }
        if self.message.is_some() {
            return Err(Error::internal("more than one message was sent to a method that takes one"));
        }
        if self.length.is_none() {
            if self.pieces.is_empty() && data.len() >= PREFIX {
                let length = self.prefix(data.chunk())?;
                data.advance(PREFIX);
                if data.len() == length {
                    self.message = Some(data);
                    return Ok(());
                }
                self.expect(length);
            } else {
                // A prefix in pieces: nobody sends that but to try us.
                self.pieces.put(data);
                if self.pieces.len() < PREFIX {
                    return Ok(());
                }
                let mut all = std::mem::take(&mut self.pieces);
                let length = self.prefix(&all)?;
                all.advance(PREFIX);
                self.expect(length);
                data = all.freeze();
            }
        }
        let length = self.length.unwrap_or_default();
        if data.len() > length - self.pieces.len().min(length) {
            return Err(Error::internal("more than one message was sent to a method that takes one"));
        }
        self.pieces.put(data);
        if self.pieces.len() == length {
            self.message = Some(std::mem::take(&mut self.pieces).freeze());
        }
        Ok(())
    }

    fn expect(&mut self, length: usize) {
        self.length = Some(length);
        self.pieces.reserve(length.min(ROOM));
    }

    /// The length that a prefix says.
    fn prefix(&self, bytes: &[u8]) -> Result<usize, Error> {
        let [flag, a, b, c, d, ..] = *bytes else { return Err(Error::internal("the message has no prefix")) };
        match flag {
            0 => {}
            1 => return Err(Error::internal("the message is compressed, but no grpc-encoding says how")),
            _ => return Err(Error::internal(format!("the message begins with the flag {flag}: 0 and 1 are known"))),
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > self.limit {
            let message = format!("the message has {length} bytes, the limit is {} bytes", self.limit);
            return Err(Error::resource_exhausted(message));
        }
        Ok(length)
    }

    /// The message, when the body is at its end.
    fn finish(self) -> Result<Bytes, Error> {
        match self.message {
            Some(message) => Ok(message),
            None if self.length.is_none() && self.pieces.is_empty() => {
                Err(Error::internal("the request has no message"))
            }
            None => Err(Error::internal("the request ended within its message")),
        }
    }
}

/// A message with its prefix, in one buffer of the right size.
///
/// # Errors
/// When it is longer than four bytes can say.
pub(super) fn encode<M: prost::Message>(message: &M) -> Result<Bytes, Error> {
    let length = message.encoded_len();
    let Ok(announced) = u32::try_from(length) else {
        return Err(Error::resource_exhausted(format!("the answer has {length} bytes, more than gRPC can carry")));
    };
    let mut bytes = Vec::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(announced);
    message.encode(&mut bytes).map_err(|error| Error::internal("the answer can't be encoded").with_source(error))?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Code;

    const LIMIT: usize = 1000;

    fn gather<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Bytes, Error> {
        let mut message = Gathered::new(LIMIT);
        for piece in pieces {
            message.push(Bytes::copy_from_slice(piece))?;
        }
        message.finish()
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap();
        [&[0][..], &length.to_be_bytes(), message].concat()
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_comes() {
        let error = gather([&[0, 0, 0, 3, 233][..]]).unwrap_err();
        assert_eq!(error.code(), Code::ResourceExhausted);
        assert!(error.message().contains("1001") && error.message().contains("1000"), "{error}");
        assert_eq!(gather([&[0, 0xff, 0xff], &[0xff, 0xff][..]]).unwrap_err().code(), Code::ResourceExhausted);
    }

    #[test]
    fn two_messages_are_not_one() {
        let two = [framed(b"a"), framed(b"b")];
        for error in [gather([two.concat().as_slice()]), gather([two[0].as_slice(), two[1].as_slice()])] {
            assert!(error.unwrap_err().message().contains("more than one"));
        }
    }

    #[test]
    fn an_empty_message_is_one() {
        assert_eq!(gather([&[0; 5][..]]).unwrap(), Bytes::new());
        assert!(gather([]).unwrap_err().message().contains("no message"));
        assert!(gather([&[0; 4][..]]).unwrap_err().message().contains("ended within"));
    }

    fn pieces_of(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        cuts.windows(2).map(|ends| bytes[ends[0]..ends[1]].to_vec()).collect()
    }

    proptest! {
        #[test]
        fn a_message_comes_whole_in_whatever_pieces(
            message in proptest::collection::vec(any::<u8>(), 0..LIMIT),
            cuts in proptest::collection::vec(any::<usize>(), 0..8),
        ) {
            let pieces = pieces_of(&framed(&message), &cuts);
            prop_assert_eq!(gather(pieces.iter().map(Vec::as_slice)).unwrap(), message);
        }

        #[test]
        fn no_bytes_make_it_panic_or_take_more_than_the_limit(
            head in proptest::collection::vec(0u8..4, 0..6),
            rest in proptest::collection::vec(any::<u8>(), 0..2 * LIMIT),
            cuts in proptest::collection::vec(any::<usize>(), 0..8),
        ) {
            let pieces = pieces_of(&[head, rest].concat(), &cuts);
            if let Ok(message) = gather(pieces.iter().map(Vec::as_slice)) {
                prop_assert!(message.len() <= LIMIT);
            }
        }

        #[test]
        fn what_is_encoded_is_gathered(text in ".{0,200}") {
            let bytes = encode(&text).unwrap();
            let back = <String as prost::Message>::decode(gather([bytes.as_ref()]).unwrap()).unwrap();
            prop_assert_eq!(back, text);
        }
    }
}
