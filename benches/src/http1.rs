//! The HTTP client of all HTTP measurements: hyper's, one connection, without a pool.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::Failure;

/// The call by `GET`: path variables and a query.
pub const FIND: &str = "/v1/shelves/classics/books/42?language=zh&chapters=3&labels=true";

/// The path of the call by `POST`.
pub const STORE: &str = "/v1/books";

/// A connection.
#[derive(Debug)]
pub struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When the connection broke, or the answer is not 200.
    pub async fn call(&mut self, request: http::Request<Full<Bytes>>) -> Result<Bytes, Failure> {
        self.0.ready().await?;
        let response = self.0.send_request(request).await?;
        if response.status() != http::StatusCode::OK {
            return Err(format!("HTTP {}", response.status()).into());
        }
        Ok(response.into_body().collect().await?.to_bytes())
    }
}

/// The request by `GET`.
///
/// # Errors
/// Never: the parts are constants.
pub fn find<B: Default>() -> Result<http::Request<B>, http::Error> {
    http::Request::get(FIND).header("host", "localhost").body(B::default())
}

/// The request by `POST`.
///
/// # Errors
/// Never: the parts are constants.
pub fn store<B: From<Bytes>>(json: &Bytes) -> Result<http::Request<B>, http::Error> {
    let request = http::Request::post(STORE).header("host", "localhost").header("content-type", "application/json");
    request.body(json.clone().into())
}

/// Reads the whole answer of a service that was called without a socket.
///
/// # Errors
/// When the answer is not 200.
pub async fn in_memory(
    response: Result<http::Response<axum::body::Body>, std::convert::Infallible>,
) -> Result<Bytes, Failure> {
    let Ok(response) = response;
    if response.status() != http::StatusCode::OK {
        return Err(format!("HTTP {}", response.status()).into());
    }
    Ok(response.into_body().collect().await?.to_bytes())
}
