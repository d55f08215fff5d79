use std::{net::SocketAddr, pin::Pin};

use futures_util::{Stream, stream};
use tokio::sync::oneshot;
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};

use self::generated::press_server::{Press, PressServer};
use super::note;
use crate::{
    Failure,
    proto::press::{Blob, GetRequest, Note, TailRequest},
};

mod generated {
    #![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated")]
    include!(concat!(env!("OUT_DIR"), "/tonic/press.rs"));
}

struct Editor {
    note: Note,
}

#[tonic::async_trait]
impl Press for Editor {
    type TailStream = Pin<Box<dyn Stream<Item = Result<Note, Status>> + Send>>;

    async fn echo(&self, request: Request<Note>) -> Result<Response<Note>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Note>, Status> {
        Ok(Response::new(Note { id: request.into_inner().id, ..self.note.clone() }))
    }

    async fn copy(&self, request: Request<Blob>) -> Result<Response<Blob>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn tail(&self, request: Request<TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        let note = self.note.clone();
        let notes = (0..request.into_inner().notes).map(move |_| Ok(note.clone()));
        Ok(Response::new(Box::pin(stream::iter(notes))))
    }
}

/// As tonic's documentation starts it; its `serve` binds and sets `TCP_NODELAY` just so.
pub(super) async fn serve(ready: oneshot::Sender<SocketAddr>) -> Result<(), Failure> {
    let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?.with_nodelay(Some(true));
    let _ = ready.send(incoming.local_addr()?);
    Ok(Server::builder().add_service(PressServer::new(Editor { note: note() })).serve_with_incoming(incoming).await?)
}

/// tonic's client of the service.
pub type PressClient = generated::press_client::PressClient<Channel>;

/// One connection of tonic's client.
///
/// # Errors
/// When nobody listens.
pub async fn connect(address: SocketAddr) -> Result<PressClient, Failure> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?;
    Ok(PressClient::new(channel))
}
