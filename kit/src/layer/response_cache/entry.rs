//! An answer as it is kept.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::control;
use crate::{
    Code, Error, Message, Metadata, Payload, Response,
    layer::same::shared_metadata,
    message::{Visit, VisitField},
};

/// An answer, or that there is none.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Entry {
    /// When the call began that made it, in milliseconds since 1970: what changed after that is not in it.
    #[prost(uint64, tag = "1")]
    pub(super) made: u64,
    /// How long it is fresh, in milliseconds.
    #[prost(uint64, tag = "2")]
    pub(super) fresh: u64,
    #[prost(bytes = "bytes", tag = "3")]
    message: Bytes,
    #[prost(message, repeated, tag = "4")]
    metadata: Vec<Pair>,
    /// That there is nothing, in the place of the message.
    #[prost(message, optional, tag = "5")]
    missing: Option<Missing>,
    /// Whether it is shared with those who wait for it and not kept.
    #[prost(bool, tag = "6")]
    pub(super) passing: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Pair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Missing {
    #[prost(string, tag = "1")]
    message: String,
    #[prost(string, tag = "2")]
    reason: String,
    #[prost(string, tag = "3")]
    domain: String,
}

/// Nobody sees its fields: it is a message to be kept by `cache`.
impl Message for Entry {
    const NAME: &'static str = "kit.response_cache.Entry";

    fn visit<V: Visit>(&self, _: &mut V) -> Result<(), V::Error> {
        Ok(())
    }

    fn visit_field<V: VisitField>(&mut self, name: &str, visitor: V) -> Result<V::Output, V::Error> {
        visitor.unknown(name)
    }
}

impl Entry {
    /// What is kept of an answer; `None` of a stream.
    pub(super) fn of<Res: Payload>(answer: &Response<Res>, made: u64, fresh: Duration) -> Option<Self> {
        let metadata = answer.metadata();
        let passing = !control::may_keep(metadata);
        Some(Self {
            made,
            fresh: millis(fresh),
            message: answer.message().to_bytes()?,
            metadata: pairs(&shared_metadata(metadata)),
            missing: None,
            passing,
        })
    }

    /// What is kept of `NOT_FOUND`.
    pub(super) fn of_missing(error: &Error, made: u64, fresh: Duration) -> Self {
        let (reason, domain) =
            error.reason().map(|reason| (reason.reason.clone(), reason.domain.clone())).unwrap_or_default();
        Self {
            made,
            fresh: millis(fresh),
            message: Bytes::new(),
            metadata: pairs(&shared_metadata(error.metadata())),
            missing: Some(Missing { message: error.message().to_owned(), reason, domain }),
            passing: !control::may_keep(error.metadata()),
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        self.missing.is_some()
    }

    /// How old it is. One from the future, of a process whose clock is ahead, is new.
    pub(super) fn age(&self, now: u64) -> Duration {
        Duration::from_millis(now.saturating_sub(self.made))
    }

    pub(super) fn is_fresh(&self, now: u64) -> bool {
        self.age(now) < Duration::from_millis(self.fresh)
    }

    /// The answer, with its age; `None` when the bytes are none of this type.
    pub(super) fn answer<Res: Payload>(&self, now: u64) -> Option<Result<Response<Res>, Error>> {
        let mut metadata = Metadata::new();
        for Pair { name, value } in &self.metadata {
            let pair = (HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?);
            metadata.add(pair.0, pair.1);
        }
        metadata.set(http::header::AGE, HeaderValue::from(self.age(now).as_secs()));
        let Some(missing) = &self.missing else {
            let message = Res::from_bytes(self.message.clone())?;
            return Some(Ok(Response::new(message).with_metadata(metadata)));
        };
        let mut error = Error::new(Code::NotFound, missing.message.clone()).with_metadata(metadata);
        if !missing.reason.is_empty() {
            error = error.with_reason(&missing.reason, &missing.domain);
        }
        Some(Err(error))
    }
}

fn pairs(metadata: &Metadata) -> Vec<Pair> {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| Pair {
        name: name.as_str().to_owned(),
        value: Bytes::copy_from_slice(value.as_bytes()),
    };
    metadata.headers().iter().map(pair).collect()
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_without_what_belonged_to_its_call() {
        let mut metadata = Metadata::new();
        for (name, value) in [("x-books", "7"), ("x-books", "8"), ("set-cookie", "session=1"), ("age", "99")] {
            metadata.append(name, value).unwrap();
        }
        metadata.insert_bin("x-raw-bin", &[0, 255]).unwrap();
        let answer = Response::new("text".to_owned()).with_metadata(metadata);
        let entry = Entry::of(&answer, 10_000, Duration::from_secs(2)).unwrap();
        let back = entry.answer::<String>(11_999).unwrap().unwrap();
        assert_eq!(back.message(), "text");
        assert_eq!(back.metadata().get_all("x-books").collect::<Vec<_>>(), ["7", "8"]);
        assert_eq!(back.metadata().get_bin("x-raw-bin"), Some(vec![0, 255]));
        assert_eq!((back.metadata().get("age"), back.metadata().len()), (Some("1"), 4));
        assert!(entry.is_fresh(11_999) && !entry.is_fresh(12_000));
        assert!(entry.is_fresh(5_000), "of a clock that is ahead");
        let broken = Entry { message: Bytes::from_static(&[0xff]), ..entry };
        assert!(broken.answer::<String>(0).is_none());
    }

    #[test]
    fn that_there_is_nothing_comes_back_too() {
        let error = Error::not_found("no book 7").with_reason("NO_BOOK", "shop").with_log("shard 3");
        let entry = Entry::of_missing(&error, 0, Duration::from_secs(1));
        let back = entry.answer::<String>(0).unwrap().unwrap_err();
        assert_eq!((back.code(), back.message()), (Code::NotFound, "no book 7"));
        assert_eq!(back.reason(), error.reason());
        assert!(!back.to_log().to_string().contains("shard"), "what is kept is what callers see");
    }
}
