//! Posts envelopes.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use sentry::{Envelope, Transport, types::Dsn};
use tokio::time::{Duration, Instant};

use super::SentryConfig;
use crate::Error;

/// What the protocol says to wait when the answer to too many events does not say how long.
const PAUSE: Duration = Duration::from_secs(60);

/// A pause that is asked for is not longer than this: a mistake there should not silence a service for days.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

pub(super) struct Post {
    uri: Uri,
    auth: HeaderValue,
    timeout: Duration,
    #[cfg(feature = "tls")]
    tls: Option<tokio_rustls::rustls::ClientConfig>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Sentry wants no events until then.
    paused: Option<Instant>,
    /// Reports that were lost since it is so.
    lost: u64,
}

impl Post {
    pub(super) fn new(dsn: &Dsn, config: &SentryConfig) -> Result<Self, Error> {
        let unusable = || Error::invalid_argument("report.sentry.dsn can't be used as an address");
        let mut auth = HeaderValue::from_str(&dsn.to_auth(Some("kit")).to_string()).map_err(|_| unusable())?;
        auth.set_sensitive(true);
        Ok(Self {
            uri: dsn.envelope_api_url().as_str().parse().map_err(|_| unusable())?,
            auth,
            timeout: config.timeout,
            #[cfg(feature = "tls")]
            tls: match dsn.scheme() {
                sentry::types::Scheme::Https => Some(authorities(config)?),
                sentry::types::Scheme::Http => None,
            },
            state: Mutex::default(),
        })
    }

    /// Posts and waits for the answer. A runtime for one request: there are a few in a minute, and nothing of it is left
    /// when the reporter is dropped, wherever that is.
    fn post(&self, body: Vec<u8>) -> Result<Response<Incoming>, String> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.uri.clone())
            .header(header::CONTENT_TYPE, "application/x-sentry-envelope")
            .header(header::USER_AGENT, "kit")
            .header("x-sentry-auth", self.auth.clone())
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| e.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        let answer = runtime.block_on(async { tokio::time::timeout(self.timeout, self.send(request)).await });
        // Looking up a name can't be cancelled; nobody waits for it.
        runtime.shutdown_background();
        match answer {
            Ok(answer) => answer.map_err(|e| chain(&e)),
            Err(_) => Err("there was no answer in time".to_owned()),
        }
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let builder = Client::builder(TokioExecutor::new());
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            connector.enforce_http(false);
            let connector = hyper_rustls::HttpsConnectorBuilder::new()
                .with_tls_config(tls.clone())
                .https_only()
                .enable_all_versions()
                .wrap_connector(connector);
            return builder.build(connector).request(request).await;
        }
        builder.build(connector).request(request).await
    }

    fn is_paused(&self, state: &mut State) -> bool {
        if state.paused.is_some_and(|until| Instant::now() >= until) {
            state.paused = None;
        }
        state.paused.is_some()
    }
}

impl Transport for Post {
    fn send_envelope(&self, envelope: Envelope) {
        // Only the thread of the reporter comes here; the lock makes that sure.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_paused(&mut state) {
            state.lost += 1;
            return;
        }
        let mut body = Vec::new();
        let answer = envelope.to_writer(&mut body).map_err(|e| e.to_string()).and_then(|()| self.post(body));
        let failed = match answer {
            Ok(answer) => {
                let status = answer.status();
                state.paused = pause(&answer).and_then(|pause| Instant::now().checked_add(pause));
                (!status.is_success()).then(|| format!("it answered {status}"))
            }
            Err(why) => Some(why),
        };
        match failed {
            Some(why) => {
                if state.lost == 0 {
                    tracing::warn!(error = why, "Sentry takes no error reports: they are lost until it does");
                }
                state.lost += 1;
            }
            None if state.lost > 0 => {
                let lost = std::mem::take(&mut state.lost);
                tracing::warn!(lost, "Sentry takes error reports again");
            }
            None => {}
        }
    }
}

/// How long Sentry wants no errors: by `X-Sentry-Rate-Limits` (`60:error;transaction:key, ...`; no category means all), or by
/// a 429.
fn pause(answer: &Response<Incoming>) -> Option<Duration> {
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let of_errors =
        header("x-sentry-rate-limits").into_iter().flat_map(|limits| limits.split(',')).filter_map(|limit| {
            let mut parts = limit.trim().split(':');
            let (seconds, categories) = (parts.next()?, parts.next().unwrap_or_default());
            let ours = categories.is_empty() || categories.split(';').any(|category| category == "error");
            seconds.parse().ok().filter(|_| ours)
        });
    let seconds = of_errors.max().or_else(|| {
        let default = PAUSE.as_secs();
        (answer.status().as_u16() == 429).then(|| header("retry-after").and_then(|s| s.parse().ok()).unwrap_or(default))
    });
    seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Where distributions keep the certificates of the authorities that they trust: Debian and Alpine, Fedora, SUSE, BSD.
#[cfg(feature = "tls")]
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

#[cfg(feature = "tls")]
fn authorities(config: &SentryConfig) -> Result<tokio_rustls::rustls::ClientConfig, Error> {
    let path = match &config.authorities {
        Some(path) => path.clone(),
        None => BUNDLES.iter().map(std::path::PathBuf::from).find(|path| path.exists()).ok_or_else(|| {
            let known = BUNDLES.join(", ");
            Error::invalid_argument(format!("report.sentry.authorities must be set: there is none of {known}"))
        })?,
    };
    let pem = std::fs::read(&path).map_err(|e| {
        let path = path.display();
        Error::invalid_argument(format!("report.sentry.authorities: {path} can't be read: {e}")).with_source(e)
    })?;
    crate::client::ClientTls::new(pem).to_rustls()
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").finish_non_exhaustive()
    }
}
