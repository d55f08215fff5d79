//! What runs in the server processes of the benchmark over sockets: one program, one service (`proto/press.proto`), made by the kit
//! and by those it is compared with.
//!
//! `bench-server <what> [--runtime multi|current] [--sample SHARE] [--collector URL] [--subscriber LEVEL] [--methods N]`
//!
//! A line on stdout says where it listens. There is one program for each allocator: `bench-server` has the system's.

use std::{env, net::SocketAddr, str::FromStr};

use tokio::{runtime::Builder, sync::oneshot};

use crate::Failure;

mod axum;
mod h2;
mod hyper;
mod kit;
mod many;
mod note;
mod press;
mod sink;
mod tonic;

pub use note::{blob, json, note};
pub use tonic::{PressClient, connect};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// tonic, as its documentation starts it.
    Tonic,
    /// axum, as its documentation starts it.
    Axum,
    /// hyper's HTTP/1 without anything else.
    Hyper,
    /// hyper's HTTP/2 without anything else.
    HyperHttp2,
    /// The h2 crate without anything else.
    H2,
    /// The kit's gRPC with the full standard chain.
    KitGrpc,
    /// The kit's gRPC without a chain.
    KitGrpcBare,
    /// The kit's HTTP/JSON with the full standard chain.
    KitHttp,
    /// The kit's HTTP/JSON without a chain.
    KitHttpBare,
    /// What spans are sent to: reads and forgets.
    Sink,
}

impl FromStr for What {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        Ok(match name {
            "tonic" => Self::Tonic,
            "axum" => Self::Axum,
            "hyper" => Self::Hyper,
            "hyper-http2" => Self::HyperHttp2,
            "h2" => Self::H2,
            "kit-grpc" => Self::KitGrpc,
            "kit-grpc-bare" => Self::KitGrpcBare,
            "kit-http" => Self::KitHttp,
            "kit-http-bare" => Self::KitHttpBare,
            "sink" => Self::Sink,
            other => {
                let known =
                    "tonic, axum, hyper, hyper-http2, h2, kit-grpc, kit-grpc-bare, kit-http, kit-http-bare, sink";
                return Err(format!("there is no server {other:?}: it is one of {known}").into());
            }
        })
    }
}

/// How a server is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which.
    pub what: What,
    /// Whether tokio has worker threads beside the first one, as it has by itself; otherwise all is done by one thread.
    pub multi: bool,
    /// Which share of the calls is recorded by the tracer of the kit.
    pub sample: f64,
    /// Where recorded spans are sent to; `None`: nowhere.
    pub collector: Option<String>,
    /// The level of a subscriber of `tracing`; `None`: there is no subscriber.
    pub subscriber: Option<String>,
    /// How many methods the kit's service has.
    pub methods: usize,
}

impl Options {
    /// A server in its usual way.
    pub fn new(what: What) -> Self {
        Self { what, multi: false, sample: 0.001, collector: None, subscriber: None, methods: 0 }
    }

    fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, Failure> {
        let mut arguments = arguments.into_iter();
        let mut options = Self::new(arguments.next().ok_or("which server? bench-server tonic")?.parse()?);
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--runtime" => options.multi = multi(&value)?,
                "--sample" => options.sample = value.parse()?,
                "--collector" => options.collector = Some(value),
                "--subscriber" => options.subscriber = Some(value),
                "--methods" => options.methods = value.parse()?,
                _ => return Err(format!("there is no flag {flag}").into()),
            }
        }
        Ok(options)
    }
}

fn multi(value: &str) -> Result<bool, Failure> {
    match value {
        "multi" => Ok(true),
        "current" => Ok(false),
        _ => Err(format!("--runtime is multi or current, not {value}").into()),
    }
}

/// The program: serves until it is killed.
///
/// # Errors
/// When it is told nonsense, or can't listen.
pub fn main() -> Result<(), Failure> {
    let options = Options::parse(env::args().skip(1))?;
    allow_connections()?;
    if options.subscriber.is_none() {
        // sqlx, which another benchmark needs, turns on a feature of tracing that hands every span to `log` where there is no subscriber.
        tracing::subscriber::set_global_default(tracing::subscriber::NoSubscriber::default())?;
    }
    // `#[tokio::main]` is the first of these.
    let mut builder = if options.multi { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    let runtime = builder.enable_all().build()?;
    let (sender, receiver) = oneshot::channel();
    runtime.block_on(async {
        let server = serve(options, sender);
        tokio::pin!(server);
        tokio::select! {
            ended = &mut server => return ended,
            address = receiver => println!("listening on {}", address?),
        }
        server.await
    })
}

/// Serves, and tells where.
///
/// # Errors
/// When it can't listen.
pub async fn serve(options: Options, ready: oneshot::Sender<SocketAddr>) -> Result<(), Failure> {
    match options.what {
        What::Tonic => tonic::serve(ready).await,
        What::Axum => axum::serve(ready).await,
        What::Hyper => hyper::serve(ready).await,
        What::HyperHttp2 | What::H2 => h2::serve(options.what, ready).await,
        What::Sink => sink::serve(ready).await,
        What::KitGrpc | What::KitGrpcBare | What::KitHttp | What::KitHttpBare => kit::serve(options, ready).await,
    }
}

/// Thousands of connections need more descriptors than a process has by default.
fn allow_connections() -> Result<(), Failure> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(())
}
