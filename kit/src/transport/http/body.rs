//! The body of a request: its type, its limit, and how it becomes a message or a stream of them.

use std::{any::Any, collections::HashMap, time::Duration};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

use super::{Body, answer::Refusal, bodies::RequestBody};
use crate::{
    Error, Message, Streaming, json,
    message::{Codec, Field, KeyCodec, VisitField, paths_in_field},
    proto::google::api::HttpBody,
};

/// A body that was read whole.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    pub(super) content_type: String,
}

/// How much of a body is read, and how long it may take.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) size: usize,
    pub(super) time: Duration,
}

/// Reads a body.
pub(super) async fn read(content_type: String, body: RequestBody, limits: Limits) -> Result<Received, Refusal> {
    let Ok(collected) = timeout(limits.time, Limited::new(body, limits.size).collect()).await else {
        let message = "the request body took too long to arrive";
        return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, Error::deadline_exceeded(message)));
    };
    match collected {
        Ok(collected) => Ok(Received { bytes: collected.to_bytes(), content_type }),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(limits.size)),
        Err(error) => Err(broken(error).into()),
    }
}

fn broken(error: impl Into<crate::error::Source>) -> Error {
    Error::invalid_argument("the request body could not be read to its end").with_source(error)
}

fn too_large(limit: usize) -> Refusal {
    let message = format!("the request body is larger than the {limit} bytes that are taken");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Error::resource_exhausted(message))
}

pub(super) fn content_type(headers: &HeaderMap) -> String {
    // A page of another origin may send a body without a type and without asking first; a body that says JSON it may not.
    if headers.contains_key(header::ORIGIN) && !headers.contains_key(header::CONTENT_TYPE) {
        return UNTYPED.to_owned();
    }
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// The type of a body that a page sent without one.
const UNTYPED: &str = "application/octet-stream";

/// Whether a content type is JSON: none at all, `application/json` or any `+json`, in UTF-8.
fn is_json(content_type: &str, also: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let charset = parts.find_map(|p| p.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset")));
    let utf8 = charset.is_none_or(|(_, value)| value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"));
    utf8 && (essence.is_empty() || essence == "application/json" || essence.ends_with("+json") || essence == also)
}

fn wrong_type(content_type: &str) -> Refusal {
    let shown = json::scalar::shorten(content_type);
    let message = format!("the content type {shown:?} is not taken here: send application/json in UTF-8");
    Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Error::invalid_argument(message))
}

/// The whole body as a message: `body: "*"`.
pub(super) fn whole<M: Message>(received: Received, options: &json::Options) -> Result<M, Refusal> {
    let mut message = M::default();
    if let Some(raw) = (&mut message as &mut dyn Any).downcast_mut::<HttpBody>() {
        *raw = received.into_raw();
        return Ok(message);
    }
    if received.bytes.is_empty() {
        return Ok(message);
    }
    if !is_json(&received.content_type, "") {
        return Err(wrong_type(&received.content_type));
    }
    Ok(json::from_slice(&received.bytes, options)?)
}

impl Received {
    fn into_raw(self) -> HttpBody {
        HttpBody { content_type: self.content_type, data: self.bytes.into(), extensions: Vec::new() }
    }
}

/// The body as one field of a message; says the paths of the fields that it gave, when they are asked for.
pub(super) fn field<M: Message>(
    message: &mut M,
    name: &str,
    received: Received,
    options: &json::Options,
    want_paths: bool,
) -> Result<Vec<String>, Refusal> {
    message.visit_field(name, SetBody { received, options, want_paths })
}

struct SetBody<'a> {
    received: Received,
    options: &'a json::Options,
    want_paths: bool,
}

impl SetBody<'_> {
    fn check(&self) -> Result<(), Refusal> {
        if is_json(&self.received.content_type, "") { Ok(()) } else { Err(wrong_type(&self.received.content_type)) }
    }

    fn paths<C: Codec>(&self) -> Vec<String> {
        if !self.want_paths {
            return Vec::new();
        }
        // The body was read before: it is JSON.
        serde_json::from_slice(&self.received.bytes).map(|value| paths_in_field::<C>(&value)).unwrap_or_default()
    }

    fn value<C: Codec>(self) -> Result<(Option<C::Value>, Vec<String>), Refusal> {
        let mut value = C::unset();
        if let Some(raw) = (&mut value as &mut dyn Any).downcast_mut::<HttpBody>() {
            *raw = self.received.into_raw();
            return Ok((Some(value), Vec::new()));
        }
        if self.received.bytes.is_empty() {
            return Ok((None, Vec::new()));
        }
        self.check()?;
        let read = json::read_value::<C>(&self.received.bytes, self.options)?;
        Ok((read, self.paths::<C>()))
    }
}

impl VisitField for SetBody<'_> {
    type Output = Vec<String>;
    type Error = Refusal;

    fn singular<C: Codec>(self, _: &Field, value: &mut C::Value) -> Result<Vec<String>, Refusal> {
        let (read, paths) = self.value::<C>()?;
        *value = read.unwrap_or_else(C::unset);
        Ok(paths)
    }
    fn optional<C: Codec>(self, _: &Field, value: &mut Option<C::Value>) -> Result<Vec<String>, Refusal> {
        let (read, paths) = self.value::<C>()?;
        *value = read;
        Ok(paths)
    }
    fn member<C: Codec, O>(
        self,
        _: &Field,
        slot: &mut Option<O>,
        wrap: fn(C::Value) -> O,
        _: fn(&mut O) -> Option<&mut C::Value>,
    ) -> Result<Vec<String>, Refusal> {
        let (read, paths) = self.value::<C>()?;
        *slot = read.map(wrap);
        Ok(paths)
    }
    fn repeated<C: Codec>(self, _: &Field, values: &mut Vec<C::Value>) -> Result<Vec<String>, Refusal> {
        if !self.received.bytes.is_empty() {
            self.check()?;
            *values = json::read_list::<C>(&self.received.bytes, self.options)?;
        }
        Ok(Vec::new())
    }
    fn map<K: KeyCodec, C: Codec>(
        self,
        _: &Field,
        entries: &mut HashMap<K::Value, C::Value>,
    ) -> Result<Vec<String>, Refusal> {
        if !self.received.bytes.is_empty() {
            self.check()?;
            *entries = json::read_map::<K, C>(&self.received.bytes, self.options)?;
        }
        Ok(Vec::new())
    }
    fn unknown(self, name: &str) -> Result<Vec<String>, Refusal> {
        Err(Error::internal("the service has a broken HTTP rule").with_log(format!("no body field {name}")).into())
    }
}

/// The body as a stream of messages: NDJSON, or raw chunks for `google.api.HttpBody`.
pub(super) fn stream<M: Message>(
    content_type: String,
    body: Body,
    limit: usize,
    options: json::Options,
) -> Result<Streaming<M>, Refusal> {
    let raw = (&M::default() as &dyn Any).is::<HttpBody>();
    if !raw && !is_json(&content_type, "application/x-ndjson") {
        return Err(wrong_type(&content_type));
    }
    let lines = Lines { body: body.into_data_stream(), buffer: BytesMut::new(), searched: 0, limit, ended: false };
    if raw {
        let first = Some(content_type);
        return Ok(Streaming::new(futures_util::stream::unfold((lines, first), |(mut lines, mut first)| async move {
            let data = match lines.body.next().await? {
                Ok(data) => data,
                Err(error) => return Some((Err(broken(error)), (lines, first))),
            };
            let mut message = M::default();
            if let Some(raw) = (&mut message as &mut dyn Any).downcast_mut::<HttpBody>() {
                raw.content_type = first.take().unwrap_or_default();
                raw.data = data.into();
            }
            Some((Ok(message), (lines, first)))
        })));
    }
    Ok(Streaming::new(futures_util::stream::unfold((lines, options), |(mut lines, options)| async move {
        let line = lines.next().await?;
        Some((line.and_then(|line| json::from_slice(&line, &options)), (lines, options)))
    })))
}

/// Splits a body at line ends; blank lines are skipped.
struct Lines {
    body: axum::body::BodyDataStream,
    buffer: BytesMut,
    // How much of the buffer has no line end: it is not searched again.
    searched: usize,
    limit: usize,
    ended: bool,
}

impl Lines {
    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            let line = match unsearched.iter().position(|b| *b == b'\n') {
                Some(at) => {
                    let line = self.buffer.split_to(self.searched + at);
                    self.buffer.advance(1);
                    line
                }
                None if self.ended && self.buffer.is_empty() => return None,
                None if self.ended => self.buffer.split(),
                None => {
                    self.searched = self.buffer.len();
                    if self.searched > self.limit {
                        let limit = self.limit;
                        return Some(Err(Error::resource_exhausted(format!("a line is longer than {limit} bytes"))));
                    }
                    match self.body.next().await {
                        Some(Ok(data)) => self.buffer.extend_from_slice(&data),
                        Some(Err(error)) => return Some(Err(broken(error))),
                        None => self.ended = true,
                    }
                    continue;
                }
            };
            self.searched = 0;
            if !line.trim_ascii().is_empty() {
                return Some(Ok(line.freeze()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_by_any_of_its_names() {
        for yes in ["", "application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
            assert!(is_json(yes, ""), "{yes}");
        }
        for no in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
            assert!(!is_json(no, ""), "{no}");
        }
    }

    #[tokio::test]
    async fn lines_are_found_wherever_the_chunks_end() {
        let chunks = ["{\"a\"", ":1}\n\n{\"b\":", "2}\r\n", "3"];
        let body = Body::from_stream(futures_util::stream::iter(chunks.map(Ok::<_, std::io::Error>)));
        let mut lines =
            Lines { body: body.into_data_stream(), buffer: BytesMut::new(), searched: 0, limit: 100, ended: false };
        let mut found = Vec::new();
        while let Some(line) = lines.next().await {
            found.push(String::from_utf8_lossy(&line.unwrap()).trim().to_owned());
        }
        assert_eq!(found, ["{\"a\":1}", "{\"b\":2}", "3"]);
    }
}
