use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::What;
use crate::Failure;

/// The floors of HTTP/2: they send the bytes of a call back without a look at them, as calls of gRPC that went well.
pub(super) async fn serve(what: What, ready: oneshot::Sender<SocketAddr>) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let _ = ready.send(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A connection that breaks is seen by the other end, which counts what fails.
        match what {
            What::H2 => drop(tokio::spawn(by_h2(stream))),
            _ => drop(tokio::spawn(
                http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service_fn(echo)),
            )),
        }
    }
}

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))])
}

async fn by_h2(stream: TcpStream) -> Result<(), Failure> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(accepted) = connection.accept().await {
        let (request, mut respond) = accepted?;
        tokio::spawn(async move {
            let (mut body, mut bytes) = (request.into_body(), Bytes::new());
            while let Some(part) = body.data().await.transpose()? {
                body.flow_control().release_capacity(part.len())?;
                bytes = if bytes.is_empty() { part } else { [bytes, part].concat().into() };
            }
            let response = Response::builder().header(CONTENT_TYPE, GRPC).body(())?;
            let mut send = respond.send_response(response, false)?;
            send.send_data(bytes, false)?;
            send.send_trailers(trailers())?;
            Ok::<(), Failure>(())
        });
    }
    Ok(())
}

async fn echo(
    request: Request<Incoming>,
) -> Result<Response<impl http_body::Body<Data = Bytes, Error = Infallible>>, Failure> {
    let body = request.into_body().collect().await?.to_bytes();
    let mut response = Response::new(Full::new(body).with_trailers(async { Some(Ok(trailers())) }));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    Ok(response)
}
