//! The service of the benchmark over sockets by connectrpc, on the server that it brings. A line on stdout says where it
//! listens.

use std::sync::Arc;

use connectrpc::{RequestContext, Response, Router, Server, ServiceRequest, ServiceResult};
use tokio::net::TcpListener;

mod generated {
    #![allow(warnings, clippy::all)]
    connectrpc::include_generated!();
}

use generated::press::{Note, Press};

struct Editor;

#[allow(refining_impl_trait)]
impl Press for Editor {
    async fn echo(&self, _: RequestContext, request: ServiceRequest<'_, Note>) -> ServiceResult<Note> {
        Response::ok(request.to_owned_message())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    let router = Router::new().add_service(Arc::new(Editor));
    Ok(Server::from_listener(listener).serve(router).await?)
}
