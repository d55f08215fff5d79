//! One call on a connection.

use crate::load::{
    hpack::Fields,
    protocol::{Kind, Nanos, Outcome},
};

/// Of each gRPC message: whether it is compressed, and its length.
const PREFIX: usize = 5;

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) start: Nanos,
    /// When something came of it last.
    pub(super) heard: Nanos,
    /// How much the server takes of this stream.
    pub(super) window: i64,
    /// How much of the request is sent.
    pub(super) sent: usize,
    /// How much has come since the server was told that there is room again.
    pub(super) received: u32,
    fields: Fields,
    messages: u64,
    /// Of the message that is coming: its prefix as far as it has come, and what is missing.
    prefix: [u8; PREFIX],
    prefix_len: usize,
    missing: usize,
}

impl Stream {
    pub(super) fn new(id: u32, start: Nanos, window: i64, sent: usize) -> Self {
        Self {
            id,
            start,
            heard: start,
            window,
            sent,
            received: 0,
            fields: Fields::default(),
            messages: 0,
            prefix: [0; PREFIX],
            prefix_len: 0,
            missing: 0,
        }
    }

    /// Takes headers or trailers.
    pub(super) fn fields(&mut self, fields: Fields) {
        self.fields.status = fields.status.or(self.fields.status);
        self.fields.grpc_status = fields.grpc_status.or(self.fields.grpc_status);
        self.fields.grpc_message = fields.grpc_message.or(self.fields.grpc_message.take());
    }

    /// Takes a part of the body, and says how many messages ended in it.
    pub(super) fn data(&mut self, mut data: &[u8]) -> u64 {
        let before = self.messages;
        loop {
            if self.missing > 0 {
                let taken = self.missing.min(data.len());
                self.missing -= taken;
                data = data.get(taken..).unwrap_or_default();
                if self.missing > 0 {
                    break;
                }
                self.messages += 1;
            }
            let Some((&byte, rest)) = data.split_first() else { break };
            data = rest;
            if let Some(place) = self.prefix.get_mut(self.prefix_len) {
                *place = byte;
            }
            self.prefix_len += 1;
            if self.prefix_len == PREFIX {
                self.prefix_len = 0;
                let [_, l0, l1, l2, l3] = self.prefix;
                self.missing = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
                self.messages += u64::from(self.missing == 0);
            }
        }
        self.messages - before
    }

    /// What it was, now that its end has come.
    pub(super) fn outcome(self, streaming: bool) -> Outcome {
        let Fields { status, grpc_status, grpc_message } = self.fields;
        match (grpc_status, status) {
            (Some(0), _) if self.prefix_len > 0 || self.missing > 0 => {
                Outcome::error(Kind::Protocol, "an answer whose message is cut off")
            }
            (Some(0), _) if !streaming && self.messages != 1 => {
                let many = if self.messages == 0 { "no message" } else { "more than one message (--server-stream?)" };
                Outcome::error(Kind::Protocol, format!("OK with {many}"))
            }
            (Some(0), _) => Outcome::Ok,
            (Some(code), _) => Outcome::Error(Kind::Grpc(code), grpc_message),
            (None, Some(200)) => Outcome::error(Kind::Protocol, "an answer without grpc-status"),
            (None, Some(status)) => Outcome::Error(Kind::Http(status), None),
            (None, None) => Outcome::error(Kind::Protocol, "an answer without headers"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Stream;

    #[test]
    fn messages_are_counted_across_frames() {
        let body = [&[0, 0, 0, 0, 3, 1, 2, 3][..], &[0, 0, 0, 0, 0], &[0, 0, 0, 0, 1, 9]].concat();
        for piece in 1..=body.len() {
            let mut stream = Stream::new(1, 0, 0, 0);
            let counted: u64 = body.chunks(piece).map(|piece| stream.data(piece)).sum();
            assert_eq!((counted, stream.prefix_len, stream.missing), (3, 0, 0));
        }
    }

    proptest! {
        #[test]
        fn any_body_can_be_read(body in proptest::collection::vec(any::<u8>(), 0..100), piece in 1usize..20) {
            let mut stream = Stream::new(1, 0, 0, 0);
            for piece in body.chunks(piece) {
                stream.data(piece);
            }
        }
    }
}
