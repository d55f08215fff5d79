//! Which source wins, how values are read, and what is printed.

use std::collections::BTreeMap;

use super::*;
use crate::config::{Origin, Setting};

/// A file that goes away with the test.
pub(super) struct TempFile(pub(super) std::path::PathBuf);

impl TempFile {
    pub(super) fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("kit-config-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn without_sources_there_is_the_default() {
    assert_eq!(load(Loader::new("APP")).config, Config::default());
    assert_eq!(load(yaml("")).config, Config::default());
    assert_eq!(load(yaml("# nothing\n")).config, Config::default());
}

#[test]
fn a_later_source_wins() {
    let file = TempFile::new("wins.yaml", "name: file\nport: 1\nhosts: [file]\nworkers: 1\n");
    let dotenv = TempFile::new("wins.env", "export APP_PORT=2 # comment\nAPP_HOSTS='dotenv'\nAPP_WORKERS=2\nOTHER=x\n");
    let loaded = load(
        Loader::new("APP")
            .file(&file.0)
            .optional_file("/does/not/exist.yaml")
            .text("more.yaml", "hosts: [more]\n")
            .env_file(&dotenv.0)
            .env_file("/does/not/exist.env")
            .env([("APP_WORKERS", "3"), ("OTHER", "y"), ("APPLE", "z")]),
    );
    let expected =
        Config { name: "file".into(), port: 2, hosts: vec!["dotenv".into()], workers: Some(3), ..Config::default() };
    assert_eq!(loaded.config, expected);
    let origin = |key: &str| {
        let mut settings = loaded.settings().iter();
        settings.find(|setting| setting.key() == key).map(|setting| setting.origin().to_string())
    };
    assert_eq!(origin("name"), Some(format!("{}:1", file.0.display())));
    assert_eq!(origin("hosts"), Some(format!("{}:2", dotenv.0.display())));
    assert_eq!(origin("workers").as_deref(), Some("env APP_WORKERS"));
    assert_eq!(origin("ratio").as_deref(), Some("default"));
}

#[test]
fn sections_of_files_are_merged() {
    let loaded = load(yaml("database: {url: a, max_connections: 5}").text("b.yaml", "database:\n  url: b\n"));
    assert_eq!(loaded.config.database.url, "b");
    assert_eq!(loaded.config.database.max_connections, 5);
}

#[test]
fn anchors_and_merge_keys_work_and_null_is_an_empty_section() {
    let loaded =
        load(yaml("peers:\n- &base {cert: a, depth: 3}\n- <<: *base\n  cert: b\ndatabase:\nhosts:\nports: [1]\n"));
    assert_eq!(loaded.config.peers[1], Tls { cert: "b".into(), depth: 3 });
    assert_eq!(loaded.config.hosts, [""; 0]);
    assert_eq!(loaded.config.database.url, "sqlite:books.db");
}

/// The text of a plain scalar must reach a string unchanged, and words stay words.
#[test]
fn yaml_scalars_fit_strings_as_they_are_written() {
    for (text, expected) in [
        ("name: 1.10", "1.10"),
        ("name: 007", "007"),
        ("name: 0x1F", "0x1F"),
        ("name: True", "True"),
        ("name: no", "no"),
        ("name: \"5\"", "5"),
        ("é: &a 1.50\nname: *a", "1.50"),
        ("labels: {é: é, x: 1}\nname: 2.0", "2.0"),
        ("name: 99999999999999999999999", "99999999999999999999999"),
    ] {
        let text =
            text.strip_prefix("é: &a 1.50\n").map_or(text.to_owned(), |rest| format!("labels: {{é: &a 1.50}}\n{rest}"));
        assert_eq!(load(yaml(&text)).config.name, expected, "{text}");
    }
}

#[test]
fn variables_are_read_by_the_type_of_the_field() {
    let config = env(&[
        ("APP_NAME", "123"),
        ("APP_PORT", " 80 "),
        ("APP_RATIO", "1"),
        ("APP_DEBUG", "Yes"),
        ("APP_DRAIN", "1.5s"),
        ("APP_IDLE", "2m"),
        ("APP_WORKERS", "4"),
        ("APP_HOSTS", "a, 1 ,true"),
        ("APP_PORTS", "[1, 2]"),
        ("APP_MODE", "{cluster: {seed: s}}"),
        ("APP_LABELS", "{a: b, c: 1}"),
        ("APP_DATABASE_MAX_CONNECTIONS", "7"),
        ("APP_DATABASE_PASSWORD", "{pa55"),
        ("APP_TLS", "{\"cert\": \"x.pem\"}"),
        ("APP_PEERS", "[{cert: a}, {cert: b, depth: 2}]"),
    ]);
    let expected = Config {
        name: "123".into(),
        port: 80,
        ratio: 1.0,
        debug: true,
        drain: Duration::from_millis(1500),
        idle: Some(Duration::from_secs(120)),
        workers: Some(4),
        hosts: vec!["a".into(), "1".into(), "true".into()],
        ports: vec![1, 2],
        mode: Mode::Cluster { seed: "s".into() },
        labels: HashMap::from([("a".into(), "b".into()), ("c".into(), "1".into())]),
        database: Database { max_connections: 7, password: "{pa55".into(), ..Database::default() },
        tls: Some(Tls { cert: "x.pem".into(), depth: 0 }),
        peers: vec![Tls { cert: "a".into(), depth: 0 }, Tls { cert: "b".into(), depth: 2 }],
    };
    assert_eq!(config, expected);
    assert_eq!(env(&[("APP_MODE", "container"), ("APP_PORTS", "3,4")]).ports, [3, 4]);
}

#[test]
fn an_empty_variable_is_none_or_an_empty_list() {
    let loaded = load(yaml("workers: 3\nhosts: [a]\n").env([("APP_WORKERS", ""), ("APP_HOSTS", ""), ("APP_NAME", "")]));
    assert_eq!(loaded.config.workers, None);
    assert_eq!(loaded.config.hosts, [""; 0]);
    assert_eq!(loaded.config.name, "");
}

#[test]
fn what_a_file_adds_can_be_set_by_variables() {
    let loaded =
        load(yaml("tls: {cert: a}\nlabels: {zone-id: x}\n").env([("APP_TLS_CERT", "b"), ("APP_LABELS_ZONE_ID", "y")]));
    assert_eq!(loaded.config.tls, Some(Tls { cert: "b".into(), depth: 0 }));
    assert_eq!(loaded.config.labels["zone-id"], "y");
}

#[test]
fn types_that_hide_what_they_expect_are_filled_too() {
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Outer {
        #[serde(flatten)]
        inner: Inner,
        either: Either,
    }
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Inner {
        text: String,
        number: u16,
        maybe: Option<bool>,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u16),
        Word(String),
    }
    impl Default for Either {
        fn default() -> Self {
            Self::Number(1)
        }
    }
    let variables = [("TEXT", "1"), ("NUMBER", "2"), ("MAYBE", "true"), ("EITHER", "x")];
    // An empty prefix: what is no key belongs to somebody else.
    let loaded = Loader::new("").env(variables).env([("HOME", "/")]).load::<Outer>().unwrap();
    let inner = Inner { text: "1".into(), number: 2, maybe: Some(true) };
    assert_eq!(loaded.config, Outer { inner, either: Either::Word("x".into()) });
}

/// Regression: one variable in a section gave the rest of the section the defaults of its own type.
#[test]
fn a_section_keeps_the_defaults_of_the_whole() {
    let loaded = load(yaml("database: {url: x}"));
    assert_eq!(loaded.config.database.max_connections, 20);
    assert!(loaded.print().contains("database.max_connections = 20    # default"), "{loaded}");
    let config = env(&[("APP_DATABASE_PASSWORD", "p")]).database;
    assert_eq!((config.max_connections, config.password.expose()), (20, "p"));
}

#[test]
fn variables_of_others_are_ignored() {
    let loader = Loader::new("app_")
        .env([
            ("APP_HOME", "/"),
            ("APP_TEST_X", "1"),
            ("APP_SERVICE_HOST", "10.0.0.1"),
            ("APP_DB_PORT_3306_TCP_ADDR", "10.0.0.1"),
        ])
        .ignore_env(["APP_HOME", "APP_TEST_*"]);
    assert_eq!(load(loader).config, Config::default());
}

#[test]
fn prints_each_value_with_its_origin_and_no_secret() {
    let loaded = load(
        yaml("name: \"a\\nb\"\ndatabase:\n  dsn: mysql://root:pa55@db/books\nhosts:\n- x\n- y://u:pa55@h\n")
            .env([("APP_DATABASE_PASSWORD", "pa55"), ("APP_TLS", "{cert: c}")]),
    );
    let expected = r#"name = "a\nb"                                       # app.yaml:1
port = 8080                                         # default
ratio = 0.1                                         # default
debug = false                                       # default
drain = "30s"                                       # default
idle = null                                         # default
workers = null                                      # default
hosts = ["x", "y://u:***@h"]                        # app.yaml:4
ports = []                                          # default
mode = "local"                                      # default
labels = {}                                         # default
database.url = "mysql://root:***@db/books"          # app.yaml:2
database.max_connections = 20                       # default
database.password = "***"                           # env APP_DATABASE_PASSWORD
tls.cert = "c"                                      # env APP_TLS
tls.depth = 0                                       # env APP_TLS
peers = []                                          # default"#;
    let squeeze = |text: &str| {
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.collect::<Vec<_>>()
    };
    assert_eq!(squeeze(&loaded.print()), squeeze(expected));
    let columns: Vec<_> = loaded.print().lines().map(|line| line.find(" # ")).collect();
    assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "{loaded}");
    assert!(!format!("{loaded} {loaded:?} {:?}", loaded.settings()).contains("pa55"));
    assert!(!format!("{:?}", loaded.config.database.password).contains("pa55"));
    let port = loaded.settings().iter().find(|setting| setting.key() == "port");
    assert_eq!(port.map(Setting::origin), Some(&Origin::Default));
}

/// Regression: the parser buffers comments before it knows what they belong to, and limits that.
#[test]
fn long_comments_are_fine() {
    let comment = "  # why\n".repeat(500);
    assert_eq!(load(yaml(&format!("{comment}database:\n{comment}  url: x\n{comment}"))).config.database.url, "x");
}

/// What is a plain string or number is as secret as a [`Secret`] when its key says so.
#[test]
fn a_key_that_says_that_its_value_is_secret_hides_it() {
    #[derive(Default, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Plain {
        user: String,
        password: String,
        has_password: bool,
        api_key: Option<String>,
        pass: u32,
        tokens: BTreeMap<String, String>,
        peers: Vec<BTreeMap<String, String>>,
        secrets: Vec<String>,
        old_secrets: Vec<String>,
    }

    let text = "user: ann\npassword: s3cret\nhas_password: true\npass: 734\ntokens: {ann: s3cret}\n\
                peers: [{name: b, client-secret: s3cret}]\nsecrets: [s3cret]\n";
    let loaded = yaml(text).load::<Plain>().unwrap();
    let values: Vec<_> = loaded.settings().iter().map(|setting| (setting.key(), setting.value())).collect();
    let hidden = r#""***""#;
    assert_eq!(
        values,
        [
            ("user", r#""ann""#),
            ("password", hidden),
            ("has_password", "true"),
            ("api_key", "null"),
            ("pass", hidden),
            ("tokens.ann", hidden),
            ("peers", r#"[{"client-secret": "***", "name": "b"}]"#),
            ("secrets", hidden),
            ("old_secrets", "[]"),
        ]
    );
    assert!(!format!("{loaded} {loaded:?}").contains("s3cret") && !loaded.print().contains("734"));
}

#[test]
fn a_section_that_may_be_left_out_is_so_by_a_variable() {
    use crate::middleware::ServerStackConfig;

    let load = |env: &[(&str, &str)]| Loader::new("APP").env(env.iter().copied()).load::<ServerStackConfig>();
    assert_eq!(load(&[("APP_BBR", "none")]).unwrap().config.bbr, None);
    let limited = load(&[("APP_RATE_LIMIT", "{\"limit\": 7}")]).unwrap().config.rate_limit.unwrap();
    assert_eq!(limited.limit, 7);
    for (env, why) in [
        (&[("APP_BBR", "some")][..], "`bbr` is a section"),
        (&[("APP_TIMEOUT", "nothing")], "`timeout` is a section"),
        (&[("APP_BBR", "none"), ("APP_BBR_BUCKETS", "10")], "sets `bbr` as a whole"),
        (&[("APP_RATE_LIMIT", "some")], "`none` to leave the layer out"),
    ] {
        let error = load(env).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
