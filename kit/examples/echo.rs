//! A server for `proto/echo.proto`, for conformance tests of the HTTP rules:
//! `cargo run -p kit --example echo -- --http 127.0.0.1:8080 --grpc 127.0.0.1:50051` (or `--shared` for one port).

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use clap::Parser;
use kit::{
    Code, Context, Error, Streaming,
    middleware::StandardStack,
    proto::google::api::HttpBody,
    server::{Server, shutdown_signal},
};

pub(crate) mod proto {
    include!("generated/echo/protos.rs");
}
use proto::tc::v1::{Echo, EchoEndpoints, FailReq, Msg};

/// Answers every request with its own message.
pub(crate) struct EchoService;

fn with_opt(mut message: Msg, opt: &str) -> Result<Msg, Error> {
    message.opt = Some(opt.to_owned());
    Ok(message)
}

macro_rules! echo {
    ($($method:ident)*) => {
        $(async fn $method(&self, _cx: &Context, message: Msg) -> Result<Msg, Error> {
            Ok(message)
        })*
    };
}

impl Echo for EchoService {
    echo! {
        get_book get_simple get_multi get_tail get_op create_book update_sub post_all post_all_path post_no_body query
        resp_sub resp_tags resp_name list_body scalar_body typed typed_bytes
    }

    async fn watch_op(&self, _cx: &Context, message: Msg) -> Result<Msg, Error> {
        with_opt(message, "watch")
    }

    async fn cancel_op(&self, _cx: &Context, message: Msg) -> Result<Msg, Error> {
        with_opt(message, "cancel")
    }

    async fn options(&self, _cx: &Context, message: Msg) -> Result<Msg, Error> {
        with_opt(message, "options")
    }

    async fn link(&self, _cx: &Context, message: Msg) -> Result<Msg, Error> {
        with_opt(message, "link")
    }

    async fn remove(&self, _cx: &Context, _message: Msg) -> Result<(), Error> {
        Ok(())
    }

    async fn raw_get(&self, _cx: &Context, message: Msg) -> Result<HttpBody, Error> {
        let data = format!("<h1>{}</h1>", message.name).into_bytes();
        Ok(HttpBody { content_type: "text/html".to_owned(), data, ..HttpBody::default() })
    }

    async fn raw_post(&self, _cx: &Context, body: HttpBody) -> Result<HttpBody, Error> {
        Ok(body)
    }

    async fn stream(&self, _cx: &Context, message: Msg) -> Result<Streaming<Msg>, Error> {
        Ok(Streaming::from_iter((1..=message.i32).map(|i32| Msg { i32, ..Msg::default() })))
    }

    async fn fail(&self, _cx: &Context, request: FailReq) -> Result<Msg, Error> {
        match Code::from_i32(request.code) {
            Code::Ok => Ok(Msg::default()),
            code => Err(Error::new(code, request.message)),
        }
    }
}

/// Serves echo.proto.
#[derive(Parser)]
struct Args {
    /// Where to serve HTTP/JSON.
    #[arg(long)]
    http: Option<String>,
    /// Where to serve gRPC.
    #[arg(long)]
    grpc: Option<String>,
    /// Where to serve both.
    #[arg(long, required_unless_present_any = ["http", "grpc"])]
    shared: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    kit::telemetry::log::LogConfig { level: "info,kit::access=warn".to_owned(), ..Default::default() }.init()?;
    let endpoints = EchoEndpoints::new(EchoService).with(&StandardStack::default());
    let mut server = Server::new().service(&endpoints).reflection(true);
    if let Some(address) = args.http {
        server = server.http(address);
    }
    if let Some(address) = args.grpc {
        server = server.grpc(address);
    }
    if let Some(address) = args.shared {
        server = server.shared(address);
    }
    let server = server.bind().await?;
    println!("http {:?} grpc {:?}", server.http_addr(), server.grpc_addr());
    server.run(shutdown_signal()).await?;
    Ok(())
}
