//! Answers of the debug port, and in which form they are wanted.

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, Uri, header};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::Refusal;
use crate::Error;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Html,
    Json,
    Text,
}

impl Form {
    /// What the caller asks for by `?format=` or by `Accept`; `otherwise` when it takes anything.
    pub(super) fn wanted(headers: &HeaderMap, query: &Query, otherwise: Self) -> Result<Self, Error> {
        match query.get("format") {
            Some("html") => return Ok(Self::Html),
            Some("json") => return Ok(Self::Json),
            Some(other) => return Err(Error::invalid_argument(format!("format is {other:?}: use html or json"))),
            None => {}
        }
        Ok(Self::accepted(headers).unwrap_or(otherwise))
    }

    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let accepts = |media: &str| {
            let mut all = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
            all.any(|value| value.to_ascii_lowercase().contains(media))
        };
        // A browser takes everything, and pages first.
        if accepts("text/html") {
            Some(Self::Html)
        } else if accepts("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }
}

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the parameters. One that the page does not know is mostly a misspelt one, and of one that is there twice nobody
    /// knows which is meant: a default in its place would be the wrong answer.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the parameter.
    pub(super) fn read(uri: &Uri, known: &[&str]) -> Result<Self, Error> {
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let mut read: Vec<(String, String)> = Vec::new();
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name), decode(value));
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Error::invalid_argument(format!("unknown parameter {name:?}; there are: {known}")));
            }
            if read.iter().any(|(before, _)| *before == name) {
                return Err(Error::invalid_argument(format!("the parameter {name} is there twice")));
            }
            read.push((name, value));
        }
        Ok(Self(read))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

pub(super) fn with_type(content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(super) fn html(page: String) -> Response {
    with_type("text/html; charset=utf-8", page)
}

pub(super) fn text(text: String) -> Response {
    with_type("text/plain; charset=utf-8", text)
}

/// JSON for people too: indented.
pub(super) fn json(value: &Value) -> Response {
    with_type("application/json", format!("{value:#}\n"))
}

/// Either answer.
pub(super) fn either(headers: &HeaderMap, answer: Result<Response, impl Into<Refusal>>) -> Response {
    answer.unwrap_or_else(|refusal| refusal.into().respond(headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &str, uri: &'static str) -> Result<Form, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        Form::wanted(&headers, &Query::read(&Uri::from_static(uri), &["format"])?, Form::Text)
    }

    #[test]
    fn people_get_pages_and_programs_what_they_ask_for() {
        assert_eq!(form("text/html,application/xhtml+xml,*/*;q=0.8", "/").unwrap(), Form::Html);
        assert_eq!(form("application/json", "/").unwrap(), Form::Json);
        assert_eq!(form("*/*", "/").unwrap(), Form::Text);
        assert_eq!(form("text/html", "/?format=json").unwrap(), Form::Json);
        assert_eq!(form("*/*", "/?format=html").unwrap(), Form::Html);
        assert!(form("*/*", "/?format=xml").unwrap_err().message().contains("xml"));
        assert!(form("*/*", "/?formt=json").unwrap_err().message().contains("formt"));
    }

    #[test]
    fn parameters_are_decoded() {
        let query = Query::read(&Uri::from_static("/?for=1h+30m&a=%C3%A9%ff&&b"), &["for", "a", "b"]).unwrap();
        assert_eq!((query.get("for"), query.get("a"), query.get("b")), (Some("1h 30m"), Some("é\u{fffd}"), Some("")));
    }

    #[test]
    fn a_parameter_that_is_there_twice_is_refused() {
        let error = Query::read(&Uri::from_static("/?a=1&b=2&%61=3"), &["a", "b"]).unwrap_err();
        assert_eq!(error.message(), "the parameter a is there twice");
        let error = Query::read(&Uri::from_static("/?c"), &["a", "b"]).unwrap_err();
        assert_eq!(error.message(), "unknown parameter \"c\"; there are: a, b");
    }
}
