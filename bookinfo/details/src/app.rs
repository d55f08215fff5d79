//! The service with everything around it, made from its settings.

use bookcomments::proto::comments::BookCommentsClient;
use bookcommon::Failure;
use kit::{client::Channel, middleware::StandardStack, server::Server, sql::Late};

use crate::{
    config::Config, proto::details::BookDetailsEndpoints, repository::SqlBooks, service::DetailsService,
    slow_calls::SlowCalls,
};

/// The service, ready to be served.
#[derive(Clone, Debug)]
pub struct App {
    endpoints: BookDetailsEndpoints,
    books: Late<SqlBooks>,
}

impl App {
    /// Puts the service together. Neither a database nor a comments service that is away stops it: without the one calls
    /// are `UNAVAILABLE` until it is back, without the other books have no comments.
    ///
    /// # Errors
    /// When the database refuses us, or is not what it should be; when the address of the comments service is none.
    pub async fn build(config: &Config) -> Result<Self, Failure> {
        let database = config.database.clone();
        let books = Late::connect(move || {
            let database = database.clone();
            async move { SqlBooks::connect(&database).await }
        })
        .await?;
        let comments = BookCommentsClient::new(&Channel::new(&config.comments.address)?);
        let service = DetailsService::new(books.clone(), comments).with_comments_timeout(config.comments.timeout);
        let endpoints = BookDetailsEndpoints::new(service)
            .with(&SlowCalls::new(config.slow_call))
            .with(&StandardStack::server(&config.standard));
        Ok(Self { endpoints, books })
    }

    /// One endpoint for each method, with the middleware around it.
    pub fn endpoints(&self) -> &BookDetailsEndpoints {
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
        if let Ok(books) = self.books.get() {
            books.database().close().await;
        }
    }
}
