//! One request to the collector.

use std::{future::Future, time::Duration};

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use percent_encoding::percent_decode_str;
use tower::ServiceExt as _;

use super::{Encode, ReporterConfig, config::shown};
use crate::{
    Error,
    client::ClientConfig,
    transport::http::{
        Body,
        client::{Sender, connect},
    },
};

/// Sends bodies to a collector.
pub(super) trait Post: Send + Sync + 'static {
    /// Sends one, and gives the collector's answer back.
    fn post(&self, body: Bytes) -> impl Future<Output = Result<Bytes, Failed>> + Send;

    /// Where to, for the log.
    fn target(&self) -> &str;
}

/// Why a body was not taken.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) why: String,
    /// Whether another attempt makes sense.
    pub(super) again: bool,
    /// When the collector wants it.
    pub(super) after: Option<Duration>,
}

/// By HTTP.
pub(super) struct HttpPost {
    sender: Sender,
    uri: Uri,
    headers: HeaderMap,
    target: String,
    is_retryable: fn(StatusCode) -> bool,
}

/// The most that is read of an answer: collectors say a word or nothing.
const LONGEST_ANSWER: usize = 64 * 1024;
/// The most of an answer that is logged.
const LONGEST_SHOWN: usize = 200;

impl HttpPost {
    /// A way to the collector of checked settings; nothing is connected yet.
    pub(super) fn new<E: Encode>(config: &ReporterConfig) -> Result<Self, Error> {
        let target = shown(config.address());
        let wrong = |what: &str| Error::invalid_argument(format!("the address of the collector, {target}, {what}"));
        let given: Uri = config.address().parse().map_err(|_| wrong("can't be read"))?;
        let authority = given.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let base = given.path().trim_end_matches('/');
        let base = base.strip_suffix(E::PATH).unwrap_or(base);
        let scheme = given.scheme_str().unwrap_or("http");
        let uri: Uri = format!("{scheme}://{host}{base}{}", E::PATH).parse().map_err(|_| wrong("can't be called"))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(E::CONTENT_TYPE));
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        // A mesh would otherwise trace the traces.
        headers.insert("b3", HeaderValue::from_static("0"));
        if let Some(user) = user {
            let plain: Vec<u8> = percent_decode_str(user).collect();
            let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain));
            let mut basic = HeaderValue::try_from(basic).map_err(|_| wrong("has a user that can't be sent"))?;
            basic.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, basic);
        }
        let client = ClientConfig {
            connect_timeout: config.timeout,
            #[cfg(feature = "tls")]
            tls: tls(config)?,
            ..ClientConfig::default()
        };
        Ok(Self { sender: connect(&uri, &client)?, uri, headers, target, is_retryable: E::is_retryable })
    }
}

#[cfg(feature = "tls")]
fn tls(config: &ReporterConfig) -> Result<Option<crate::client::ClientTls>, Error> {
    let Some(file) = &config.ca else { return Ok(None) };
    let authorities = std::fs::read(file).map_err(|e| {
        Error::invalid_argument(format!("the file of authorities {} can't be read: {e}", file.display()))
    })?;
    Ok(Some(crate::client::ClientTls::new(authorities)))
}

impl Post for HttpPost {
    async fn post(&self, body: Bytes) -> Result<Bytes, Failed> {
        let broken = |why: String| Failed { why, again: true, after: None };
        let mut request = Request::post(self.uri.clone())
            .body(Body::from(body))
            .map_err(|e| Failed { again: false, ..broken(e.to_string()) })?;
        *request.headers_mut() = self.headers.clone();
        let response = self.sender.clone().oneshot(request).await.map_err(|e| broken(chain(&*e)))?;
        let (parts, body) = response.into_parts();
        let read = Limited::new(body, LONGEST_ANSWER).collect().await;
        if parts.status.is_success() {
            // It has taken the spans, however its answer ends.
            return Ok(read.map(http_body_util::Collected::to_bytes).unwrap_or_default());
        }
        let said = read.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let said: String = String::from_utf8_lossy(&said).chars().take(LONGEST_SHOWN).collect();
        let after = parts.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let status = parts.status;
        let again = (self.is_retryable)(status);
        Err(Failed { why: format!("HTTP {status} {}", said.trim()), again, after: after.map(Duration::from_secs) })
    }

    fn target(&self) -> &str {
        &self.target
    }
}

/// An error with its causes: the first alone says "connect", the last why.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
#[cfg(all(feature = "zipkin", feature = "otlp"))]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::telemetry::{otlp::Otlp, reporter::Destination, zipkin::Zipkin};

    /// Whether a collector that answers with this status is asked again.
    async fn again<E: Encode>(status: u16) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = ReporterConfig::new(Destination::None, format!("http://{}", listener.local_addr().unwrap()));
        let post = HttpPost::new::<E>(&config).unwrap();
        let collector = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        let (answer, _stream) = tokio::join!(post.post(Bytes::new()), collector);
        answer.unwrap_err().again
    }

    #[tokio::test]
    async fn each_format_says_what_is_sent_again() {
        for (status, zipkin, otlp) in [
            (400, false, false),
            (408, true, false),
            (429, true, true),
            (500, true, false),
            (501, true, false),
            (502, true, true),
            (503, true, true),
            (504, true, true),
        ] {
            assert_eq!((again::<Zipkin>(status).await, again::<Otlp>(status).await), (zipkin, otlp), "{status}");
        }
    }
}
