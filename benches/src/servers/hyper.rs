use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::oneshot};

use crate::{Failure, peer::json::Note};

/// The least that answers JSON with JSON: no router, one comparison of the path.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Failure> {
    if request.method() != Method::POST || request.uri().path() != "/v1/notes" {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    }
    let body = request.into_body().collect().await?.to_bytes();
    let note: Note = serde_json::from_slice(&body)?;
    let mut response = Response::new(Full::from(serde_json::to_vec(&note)?));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// As hyper's guide starts it.
pub(super) async fn serve(ready: oneshot::Sender<SocketAddr>) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let _ = ready.send(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // A client that hangs up in the midst of a request is none of the benchmark's business: the driver counts what fails.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(echo)).await;
        });
    }
}
