//! Asking whether a service is well.

use std::time::Duration;

use http::{Request, StatusCode, Uri, header, uri::Authority};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout, timeout_at},
};
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::Target;

/// Between two questions: a start takes seconds, and nobody minds four questions a second.
const PAUSE: Duration = Duration::from_millis(250);

/// How long before the end the wait for a body ends, so that at least its status is told.
const BODY: Duration = Duration::from_millis(50);

/// Of an answer that says what is wrong: the first lines.
const MOST: usize = 8 * 1024;

/// A question and how long to wait.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) target: Target,
    pub(crate) service: String,
    pub(crate) timeout: Duration,
    pub(crate) wait: Duration,
}

impl Health {
    /// What there is to say: the service is well, or it is not.
    pub(crate) async fn ask(&self) -> Result<String, String> {
        let end = Instant::now() + self.wait.min(Duration::from_secs(24 * 60 * 60));
        loop {
            // The last question ends with the wait.
            let limit = match self.wait.is_zero() {
                true => self.timeout,
                false => self.timeout.min(end - Instant::now()),
            };
            let Err(why) = self.ask_once(limit).await else { return Ok(format!("{} is well", self.name())) };
            let ill = format!("{} is not well: {why}", self.name());
            let next = Instant::now() + PAUSE;
            if next >= end {
                return Err(match self.wait.is_zero() {
                    true => ill,
                    false => format!("{ill} (asked for {})", kit::duration::format(self.wait)),
                });
            }
            sleep(PAUSE).await;
        }
    }

    fn name(&self) -> String {
        match self.service.as_str() {
            "" => self.target.to_string(),
            service => format!("{service} at {}", self.target),
        }
    }

    async fn ask_once(&self, limit: Duration) -> Result<(), String> {
        let question = async {
            match &self.target {
                Target::Http(uri) => http(uri, Instant::now() + limit).await,
                Target::Grpc(authority) => grpc(authority, &self.service).await,
            }
        };
        // What was left of the wait is no round number.
        let shown = if limit < self.timeout { Duration::from_millis(limit.as_millis() as u64) } else { limit };
        let late = format!("no answer within {}", kit::duration::format(shown));
        timeout(limit, question).await.unwrap_or(Err(late))
    }
}

async fn http(uri: &Uri, end: Instant) -> Result<(), String> {
    let host = uri.authority().map(Authority::as_str).unwrap_or_default();
    let stream = TcpStream::connect(host).await.map_err(|error| format!("cannot connect: {error}"))?;
    let talk = |error: hyper::Error| format!("no HTTP: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(talk)?;
    let target = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(target).header(header::HOST, host).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| error.to_string())?;
    // It ends with the runtime, which ends with this question.
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(talk)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    // What the body says is an extra: not waited for to the very end.
    let body = timeout_at(end.checked_sub(BODY).unwrap_or(end), Limited::new(answer.into_body(), MOST).collect()).await;
    let text = body.ok().and_then(Result::ok).map(|body| body.to_bytes());
    Err(told(status, &text.unwrap_or_default()))
}

fn told(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    // One line, and nothing that a terminal would obey.
    let words: Vec<&str> = text.split(|char: char| char.is_whitespace() || char.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(300).collect();
    if short.is_empty() { status.to_string() } else { format!("{status}: {short}") }
}

async fn grpc(authority: &Authority, service: &str) -> Result<(), String> {
    let endpoint = Endpoint::try_from(format!("http://{authority}")).map_err(|error| error.to_string())?;
    let channel = endpoint.connect().await.map_err(|error| format!("cannot connect: {}", causes(&error)))?;
    let request = HealthCheckRequest { service: service.to_owned() };
    match HealthClient::new(channel).check(request).await {
        Ok(answer) => match answer.into_inner().status() {
            ServingStatus::Serving => Ok(()),
            other => Err(other.as_str_name().to_owned()),
        },
        Err(status) => Err(match status.code() {
            tonic::Code::NotFound => format!("the server knows no service `{service}`"),
            tonic::Code::Unimplemented => "the server has no gRPC health service".to_owned(),
            code => format!("{code:?}: {}", status.message()),
        }),
    }
}

/// The last cause says what happened; the library's own words say only where.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
