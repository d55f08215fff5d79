//! The service with everything around it, made from its settings.

use bookcommon::Failure;
use kit::{middleware::StandardStack, server::Server, sql::Late};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::Audited, config::Config, proto::comments::BookCommentsEndpoints, repository::SqlComments,
    service::CommentsService,
};

/// The service, ready to be served.
#[derive(Clone, Debug)]
pub struct App {
    endpoints: BookCommentsEndpoints,
    comments: Late<SqlComments>,
}

impl App {
    /// Puts the service together. A database that is away does not stop it: calls are `UNAVAILABLE` until it is back.
    ///
    /// When `stop` is cancelled, watching ends.
    ///
    /// # Errors
    /// When the database refuses us, or is not what it should be.
    pub async fn build(config: &Config, stop: CancellationToken) -> Result<Self, Failure> {
        let database = config.database.clone();
        let comments = Late::connect(move || {
            let database = database.clone();
            async move { SqlComments::connect(&database).await }
        })
        .await?;
        let service = CommentsService::new(comments.clone()).with_watch_interval(config.watch.interval).with_stop(stop);
        let endpoints =
            BookCommentsEndpoints::new(Audited::new(service)).with(&StandardStack::server(&config.standard));
        Ok(Self { endpoints, comments })
    }

    /// One endpoint for each method, with the middleware around it.
    pub fn endpoints(&self) -> &BookCommentsEndpoints {
        &self.endpoints
    }

    /// A server for the service on the ports of the settings.
    pub fn server(&self, config: &Config) -> Server {
        let server = Server::new()
            .config(config.server.clone())
            .http_config(config.http.clone())
            .grpc_config(config.grpc.clone())
            .reflection(config.reflection)
            .service(&self.endpoints);
        if config.http_addr == config.grpc_addr && config.http_addr.port() != 0 {
            server.shared(config.http_addr)
        } else {
            server.http(config.http_addr).grpc(config.grpc_addr)
        }
    }

    /// Closes the connections to the database, after the last call.
    pub async fn close(&self) {
        if let Ok(comments) = self.comments.get() {
            comments.database().close().await;
        }
    }
}
