//! The one message of a request: five bytes that say how it comes, then its bytes (gRPC over HTTP/2, "Length-Prefixed-Message").

use std::{collections::VecDeque, pin::Pin};

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use http_body::Body as _;

use super::Incoming;
use crate::Error;

/// A flag byte and four bytes of length.
pub(super) const PREFIX: usize = 5;

/// What is as long as this stays where it was read into. A small piece would hold a buffer of the connection that is many times as
/// large, and is copied to others.
const LARGE: usize = 4 * 1024;

/// A message that is longer than this is put together: the buffers of its pieces, all new, would cost more than the copy.
const SCATTERED: usize = 256 * 1024;

/// How much room is made for such a message before its bytes have come: what a client announces costs it nothing. Memory that is
/// not written to is only an address; longer messages grow as they come.
const ROOM: usize = 1024 * 1024;

/// The bytes of the one message of a body, which may have at most `limit`.
///
/// Cancel-safe in that the body is all that it takes from; dropping it drops what was read.
pub(super) async fn read(mut body: Incoming, limit: usize) -> Result<Pieces, Error> {
    let mut message = Gathered::new(limit);
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame?.into_data() else { break };
        message.push(data)?;
    }
    message.finish()
}

/// The bytes of a message, as they came: mostly one piece.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    first: Bytes,
    /// None of them empty.
    rest: VecDeque<Bytes>,
    /// Bytes in `rest`.
    behind: usize,
}

impl Pieces {
    fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
        } else if self.first.is_empty() {
            self.first = piece;
        } else {
            self.behind += piece.len();
            self.rest.push_back(piece);
        }
    }
}

impl Buf for Pieces {
    #[inline]
    fn remaining(&self) -> usize {
        self.first.len() + self.behind
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        &self.first
    }

    #[inline]
    fn advance(&mut self, mut count: usize) {
        while count >= self.first.len()
            && let Some(next) = self.rest.pop_front()
        {
            count -= self.first.len();
            self.behind -= next.len();
            self.first = next;
        }
        self.first.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        if length < self.first.len() || self.rest.is_empty() {
            return self.first.copy_to_bytes(length);
        }
        let mut bytes = BytesMut::with_capacity(length);
        bytes.put(self.take(length));
        bytes.freeze()
    }
}

/// A message whose bytes are coming.
struct Gathered {
    limit: usize,
    /// The length that the prefix says, once it is known.
    length: Option<usize>,
    pieces: Pieces,
    /// What was copied, behind all of them; before the length is known, the beginning of the prefix.
    copied: BytesMut,
}

impl Gathered {
    fn new(limit: usize) -> Self {
        Self { limit, length: None, pieces: Pieces::default(), copied: BytesMut::new() }
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// When they can't be the one message that the limit lets in.
    fn push(&mut self, mut data: Bytes) -> Result<(), Error> {
        let length = match self.length {
            Some(length) => length,
            None => {
                if !self.copied.is_empty() || data.len() < PREFIX {
                    // A prefix in pieces: nobody sends that but to try us.
                    self.copied.put(data);
                    if self.copied.len() < PREFIX {
                        return Ok(());
                    }
                    data = self.copied.split().freeze();
                }
                let length = self.prefix(&data)?;
                data.advance(PREFIX);
                *self.length.insert(length)
            }
        };
        let came = self.came();
        if data.len() > length - came {
            return Err(Error::internal("more than one message was sent to a method that takes one"));
        }
        if data.len() == length || (data.len() >= LARGE && length <= SCATTERED) {
            self.keep_copied();
            self.pieces.push(data);
            return Ok(());
        }
        if length > SCATTERED && self.copied.is_empty() {
            self.copied.reserve(length.min(ROOM));
        }
        self.copied.put(data);
        Ok(())
    }

    fn keep_copied(&mut self) {
        // To split an empty buffer allocates, too.
        if !self.copied.is_empty() {
            self.pieces.push(self.copied.split().freeze());
        }
    }

    /// How much of the message is there.
    fn came(&self) -> usize {
        self.pieces.remaining() + self.copied.len()
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
    fn finish(mut self) -> Result<Pieces, Error> {
        match self.length {
            Some(length) if self.came() == length => {
                self.keep_copied();
                Ok(self.pieces)
            }
            None if self.copied.is_empty() => Err(Error::internal("the request has no message")),
            _ => Err(Error::internal("the request ended within its message")),
        }
    }
}

/// A message with its prefix, in one buffer of the right size.
///
/// # Errors
/// When it is longer than four bytes can say.
pub(super) fn encode<M: prost::Message>(message: &M) -> Result<Bytes, Error> {
    let mut bytes = Vec::with_capacity(PREFIX + message.encoded_len());
    append(message, &mut bytes)?;
    Ok(bytes.into())
}

/// A message with its prefix, behind what is in a buffer.
///
/// # Errors
/// When it is longer than four bytes can say. What is in the buffer then is of no use.
pub(super) fn append<M: prost::Message>(message: &M, bytes: &mut Vec<u8>) -> Result<(), Error> {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; PREFIX]);
    message.encode(bytes).map_err(|error| Error::internal("the answer can't be encoded").with_source(error))?;
    let length = bytes.len() - start - PREFIX;
    let Ok(announced) = u32::try_from(length) else {
        return Err(Error::resource_exhausted(format!("the answer has {length} bytes, more than gRPC can carry")));
    };
    if let Some(place) = bytes.get_mut(start + 1..start + PREFIX) {
        place.copy_from_slice(&announced.to_be_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Code;

    const LIMIT: usize = 1000;

    fn gather_within<'a>(limit: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Pieces, Error> {
        let mut message = Gathered::new(limit);
        for piece in pieces {
            message.push(Bytes::copy_from_slice(piece))?;
        }
        message.finish()
    }

    fn gather<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Bytes, Error> {
        gather_within(LIMIT, pieces).map(|mut pieces| pieces.copy_to_bytes(pieces.remaining()))
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

    #[test]
    fn large_pieces_stay_where_they_are_and_small_ones_are_put_together() {
        let message: Vec<u8> = (0..4 * LARGE).map(|at| at as u8).collect();
        let framed = framed(&message);
        let cuts =
            [PREFIX, PREFIX + LARGE, PREFIX + LARGE + 1, PREFIX + LARGE + 2, PREFIX + 2 * LARGE + 2, framed.len()];
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts {
            pieces.push(&framed[start..cut]);
            start = cut;
        }
        let gathered = gather_within(message.len(), pieces).unwrap();
        let lengths: Vec<_> = std::iter::once(&gathered.first).chain(&gathered.rest).map(Bytes::len).collect();
        assert_eq!(lengths, [LARGE, 2, LARGE, 2 * LARGE - 2]);
        assert_eq!(gathered.remaining(), message.len());
    }

    #[test]
    fn what_is_very_large_is_put_together() {
        let message: Vec<u8> = (0..SCATTERED + 10).map(|at| (at % 251) as u8).collect();
        let framed = framed(&message);
        let mut gathered = gather_within(message.len(), framed.chunks(16 * 1024)).unwrap();
        assert!(gathered.rest.is_empty());
        assert!(gathered.copy_to_bytes(message.len()) == message);
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
        fn a_large_message_is_decoded_from_its_pieces(
            texts in proptest::collection::vec("[a-z]{0,20000}", 0..4),
            cuts in proptest::collection::vec(any::<usize>(), 0..8),
        ) {
            let list = prost_types::FieldMask { paths: texts };
            let bytes = encode(&list).unwrap();
            let pieces = gather_within(bytes.len(), pieces_of(&bytes, &cuts).iter().map(Vec::as_slice)).unwrap();
            prop_assert_eq!(<prost_types::FieldMask as prost::Message>::decode(pieces).unwrap(), list);
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
