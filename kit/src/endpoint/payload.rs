use std::any::Any;

use bytes::Bytes;

use super::{Response, Streaming};
use crate::{Error, Message, message::rules};

/// Nobody else implements [`Payload`], so that it can grow.
mod sealed {
    use crate::{Message, Streaming};

    pub trait Sealed {}

    impl<M: Message> Sealed for M {}
    impl<M: Message> Sealed for Streaming<M> {}
}

/// What travels through an endpoint, a message or [`Streaming`], as generic layers see it. Not for you to implement.
pub trait Payload: sealed::Sealed + Send + 'static {
    /// A copy, for layers that send again what they keep. `None` for streams: those layers pass them through once.
    fn try_clone(&self) -> Option<Self>
    where
        Self: Sized;

    /// The length in bytes on the gRPC wire; 0 for streams, whose length is not known before they end.
    fn encoded_len(&self) -> usize;

    /// The bytes of a message on the gRPC wire, `None` for streams: for layers that keep answers.
    fn to_bytes(&self) -> Option<Bytes>;

    /// The message of such bytes; `None` when they are none of it, and for streams.
    fn from_bytes(bytes: Bytes) -> Option<Self>
    where
        Self: Sized;

    /// Bytes that are the same for messages that are equal, in whatever order their maps are, and for no others; `None` for
    /// streams. Not for the wire.
    fn to_key(&self) -> Option<Vec<u8>>;

    /// The canonical JSON of a message whose [`encoded_len`](Self::encoded_len) is at most `limit`, a text that says why not for
    /// any other, `None` for streams: what error reports show.
    fn to_json(&self, limit: usize) -> Option<serde_json::Value>;

    /// Whether it is a stream, which goes on after the call has answered.
    const IS_STREAM: bool;

    /// Whether there are [rules](crate::message::rules) for the message, or for those of the stream.
    const IS_RULED: bool;

    /// What is wrong with a message by its rules, with at most `max_violations` of it. Nothing of a stream, each of whose messages
    /// is to be checked when it comes.
    fn broken_rules(&self, max_violations: usize) -> Option<Error>;

    /// Keeps `guard` until the payload is over: dropped at once with a message, at the end of a stream.
    #[must_use]
    fn hold(self, guard: impl Any + Send) -> Self
    where
        Self: Sized;

    /// Passes a stream through `map`; a message stays as it is.
    #[must_use]
    fn map_stream(self, map: impl MapStream) -> Self
    where
        Self: Sized;
}

/// What a generic layer does to a stream: it watches or ends it, whatever the messages are.
pub trait MapStream {
    /// The stream in the place of `stream`.
    fn map<M: Message>(self, stream: Streaming<M>) -> Streaming<M>;
}

impl<M: Message> Payload for M {
    const IS_STREAM: bool = false;
    const IS_RULED: bool = <M as Message>::HAS_RULES;
    fn broken_rules(&self, max_violations: usize) -> Option<Error> {
        rules::validate_up_to(self, max_violations).err()
    }
    fn try_clone(&self) -> Option<Self> {
        Some(self.clone())
    }
    fn encoded_len(&self) -> usize {
        prost::Message::encoded_len(self)
    }
    fn to_bytes(&self) -> Option<Bytes> {
        Some(self.encode_to_vec().into())
    }
    fn from_bytes(bytes: Bytes) -> Option<Self> {
        M::decode(bytes).ok()
    }
    fn to_key(&self) -> Option<Vec<u8>> {
        Some(crate::message::stable::to_key(self))
    }
    fn to_json(&self, limit: usize) -> Option<serde_json::Value> {
        let length = prost::Message::encoded_len(self);
        if length > limit {
            return Some(format!("not shown: {length} bytes are more than {limit}").into());
        }
        let json = crate::json::to_value(self, &crate::json::Options::default());
        Some(json.unwrap_or_else(|error| format!("not shown: {}", error.to_log()).into()))
    }
    fn hold(self, guard: impl Any + Send) -> Self {
        drop(guard);
        self
    }
    fn map_stream(self, _: impl MapStream) -> Self {
        self
    }
}

impl<M: Message> Payload for Streaming<M> {
    const IS_STREAM: bool = true;
    const IS_RULED: bool = M::HAS_RULES;
    fn broken_rules(&self, _: usize) -> Option<Error> {
        None
    }
    fn try_clone(&self) -> Option<Self> {
        None
    }
    fn encoded_len(&self) -> usize {
        0
    }
    fn to_bytes(&self) -> Option<Bytes> {
        None
    }
    fn from_bytes(_: Bytes) -> Option<Self> {
        None
    }
    fn to_key(&self) -> Option<Vec<u8>> {
        None
    }
    fn to_json(&self, _: usize) -> Option<serde_json::Value> {
        None
    }
    fn hold(self, guard: impl Any + Send) -> Self {
        Streaming::hold(self, guard)
    }
    fn map_stream(self, map: impl MapStream) -> Self {
        map.map(self)
    }
}

impl<T: Payload> Response<T> {
    /// Keeps `guard` until the answer is over: see [`Payload::hold`].
    #[must_use]
    pub fn hold(self, guard: impl Any + Send) -> Self {
        self.map(|message| message.hold(guard))
    }
}
