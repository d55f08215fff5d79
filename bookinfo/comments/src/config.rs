//! The settings of the service: `config/local.yaml`, `config/container.yaml`, and `BOOKCOMMENTS_...` in the environment.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use bookcommon::{Settings, limited_chain};
use kit::{
    Endpoints as _,
    cache::CacheConfig,
    config::{Validate, Violations},
    instruments::InstrumentsConfig,
    middleware::ServerStackConfig,
    server::ServerConfig,
    sql::DatabaseConfig,
    telemetry::log::LogConfig,
    transport::{grpc::GrpcConfig, http::HttpConfig},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{proto::comments::BookCommentsEndpoints, repository, service};

/// Where the settings come from.
pub const SETTINGS: Settings = Settings {
    prefix: "BOOKCOMMENTS",
    folder: env!("CARGO_MANIFEST_DIR"),
    local: include_str!("../config/local.yaml"),
    container: include_str!("../config/container.yaml"),
};

/// Ten seconds: how long the comments that came in through another instance may be missing from a list, where each instance
/// has a memory of its own. In a shared Redis lists live longer, because every instance changes the same ones.
const LISTS_TTL: Duration = Duration::from_secs(10);

/// The settings of the service. The defaults are those of a developer's machine, but that nothing is migrated or seeded.
///
/// ```
/// use bookcomments::config::{Config, SETTINGS};
/// use bookcommon::Surroundings;
///
/// let env = vec![("BOOKCOMMENTS_HTTP_ADDR".into(), "127.0.0.1:8080".into())];
/// let loaded = SETTINGS.load_built_in::<Config>(&Surroundings { folder: "/nowhere".into(), env })?;
/// assert_eq!(loaded.config.http_addr.port(), 8080);
/// # Ok::<(), kit::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where HTTP/JSON is served. Default: 127.0.0.1:5011.
    pub http_addr: SocketAddr,
    /// Where gRPC is served. Default: 127.0.0.1:5012.
    pub grpc_addr: SocketAddr,
    /// The file that holds the number of the process while it runs. Default: none.
    pub pid_file: Option<PathBuf>,
    /// The database.
    pub database: DatabaseConfig,
    /// How comments are watched.
    pub watch: WatchConfig,
    /// Where lists of comments are kept, and for how long. Default: in memory, for 10 s.
    pub cache: CacheConfig,
    /// The chain of middleware around every method. Default: ten calls a second, ten at once, see [`limited_chain`]; but any
    /// number may watch.
    pub standard: ServerStackConfig,
    /// The HTTP/JSON transport.
    pub http: HttpConfig,
    /// The gRPC transport.
    pub grpc: GrpcConfig,
    /// Connections, and how they end.
    pub server: ServerConfig,
    /// Whether gRPC tools may ask which methods there are. Default: false.
    pub reflection: bool,
    /// The log.
    pub log: LogConfig,
    /// Figures, traces, error reports, the debug port. Default: figures on 127.0.0.1:5014, the debug port on 127.0.0.1:5013.
    pub telemetry: InstrumentsConfig,
}

/// How comments are watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WatchConfig {
    /// How often the store is asked for comments that came in through another instance. Those that came in through this one
    /// are sent at once. Default: 1 s.
    #[serde(with = "kit::config::duration")]
    pub interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 5011)),
            grpc_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 5012)),
            pid_file: None,
            database: DatabaseConfig::new(repository::DEFAULT_URL),
            watch: WatchConfig::default(),
            cache: CacheConfig { prefix: "bookcomments:".to_owned(), ttl: LISTS_TTL, ..CacheConfig::default() },
            standard: limited_chain(),
            http: HttpConfig::default(),
            grpc: GrpcConfig::default(),
            server: ServerConfig::default(),
            reflection: false,
            log: LogConfig::default(),
            telemetry: InstrumentsConfig::new(5013, 5014),
        }
    }
}

impl Config {
    /// The chain, in which any number may watch unless it says otherwise: those who watch do nothing most of the time.
    pub fn chain(&self) -> ServerStackConfig {
        let named = ["Watch", "comments.BookComments/Watch"].iter().any(|name| self.standard.methods.contains(name));
        let chain = self.standard.clone();
        if named || chain.breaker.is_none() {
            return chain;
        }
        chain.with_method("Watch", json!({ "breaker": { "max_in_flight": null } }))
    }
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self { interval: service::WATCH_INTERVAL }
    }
}

impl Validate for Config {
    fn validate(&self, report: &mut Violations) {
        report.section("database", &self.database);
        report.section("standard", &self.standard.of(&[BookCommentsEndpoints::SERVICE]));
        report.section("server", &self.server);
        report.section("http", &self.http);
        report.section("grpc", &self.grpc);
        report.section("log", &self.log);
        report.section("telemetry", &self.telemetry);
        report.section("cache", &self.cache);
        report.require(!self.watch.interval.is_zero(), "watch.interval", "is 0, which never rests: the default is 1s");
    }
}
