//! Comments.

use sqlx::SqlitePool;
use tokio_stream::Empty;
use tonic::{Request, Response, Status};

use super::{
    check, failed,
    proto::comments::{
        Comment, GetReq, GetResp, PostReq, PostResp, WatchReq,
        book_comments_server::{BookComments, BookCommentsServer},
    },
};
use crate::Failure;

const LIST: &str = "
    SELECT id, book_id, content, created_at FROM comments_comments
    WHERE book_id = $1 ORDER BY id DESC LIMIT $2";

const MAX_LISTED: i64 = 2000;

struct Comments(SqlitePool);

#[tonic::async_trait]
impl BookComments for Comments {
    async fn get(&self, request: Request<GetReq>) -> Result<Response<GetResp>, Status> {
        let id = request.into_inner().id;
        check(id)?;
        let query = sqlx::query_as::<_, (i64, i64, String, String)>(LIST).bind(id).bind(MAX_LISTED);
        let rows = query.fetch_all(&self.0).await.map_err(failed)?;
        let comments = rows.into_iter().rev().map(|(_, _, content, created_at)| Comment { content, created_at });
        Ok(Response::new(GetResp { code: 200, msg: "success".to_owned(), data: comments.collect() }))
    }

    // Nobody calls these here.
    async fn post(&self, _: Request<PostReq>) -> Result<Response<PostResp>, Status> {
        Err(Status::unimplemented("post"))
    }

    type WatchStream = Empty<Result<Comment, Status>>;

    async fn watch(&self, _: Request<WatchReq>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("watch"))
    }
}

/// Serves comments from the database at a URL.
///
/// # Errors
/// When the database or the port can't be opened.
pub async fn serve(database: &str) -> Result<(), Failure> {
    let service = BookCommentsServer::new(Comments(super::open(database).await?));
    Ok(tonic::transport::Server::builder().add_service(service).serve_with_incoming(super::listen().await?).await?)
}
