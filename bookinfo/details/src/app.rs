//! The service with everything around it, made from its settings.

use std::time::Duration;

use bookcomments::proto::comments::{BookCommentsClient, BookCommentsEndpoints};
use bookcommon::Failure;
use kit::{
    Context, Endpoints as _, Error,
    cache::Cached,
    client::Channel,
    config::Loaded,
    instruments::Instruments,
    middleware::StandardStack,
    server::{Check, Server},
    sql::Late,
};

use crate::{
    config::Config, proto::details::BookDetailsEndpoints, repository::SqlBooks, service::DetailsService,
    slow_calls::SlowCalls,
};

/// How long closing the database may take: no call runs any more, so there is only goodbye to be said.
const CLOSE: Duration = Duration::from_secs(5);

/// The service, ready to be served.
#[derive(Clone, Debug)]
pub struct App {
    endpoints: BookDetailsEndpoints,
    books: Late<SqlBooks>,
    comments: Channel,
    client: BookCommentsClient,
    around: StandardStack,
    around_client: StandardStack,
    instruments: Instruments,
}

impl App {
    /// Puts the service together. Neither a database nor a comments service that is away stops it: without the one calls
    /// are `UNAVAILABLE` until it is back, without the other books have no comments.
    ///
    /// # Errors
    /// When the database refuses us, or is not what it should be; when the address of the comments service is none.
    pub async fn build(config: &Config, instruments: Instruments) -> Result<Self, Failure> {
        let telemetry = instruments.telemetry();
        let (database, observed) = (config.database.clone(), instruments.clone());
        let books = Late::connect(move || {
            let (database, observed) = (database.clone(), observed.clone());
            async move {
                let books = SqlBooks::connect(&database).await?;
                observed.observe(|metrics| books.database().observe(metrics));
                Ok(books)
            }
        })
        .await?;
        let comments = Channel::new(&config.comments.address)?;
        let around_client =
            StandardStack::client(&config.comments.standard, comments.transport())?.watched_by(&telemetry);
        let client = BookCommentsClient::new(&comments).with(&around_client);
        let kept = Cached::new("books:", config.cache.open()?, &config.cache);
        kept.observe(instruments.metrics())?;
        let service = DetailsService::new(books.clone(), client.clone())
            .with_comments_timeout(config.comments.timeout)
            .with_cache(kept);
        let around = StandardStack::server(&config.standard)?.watched_by(&telemetry);
        let endpoints = BookDetailsEndpoints::new(service).with(&SlowCalls::new(config.slow_call)).with(&around);
        Ok(Self { endpoints, books, comments, client, around, around_client, instruments })
    }

    /// One endpoint for each method, with the middleware around it.
    pub fn endpoints(&self) -> &BookDetailsEndpoints {
        &self.endpoints
    }

    /// A server for the service on the ports of the settings. It is ready while the database answers, and closes it at the stop.
    pub fn server(&self, config: &Config) -> Server {
        let (books, comments, app) = (self.books.clone(), self.comments.clone(), self.clone());
        let database = Check::new("database", move || {
            let books = books.clone();
            async move { Ok(books.get()?.database().check().await?) }
        });
        // Books are answered without them, too.
        let comments = Check::new("comments", move || {
            let comments = comments.clone();
            async move { comments.check(&Context::background(), BookCommentsEndpoints::SERVICE.name).await }
        });
        let server = Server::new()
            .config(config.server.clone())
            .http_config(config.http.clone())
            .grpc_config(config.grpc.clone())
            .reflection(config.reflection)
            .service(&self.endpoints)
            .check(database)
            .check(comments.informational())
            .on_stop("database", CLOSE, || async move { app.close().await });
        let server = self.instruments.serve_with(server, |debug| debug.client(self.client.endpoints()));
        if config.http_addr == config.grpc_addr && config.http_addr.port() != 0 {
            server.shared(config.http_addr)
        } else {
            server.http(config.http_addr).grpc(config.grpc_addr)
        }
    }

    /// Takes changed settings of the chains over while the service runs, as long as it does. All others wait for a restart.
    ///
    /// # Errors
    /// When the service stops.
    pub fn follow(&self, loaded: &Loaded<Config>) -> Result<(), Error> {
        let (service, client) = (self.around.clone(), self.around_client.clone());
        let watch = loaded.watch().live(["standard", "comments.standard"]).run(move |config: &Config| {
            service.check(&config.standard)?;
            client.reconfigure_client(&config.comments.standard)?;
            service.reconfigure(&config.standard)
        });
        self.instruments.tasks().spawn_until_stopped("settings", |stop| async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = watch => {}
            }
        })
    }

    /// Waits until the database is there.
    pub async fn available(&self) {
        self.books.available().await;
    }

    /// Closes the connections to the database, after the last call. A server of this service does it at its stop.
    pub async fn close(&self) {
        if let Ok(books) = self.books.get() {
            books.database().close().await;
        }
    }
}
