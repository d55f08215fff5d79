//! The service of the benchmark over sockets by volo-grpc, as its documentation starts it. A line on stdout says where it
//! listens.

use tokio::net::TcpListener;
use volo::net::incoming::DefaultIncoming;
use volo_grpc::{
    Request, Response, Status,
    server::{Server, ServiceBuilder},
};

mod generated {
    #![allow(warnings, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/volo_gen.rs"));
}

use generated::volo_gen::press::{Note, Press, PressServer};

struct Editor;

impl Press for Editor {
    async fn echo(&self, request: Request<Note>) -> Result<Response<Note>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    let service = ServiceBuilder::new(PressServer::new(Editor)).build();
    Server::new().add_service(service).run(DefaultIncoming::from(listener)).await
}
