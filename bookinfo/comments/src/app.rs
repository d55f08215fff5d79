//! The service with everything around it, made from its settings.

use std::time::Duration;

use bookcommon::Failure;
use kit::{
    Error,
    cache::Cached,
    config::Loaded,
    instruments::Instruments,
    middleware::StandardStack,
    server::{Check, Server},
    sql::Late,
};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::Audited, config::Config, proto::comments::BookCommentsEndpoints, repository::SqlComments,
    service::CommentsService,
};

/// How long closing the database may take: no call runs any more, so there is only goodbye to be said.
const CLOSE: Duration = Duration::from_secs(5);

/// The service, ready to be served.
#[derive(Clone, Debug)]
pub struct App {
    endpoints: BookCommentsEndpoints,
    comments: Late<SqlComments>,
    draining: CancellationToken,
    around: StandardStack,
    instruments: Instruments,
}

impl App {
    /// Puts the service together. A database that is away does not stop it: calls are `UNAVAILABLE` until it is back.
    ///
    /// # Errors
    /// When the database refuses us, or is not what it should be.
    pub async fn build(config: &Config, instruments: Instruments) -> Result<Self, Failure> {
        let telemetry = instruments.telemetry();
        let (database, observed) = (config.database.clone(), instruments.clone());
        let comments = Late::connect(move || {
            let (database, observed) = (database.clone(), observed.clone());
            async move {
                let comments = SqlComments::connect(&database).await?;
                observed.observe(|metrics| comments.database().observe(metrics));
                Ok(comments)
            }
        })
        .await?;
        let draining = CancellationToken::new();
        let lists = Cached::new("lists:", config.cache.open()?, &config.cache);
        lists.observe(instruments.metrics())?;
        let service = CommentsService::new(comments.clone())
            .with_watch_interval(config.watch.interval)
            .with_cache(lists)
            .with_stop(draining.clone());
        let around = StandardStack::server(&config.chain())?.watched_by(&telemetry);
        let endpoints = BookCommentsEndpoints::new(Audited::new(service)).with(&around);
        Ok(Self { endpoints, comments, draining, around, instruments })
    }

    /// One endpoint for each method, with the middleware around it.
    pub fn endpoints(&self) -> &BookCommentsEndpoints {
        &self.endpoints
    }

    /// A server for the service on the ports of the settings. It is ready while the database answers; at the stop it ends all
    /// watching, and closes the database.
    pub fn server(&self, config: &Config) -> Server {
        let (comments, app) = (self.comments.clone(), self.clone());
        let database = Check::new("database", move || {
            let comments = comments.clone();
            async move { Ok(comments.get()?.database().check().await?) }
        });
        let server = Server::new()
            .config(config.server.clone())
            .http_config(config.http.clone())
            .grpc_config(config.grpc.clone())
            .reflection(config.reflection)
            .service(&self.endpoints)
            .check(database)
            .draining(&self.draining)
            .on_stop("database", CLOSE, || async move { app.close().await });
        let server = self.instruments.serve(server);
        if config.http_addr == config.grpc_addr && config.http_addr.port() != 0 {
            server.shared(config.http_addr)
        } else {
            server.http(config.http_addr).grpc(config.grpc_addr)
        }
    }

    /// Takes changed settings of the chain over while the service runs, as long as it does. All others wait for a restart.
    ///
    /// # Errors
    /// When the service stops.
    pub fn follow(&self, loaded: &Loaded<Config>) -> Result<(), Error> {
        let service = self.around.clone();
        let watch = loaded.watch().live(["standard"]).run(move |config: &Config| service.reconfigure(&config.chain()));
        self.instruments.tasks().spawn_until_stopped("settings", |stop| async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = watch => {}
            }
        })
    }

    /// Waits until the database is there.
    pub async fn available(&self) {
        self.comments.available().await;
    }

    /// Closes the connections to the database, after the last call. A server of this service does it at its stop.
    pub async fn close(&self) {
        if let Ok(comments) = self.comments.get() {
            comments.database().close().await;
        }
    }
}
