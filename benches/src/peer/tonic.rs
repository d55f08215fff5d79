//! The service as tonic's generated trait has it, on the same messages.

use tonic::{Request, Response, Status};

use self::generated::shelf_server::{Shelf, ShelfServer};
use crate::proto::bench::{Book, FindRequest};

/// What tonic's code generator makes of `proto/bench.proto`.
pub mod generated {
    #![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated")]
    include!(concat!(env!("OUT_DIR"), "/tonic/bench.rs"));
}

struct OneBook(Book);

#[tonic::async_trait]
impl Shelf for OneBook {
    async fn find(&self, request: Request<FindRequest>) -> Result<Response<Book>, Status> {
        Ok(Response::new(Book { id: request.into_inner().id, ..self.0.clone() }))
    }

    async fn store(&self, request: Request<Book>) -> Result<Response<Book>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

/// The service for tonic's server.
pub fn service(book: Book) -> ShelfServer<impl Shelf> {
    ShelfServer::new(OneBook(book))
}
