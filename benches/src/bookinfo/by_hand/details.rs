//! Details.

use std::time::Duration;

use sqlx::SqlitePool;
use tokio::time::timeout;
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint},
};

use super::{
    check, failed,
    proto::{
        comments::{Comment, GetReq, book_comments_client::BookCommentsClient},
        details::{
            DetailReq, DetailResp, DetailRespData,
            book_details_server::{BookDetails, BookDetailsServer},
        },
    },
};
use crate::Failure;

const FIND: &str = "SELECT id, name, author, published, intro FROM details_books WHERE id = $1";

const COMMENTS_TIMEOUT: Duration = Duration::from_secs(1);

type Row = (i64, String, String, String, String);

struct Details {
    books: SqlitePool,
    comments: BookCommentsClient<Channel>,
}

impl Details {
    async fn book(&self, id: i64) -> Result<DetailRespData, Status> {
        let row = sqlx::query_as::<_, Row>(FIND).bind(id).fetch_optional(&self.books).await.map_err(failed)?;
        let (id, name, author, published, intro) =
            row.ok_or_else(|| Status::not_found(format!("there is no book {id}")))?;
        let id = i32::try_from(id).map_err(|_| Status::internal("internal error"))?;
        Ok(DetailRespData { id, name, intro: format!("{author}, {published}. {intro}"), comments: Vec::new() })
    }

    /// The answer is good without them.
    async fn comments(&self, id: i64) -> Vec<Comment> {
        let mut request = Request::new(GetReq { id });
        request.set_timeout(COMMENTS_TIMEOUT);
        let mut client = self.comments.clone();
        match timeout(COMMENTS_TIMEOUT, client.get(request)).await {
            Ok(Ok(answer)) => answer.into_inner().data,
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }
}

#[tonic::async_trait]
impl BookDetails for Details {
    async fn detail(&self, request: Request<DetailReq>) -> Result<Response<DetailResp>, Status> {
        let id = request.into_inner().id;
        check(id)?;
        let (book, comments) = tokio::try_join!(self.book(id), async { Ok::<_, Status>(self.comments(id).await) })?;
        let data = Some(DetailRespData { comments, ..book });
        Ok(Response::new(DetailResp { code: 200, msg: "success".to_owned(), data }))
    }
}

/// Serves books from the database at a URL, with comments from another service.
///
/// # Errors
/// When the database or the port can't be opened, or the other service is not there.
pub async fn serve(database: &str, comments: &str) -> Result<(), Failure> {
    let channel = Endpoint::from_shared(comments.to_owned())?.tcp_nodelay(true).connect().await?;
    let details = Details { books: super::open(database).await?, comments: BookCommentsClient::new(channel) };
    let service = BookDetailsServer::new(details);
    Ok(tonic::transport::Server::builder().add_service(service).serve_with_incoming(super::listen().await?).await?)
}
