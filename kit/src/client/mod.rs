//! Calling services: [`Channel`] makes the endpoints of a client that calls by gRPC or by HTTP/JSON.
//!
//! ```no_run
//! # trait Demo {}
//! # fn demo<BookDetailsClient>(new: impl Fn(&kit::client::Channel) -> BookDetailsClient) -> Result<(), kit::Error> {
//! use kit::client::Channel;
//!
//! // The scheme of the address says how: grpc, grpcs, http, https.
//! let channel = Channel::new("grpc://127.0.0.1:5002")?;
//! // let client = BookDetailsClient::new(&channel);
//! # let client = new(&channel);
//! # Ok(()) }
//! ```

use std::{pin::Pin, time::Duration};

use futures_core::Stream as _;
use tokio::time::Instant;

use crate::{Connect, Endpoint, Error, Message, Method, Streaming, Transport, endpoint::MapStream, layer::timeout};

mod health;
#[cfg(feature = "tls")]
mod tls;

#[cfg(feature = "tls")]
pub use tls::ClientTls;

/// The settings of a client.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// How long to wait for a connection. Default: 5 s, under the default deadline of a call.
    pub connect_timeout: Duration,
    /// The largest answer message in bytes. Default: 4 MiB, as gRPC has it.
    pub max_response_size: usize,
    /// Whether requests are sent compressed (gzip). Default: false; answers are always taken compressed.
    pub compress: bool,
    /// Certificates for `grpcs` and `https`, which can't be called without: there are no built-in roots. Default: none.
    #[cfg(feature = "tls")]
    pub tls: Option<ClientTls>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            max_response_size: crate::transport::MAX_MESSAGE_SIZE,
            compress: false,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// Ends the answers of a stream at the deadline of its call: the peer has the deadline too; this is for a peer that no longer
/// answers anything.
pub(crate) struct Until(pub(crate) Instant);

impl MapStream for Until {
    fn map<M: Message>(self, stream: Streaming<M>) -> Streaming<M> {
        let (mut stream, mut until) = (stream, timeout::Until::new(self.0));
        Streaming::new(futures_util::stream::poll_fn(move |cx| {
            let polled = until.poll(cx, |cx| Pin::new(&mut stream).poll_next(cx));
            polled.map(|in_time| in_time.unwrap_or_else(|| Some(Err(expired()))))
        }))
    }
}

pub(crate) fn expired() -> Error {
    Error::deadline_exceeded("the deadline of the call passed before the service answered")
}

/// The way to a service somewhere else. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Channel(Kind);

#[derive(Clone, Debug)]
enum Kind {
    #[cfg(feature = "grpc")]
    Grpc(crate::transport::grpc::GrpcChannel),
    #[cfg(feature = "http")]
    Http(crate::transport::http::HttpChannel),
}

impl Channel {
    /// A channel to an address with the default settings. The scheme says how it calls: `grpc://host:port` and `grpcs://`
    /// by gRPC, `http://` and `https://` by HTTP/JSON. Nothing is connected before the first call. To be called inside a Tokio
    /// runtime.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the address is none, or its scheme is unknown or needs a feature that is not compiled in.
    pub fn new(address: &str) -> Result<Self, Error> {
        Self::with_config(address, &ClientConfig::default())
    }

    /// A channel with settings; see [`Channel::new`].
    ///
    /// # Errors
    /// As [`Channel::new`], and for certificates that can't be used.
    pub fn with_config(address: &str, config: &ClientConfig) -> Result<Self, Error> {
        let (scheme, rest) = address.split_once("://").ok_or_else(|| {
            Error::invalid_argument(format!("the address {address:?} needs a scheme, as in grpc://127.0.0.1:5002"))
        })?;
        let secure = matches!(scheme, "grpcs" | "https");
        if secure && cfg!(not(feature = "tls")) {
            return Err(Error::invalid_argument(format!(
                "{scheme} needs the feature `tls` of kit, which is not compiled in"
            )));
        }
        match scheme {
            #[cfg(feature = "grpc")]
            "grpc" | "grpcs" => {
                let target = format!("{}://{rest}", if secure { "https" } else { "http" });
                Ok(Self(Kind::Grpc(crate::transport::grpc::GrpcChannel::new(address, &target, config)?)))
            }
            #[cfg(feature = "http")]
            "http" | "https" => Ok(Self(Kind::Http(crate::transport::http::HttpChannel::new(address, config)?))),
            _ => {
                let _ = (rest, config);
                Err(Error::invalid_argument(format!(
                    "the scheme {scheme:?} of the address {address:?} is not one of grpc, grpcs, http, https"
                )))
            }
        }
    }

    /// How it calls: what the metrics of a client are labelled with.
    pub fn transport(&self) -> Transport {
        match &self.0 {
            #[cfg(feature = "grpc")]
            Kind::Grpc(_) => Transport::Grpc,
            #[cfg(feature = "http")]
            Kind::Http(_) => Transport::Http,
        }
    }
}

macro_rules! delegate {
    ($($name:ident: $req:ty => $res:ty;)*) => {
        impl Connect for Channel {
            $(fn $name<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<$req, $res> {
                match &self.0 {
                    #[cfg(feature = "grpc")]
                    Kind::Grpc(channel) => channel.$name(method),
                    #[cfg(feature = "http")]
                    Kind::Http(channel) => channel.$name(method),
                }
            })*
        }
    };
}

delegate! {
    unary: Req => Res;
    client_streaming: Streaming<Req> => Res;
    server_streaming: Req => Streaming<Res>;
    bidi_streaming: Streaming<Req> => Streaming<Res>;
}
