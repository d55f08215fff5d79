//! A middleware around the service trait: a struct that holds another implementation and is one itself.
//!
//! Unlike one around endpoints it sees the messages of this service, by their own types; so it fits what is about the
//! meaning of calls. This one keeps a record of who posted on which book, and never of what.

use kit::{Context, Error, Streaming};

use crate::proto::comments::{BookComments, Comment, GetReq, GetResp, PostReq, PostResp, WatchReq};

/// Logs every comment that was stored, under the target `bookcomments::audit`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bookcomments::{audit::Audited, proto::comments::{BookComments, PostReq}, repository::SqlComments, service::CommentsService};
/// use kit::{Context, sql::DatabaseConfig};
///
/// let database = DatabaseConfig { migrate: true, ..DatabaseConfig::new("sqlite::memory:") };
/// let service = Audited::new(CommentsService::new(SqlComments::connect(&database).await?));
/// service.post(&Context::background(), PostReq { id: 1, content: "Fine.".to_owned() }).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Audited<S> {
    inner: S,
}

impl<S: BookComments> Audited<S> {
    /// Keeps a record of what `inner` stores.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: BookComments> BookComments for Audited<S> {
    async fn post(&self, cx: &Context, request: PostReq) -> Result<PostResp, Error> {
        let (book, characters) = (request.id, request.content.chars().count());
        let answer = self.inner.post(cx, request).await?;
        let address = cx.peer().and_then(|peer| peer.address).map(|address| address.ip().to_string());
        let peer = address.as_deref().unwrap_or("-");
        tracing::info!(target: "bookcomments::audit", book, characters, peer, "comment stored");
        Ok(answer)
    }

    async fn get(&self, cx: &Context, request: GetReq) -> Result<GetResp, Error> {
        self.inner.get(cx, request).await
    }

    async fn watch(&self, cx: &Context, request: WatchReq) -> Result<Streaming<Comment>, Error> {
        self.inner.watch(cx, request).await
    }
}
