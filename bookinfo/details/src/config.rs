//! The settings of the service: `config/local.yaml`, `config/container.yaml`, and `BOOKDETAILS_...` in the environment.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use bookcomments::proto::comments::BookCommentsEndpoints;
use bookcommon::{Settings, limited_chain};
use kit::{
    Endpoints as _,
    cache::CacheConfig,
    config::{Validate, Violations},
    instruments::InstrumentsConfig,
    middleware::{ClientStackConfig, ServerStackConfig},
    server::ServerConfig,
    sql::DatabaseConfig,
    telemetry::log::LogConfig,
    transport::{grpc::GrpcConfig, http::HttpConfig},
};
use serde::{Deserialize, Serialize};

use crate::{proto::details::BookDetailsEndpoints, repository, service};

/// Where the settings come from.
pub const SETTINGS: Settings = Settings {
    prefix: "BOOKDETAILS",
    folder: env!("CARGO_MANIFEST_DIR"),
    local: include_str!("../config/local.yaml"),
    container: include_str!("../config/container.yaml"),
};

/// Half a second: ten times what a call with a healthy database and comments service takes on a busy machine.
const SLOW_CALL: Duration = Duration::from_millis(500);

/// The settings of the service. The defaults are those of a developer's machine, but that nothing is migrated or seeded.
///
/// ```
/// use bookcommon::Surroundings;
/// use bookdetails::config::{Config, SETTINGS};
///
/// let env = vec![("BOOKDETAILS_COMMENTS_TIMEOUT".into(), "250ms".into())];
/// let loaded = SETTINGS.load_built_in::<Config>(&Surroundings { folder: "/nowhere".into(), env })?;
/// assert_eq!(loaded.config.comments.timeout.as_millis(), 250);
/// # Ok::<(), kit::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where HTTP/JSON is served. Default: 127.0.0.1:5001.
    pub http_addr: SocketAddr,
    /// Where gRPC is served. Default: 127.0.0.1:5002.
    pub grpc_addr: SocketAddr,
    /// The file that holds the number of the process while it runs. Default: none.
    pub pid_file: Option<PathBuf>,
    /// The database.
    pub database: DatabaseConfig,
    /// The comments service.
    pub comments: CommentsConfig,
    /// Where books are kept, and for how long. Default: in memory, for a minute.
    pub cache: CacheConfig,
    /// Calls that take longer are logged as slow. Default: 500 ms.
    #[serde(with = "kit::config::duration")]
    pub slow_call: Duration,
    /// The chain of middleware around every method. Default: ten calls a second, ten at once, see [`limited_chain`].
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
    /// Figures, traces, error reports, the debug port. Default: figures on 127.0.0.1:5004, the debug port on 127.0.0.1:5003.
    pub telemetry: InstrumentsConfig,
}

/// How the comments service is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommentsConfig {
    /// Its address; the scheme says how it is called. Default: `grpc://127.0.0.1:5012`.
    pub address: String,
    /// How long a book waits for its comments. Default: 1 s.
    #[serde(with = "kit::config::duration")]
    pub timeout: Duration,
    /// The chain of middleware around every call. Default: attempts are repeated, a breaker spares a service that fails.
    pub standard: ClientStackConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 5001)),
            grpc_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 5002)),
            pid_file: None,
            database: DatabaseConfig::new(repository::DEFAULT_URL),
            comments: CommentsConfig::default(),
            cache: CacheConfig { prefix: "bookdetails:".to_owned(), ..CacheConfig::default() },
            slow_call: SLOW_CALL,
            standard: limited_chain(),
            http: HttpConfig::default(),
            grpc: GrpcConfig::default(),
            server: ServerConfig::default(),
            reflection: false,
            log: LogConfig::default(),
            telemetry: InstrumentsConfig::new(5003, 5004),
        }
    }
}

impl Default for CommentsConfig {
    fn default() -> Self {
        Self {
            address: "grpc://127.0.0.1:5012".to_owned(),
            timeout: service::COMMENTS_TIMEOUT,
            standard: ClientStackConfig::default(),
        }
    }
}

impl Validate for Config {
    fn validate(&self, report: &mut Violations) {
        report.section("database", &self.database);
        report.section("standard", &self.standard.of(&[BookDetailsEndpoints::SERVICE]));
        report.section("server", &self.server);
        report.section("http", &self.http);
        report.section("grpc", &self.grpc);
        report.section("log", &self.log);
        report.section("telemetry", &self.telemetry);
        report.section("cache", &self.cache);
        report.section("comments", &self.comments);
    }
}

impl Validate for CommentsConfig {
    fn validate(&self, report: &mut Violations) {
        report.require(!self.timeout.is_zero(), "timeout", "is 0, in which nobody can answer: the default is 1s");
        report.section("standard", &self.standard.of(&[BookCommentsEndpoints::SERVICE]));
        if !is_address(&self.address) {
            report.add(
                "address",
                "must be a scheme (grpc, grpcs, http or https), a host and a port, as in grpc://127.0.0.1:5012",
            );
        }
    }
}

fn is_address(address: &str) -> bool {
    let Some((scheme, authority)) = address.split_once("://") else { return false };
    let Some((host, port)) = authority.rsplit_once(':') else { return false };
    let is_host_char = |char: char| char.is_ascii_alphanumeric() || "-._[]:".contains(char);
    ["grpc", "grpcs", "http", "https"].contains(&scheme)
        && !host.is_empty()
        && host.chars().all(is_host_char)
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn addresses_are_a_scheme_a_host_and_a_port() {
        for right in
            ["grpc://127.0.0.1:5012", "grpcs://comments.example:443", "http://[::1]:80", "https://books-comments:1"]
        {
            assert!(is_address(right), "{right}");
        }
        for wrong in
            ["", "127.0.0.1:5012", "ftp://a:1", "grpc://a", "grpc://:1", "grpc://a:0", "grpc://a:x", "grpc://a/b:1"]
        {
            assert!(!is_address(wrong), "{wrong}");
        }
    }
}
