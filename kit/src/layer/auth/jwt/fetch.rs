//! Keys over HTTP.

use std::time::Duration;

use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::source::MOST_BYTES;
use crate::{
    Error,
    client::ClientConfig,
    transport::http::{
        Body,
        client::{Sender, connect},
    },
};

/// Longer than any good answer takes: a call may wait for it.
const LONGEST: Duration = Duration::from_secs(5);

/// Gets keys from an address. Redirects are not followed.
pub(super) struct Fetch {
    sender: Sender,
    uri: Uri,
    name: String,
}

impl Fetch {
    pub(super) fn check(text: &str) -> Result<(), String> {
        let uri: Uri = text.parse().map_err(|_| "is no address".to_owned())?;
        if uri.host().is_none_or(str::is_empty) {
            return Err("is an address without a host".to_owned());
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("has a user in it: key sets are public".to_owned());
        }
        match uri.scheme_str() {
            Some("https") if cfg!(feature = "tls") => Ok(()),
            Some("https") => Err("is https, which needs the feature tls of kit".to_owned()),
            Some("http") => Ok(()),
            _ => Err("is an address of another kind than https://...".to_owned()),
        }
    }

    /// Of an address that was checked; nothing is connected yet.
    pub(super) fn new(text: &str) -> Result<Self, Error> {
        let uri: Uri = text.parse().map_err(|_| Error::invalid_argument("auth.jwt.keys is no address"))?;
        if uri.scheme_str() == Some("http") {
            tracing::warn!(keys = %crate::mask::urls(text), "keys come without TLS: who stands between can bring its own");
        }
        let config = ClientConfig { connect_timeout: LONGEST, ..ClientConfig::default() };
        Ok(Self { sender: connect(&uri, &config)?, uri, name: crate::mask::urls(text).into_owned() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn get(&self) -> Result<Vec<u8>, Error> {
        let answered = timeout(LONGEST, self.ask()).await;
        answered.unwrap_or_else(|_| Err(Error::unavailable("there was no answer in 5 s")))
    }

    async fn ask(&self) -> Result<Vec<u8>, Error> {
        let request = Request::get(self.uri.clone())
            .header(header::ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"))
            .body(Body::default())
            .map_err(|e| Error::internal("the request can't be written").with_source(e))?;
        let response = self.sender.clone().oneshot(request).await;
        let response = response.map_err(|e| Error::unavailable("it can't be reached").with_source(e))?;
        if response.status() != StatusCode::OK {
            return Err(Error::unavailable(format!("the answer was {}", response.status())));
        }
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
        let body =
            body.map_err(|e| Error::unavailable("the answer broke off, or is larger than 1 MiB").with_source(e))?;
        Ok(body.to_bytes().to_vec())
    }
}
