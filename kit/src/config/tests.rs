//! The loader as its users see it.

mod errors;
mod sources;
mod watch;

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Loaded, Loader, Secret};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    name: String,
    port: u16,
    ratio: f32,
    debug: bool,
    #[serde(with = "super::duration")]
    drain: Duration,
    #[serde(with = "super::duration::option")]
    idle: Option<Duration>,
    workers: Option<u8>,
    hosts: Vec<String>,
    ports: Vec<u16>,
    mode: Mode,
    labels: HashMap<String, String>,
    database: Database,
    tls: Option<Tls>,
    peers: Vec<Tls>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "books".into(),
            port: 8080,
            ratio: 0.1,
            debug: false,
            drain: Duration::from_secs(30),
            idle: None,
            workers: None,
            hosts: vec!["localhost".into()],
            ports: Vec::new(),
            mode: Mode::Local,
            labels: HashMap::new(),
            database: Database { max_connections: 20, ..Database::default() },
            tls: None,
            peers: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Local,
    Container,
    Cluster {
        seed: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Database {
    #[serde(alias = "dsn")]
    url: String,
    max_connections: u32,
    password: Secret,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: "sqlite:books.db".into(), max_connections: 10, password: Secret::default() }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    cert: String,
    #[serde(default)]
    depth: u8,
}

fn yaml(text: &str) -> Loader {
    Loader::new("APP").text("app.yaml", text)
}

fn load(loader: Loader) -> Loaded<Config> {
    loader.load().unwrap()
}

fn env(variables: &[(&str, &str)]) -> Config {
    load(Loader::new("APP").env(variables.iter().copied())).config
}

fn error(loader: Loader) -> String {
    loader.load::<Config>().unwrap_err().to_string()
}

proptest! {
    #[test]
    fn any_text_can_be_loaded(text in any::<String>()) {
        let _ = yaml(&text).load::<Config>();
    }

    #[test]
    fn any_near_miss_can_be_loaded(
        text in "(port|mode|cluster|tls|database|labels|a|: |\n| |  |- |[\\[\\]{},&*!|>'\"#?é]|<<|1|~){0,40}",
    ) {
        let _ = yaml(&text).load::<Config>();
    }

    #[test]
    fn any_variable_can_be_loaded(
        value in "([\\[{,:\"' \\]}]|a|1|é|\\PC){0,12}",
        name in "APP_(PORT|MODE|TLS|LABELS|HOSTS|IDLE|DATABASE|DATABASE_URL|[A-Z_]{0,8})",
    ) {
        let _ = Loader::new("APP").env([(name, value)]).load::<Config>();
    }

    #[test]
    fn a_string_is_never_reinterpreted(value in any::<String>()) {
        prop_assert_eq!(&env(&[("APP_NAME", &value)]).name, &value);
    }
}
