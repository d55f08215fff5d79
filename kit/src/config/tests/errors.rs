//! What each mistake is told as.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::sources::TempFile;
use super::*;
use crate::config::{Validate, Violations};

#[test]
fn mistakes_in_yaml() {
    let bomb = format!(
        "name: x\nlabels:\n  a: &a [x, x, x, x, x, x, x, x, x, x]\n{}",
        "bcdefgh".chars().zip("abcdefg".chars()).fold(String::new(), |text, (new, old)| {
            text + &format!("  {new}: &{new} [{}]\n", vec![format!("*{old}"); 10].join(", "))
        })
    );
    let deep = format!("labels: {}", "[".repeat(5000));
    for (text, expected) in [
        (
            "prot: 1",
            "app.yaml:1:1: prot: unknown field `prot`, expected one of `name`, `port`, `ratio`, `debug`, `drain`, `idle`, `workers`, `hosts`, `ports`, `mode`, `labels`, `database`, `tls`, `peers`",
        ),
        ("name: x\ntls:\n    certs: 1", "app.yaml:3:5: tls.certs: unknown field `certs`, expected `cert` or `depth`"),
        ("tls: {depth: 1}", "app.yaml:1:6: tls.cert: missing field `cert`"),
        ("port: many", "app.yaml:1:7: port: invalid type: string \"many\", expected u16"),
        ("port: \"80\"", "app.yaml:1:7: port: invalid type: string \"80\", expected u16"),
        ("port: 70000", "app.yaml:1:7: port: invalid value: integer `70000`, expected u16"),
        ("port: -1", "app.yaml:1:7: port: invalid value: integer `-1`, expected u16"),
        ("port:", "app.yaml:1:5: port: invalid type: null, expected u16"),
        ("debug: no", "app.yaml:1:8: debug: invalid type: string \"no\", expected a boolean"),
        ("name: [a]", "app.yaml:1:7: name: invalid type: sequence, expected a string"),
        ("database: 5", "app.yaml:1:11: database: invalid type: integer `5`, expected struct Database"),
        ("hosts: {a: b}", "app.yaml:1:8: hosts: invalid type: map, expected a sequence"),
        (
            "peers:\n- cert: a\n- cert: b\n  depth: x",
            "app.yaml:4:10: peers[1].depth: invalid type: string \"x\", expected u8",
        ),
        ("mode: cloud", "app.yaml:1:7: mode: unknown variant `cloud`, expected one of `local`, `container`, `cluster`"),
        ("mode: {cluster: {}}", "app.yaml:1:17: mode.cluster.seed: missing field `seed`"),
        (
            "mode: {local: , cluster: {}}",
            "app.yaml:1:7: mode: expected exactly one key, the variant: local, container, cluster",
        ),
        ("drain: 30", "app.yaml:1:8: drain: the duration `30` has no unit: write `30s` or `30ms`"),
        ("idle: 1.5", "app.yaml:1:7: idle: the duration `1.5` has no unit: write `1.5s` or `1.5ms`"),
        ("database: {url: a, dsn: b}", "app.yaml:1:12: database.url: duplicate field `url`"),
        ("port: 1\nname: x\nport: 2", "app.yaml:3:1: duplicate mapping key: port not allowed here"),
        ("- a", "app.yaml:1:1: expected keys and values (`key: value`)"),
        (
            "\"a\\nb\": 1\nport: 1",
            "app.yaml:1:1: a\\nb: unknown field `a\\nb`, expected one of `name`, `port`, `ratio`, `debug`, `drain`, `idle`, `workers`, `hosts`, `ports`, `mode`, `labels`, `database`, `tls`, `peers`",
        ),
        (
            "mode: \"x://u:pa55@h\"",
            "app.yaml:1:7: mode: unknown variant `x://u:***@h`, expected one of `local`, `container`, `cluster`",
        ),
        ("name: [", "app.yaml:1:7: unclosed bracket '['"),
        ("a: b: c", "app.yaml:1:5: mapping values are not allowed in this context"),
        ("name: *x", "app.yaml:1:7: reference to unknown value"),
        ("name: a\n---\nname: b", "app.yaml:3:1: only single YAML document expected but multiple found"),
        (bomb.as_str(), "app.yaml:7:38: YAML document too large or too complex: total_replayed_events=100001 > 100000"),
        (deep.as_str(), "app.yaml:1:264: recursion limit exceeded"),
    ] {
        assert_eq!(error(yaml(text)), expected);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let dotenv = TempFile::new("all.env", "APP_PORT=x\n=\n");
    let loader = yaml("drain: 1\ntls: {}\ndatabase: {max: 1, max_connections: x}\n")
        .text("bad.yaml", "'")
        .env_file(&dotenv.0)
        .env([("APP_NAMES", "x")]);
    let error = error(loader).replace(&dotenv.0.display().to_string(), ".env");
    assert_eq!(
        error.lines().collect::<Vec<_>>(),
        [
            "bad.yaml:1:1: unclosed quote",
            ".env:2: expected a name of letters, digits and `_` before the `=`",
            "env APP_NAMES: no key has this name; did you mean APP_NAME, for `name`?",
            "app.yaml:1:8: drain: the duration `1` has no unit: write `1s` or `1ms`",
            "app.yaml:2:6: tls.cert: missing field `cert`",
            "app.yaml:3:12: database.max: unknown field `max`, expected one of `dsn`, `url`, `max_connections`, `password`",
            "app.yaml:3:37: database.max_connections: invalid type: string \"x\", expected u32",
            ".env:1: APP_PORT: port: invalid type: string \"x\", expected u16",
        ]
    );
}

#[test]
fn mistakes_in_variables() {
    for (name, value, expected) in [
        ("APP_PORT", "x", "env APP_PORT: port: invalid type: string \"x\", expected u16"),
        ("APP_PORT", "1.5", "env APP_PORT: port: invalid type: floating point `1.5`, expected u16"),
        ("APP_PORT", "70000", "env APP_PORT: port: invalid value: integer `70000`, expected u16"),
        ("APP_WORKERS", "x", "env APP_WORKERS: workers: invalid type: string \"x\", expected u8"),
        ("APP_DEBUG", "maybe", "env APP_DEBUG: debug: invalid type: string \"maybe\", expected a boolean"),
        ("APP_DRAIN", "30", "env APP_DRAIN: drain: the duration `30` has no unit: write `30s` or `30ms`"),
        ("APP_IDLE", "30", "env APP_IDLE: idle: the duration `30` has no unit: write `30s` or `30ms`"),
        ("APP_PORTS", "1,x", "env APP_PORTS: ports[1]: invalid type: string \"x\", expected u16"),
        (
            "APP_MODE",
            "cloud",
            "env APP_MODE: mode: unknown variant `cloud`, expected one of `local`, `container`, `cluster`",
        ),
        ("APP_TLS", "a.pem", "env APP_TLS: tls: invalid type: text, expected struct Tls"),
        ("APP_TLS", "{}", "env APP_TLS: tls.cert: missing field `cert`"),
        (
            "APP_DATABSE_URL",
            "x",
            "env APP_DATABSE_URL: no key has this name; did you mean APP_DATABASE_URL, for `database.url`?",
        ),
        ("APP_URL", "x", "env APP_URL: no key has this name; did you mean APP_DATABASE_URL, for `database.url`?"),
        ("APP_QUITE_DIFFERENT", "x", "env APP_QUITE_DIFFERENT: no key has this name"),
        (
            "APP_DATABASE",
            "{url: x}",
            "env APP_DATABASE: `database` is a section: set its keys one by one, such as APP_DATABASE_MAX_CONNECTIONS",
        ),
        (
            "APP_PORT",
            "tcp://10.0.0.1:80",
            "env APP_PORT: port: invalid type: string \"tcp://10.0.0.1:80\", expected u16",
        ),
    ] {
        assert_eq!(error(Loader::new("APP").env([(name, value)])), expected);
    }
    let broken = error(Loader::new("APP").env([("APP_TLS", "{cert: ")]));
    assert!(broken.starts_with("env APP_TLS: tls: not inline YAML: "), "{broken}");
    let conflict = yaml("name: x\ndatabase: 5").env([("APP_DATABASE_URL", "x")]);
    assert_eq!(
        error(conflict),
        "env APP_DATABASE_URL: database.url: can't be set, because app.yaml:2 sets `database` as a whole\n\
         app.yaml:2:11: database: invalid type: integer `5`, expected struct Database"
    );
    let bytes = OsString::from_vec(vec![0xff]);
    let not_text = Loader::new("APP").env([("APP_NAME", bytes.clone())]).env([(bytes, "x")]);
    assert_eq!(error(not_text), "env APP_NAME: the value is not UTF-8");
}

#[test]
fn mistakes_with_files() {
    let missing = error(Loader::new("APP").file("/does/not/exist.yaml"));
    assert_eq!(missing, "/does/not/exist.yaml: can't be read: No such file or directory (os error 2)");
    let folder = error(Loader::new("APP").env_file("/tmp"));
    assert_eq!(folder, "/tmp: can't be read: Is a directory (os error 21)");
    let binary = TempFile::new("binary.yaml", b"a\xff");
    let endless = TempFile::new("large.yaml", vec![b' '; 4 * 1024 * 1024 + 1]);
    for (file, expected) in [(binary, "is not UTF-8: byte 2 is wrong"), (endless, "is larger than 4 MiB")] {
        let path = file.0.display().to_string();
        assert_eq!(error(Loader::new("APP").optional_file(&file.0)), format!("{path}: {expected}"));
    }
}

#[test]
fn two_keys_with_one_variable() {
    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Outer {
        a_b: u8,
        a: Inner,
        labels: HashMap<String, u8>,
    }
    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Inner {
        b: u8,
    }
    let error = Loader::new("APP").load::<Outer>().unwrap_err();
    assert_eq!(error.to_string(), "the variable APP_A_B would set `a_b` and `a.b`: rename one");

    // The keys of a map are not the program's, so they only matter when the variable is set.
    let labels = yaml("labels: {x-y: a, x_y: b}");
    load(labels.clone());
    assert_eq!(
        super::error(labels.env([("APP_LABELS_X_Y", "c")])),
        "env APP_LABELS_X_Y: could set `labels.x-y` and `labels.x_y`: set them in the file"
    );
}

impl Validate for Config {
    fn validate(&self, report: &mut Violations) {
        report.section("database", &self.database);
        report.require(self.port > 1023, "port", "must be above 1023");
        report.require(self.name != "books", "name", "must be changed");
        report.require(self.hosts.len() > 1, "hosts", "must be several");
        for (index, peer) in self.peers.iter().enumerate() {
            report.section(&format!("peers[{index}]"), peer);
        }
    }
}
impl Validate for Database {
    fn validate(&self, report: &mut Violations) {
        report.require(!self.url.is_empty(), "url", "must be set");
        report.require(self.url.len() < 20, "", "is odd");
    }
}
impl Validate for Tls {
    fn validate(&self, report: &mut Violations) {
        report.require(self.depth < 9, "depth", "must be below 9");
    }
}

#[test]
fn violations_name_the_place() {
    let loader = yaml("database:\n  url: ''\nhosts:\n  - a\npeers:\n- cert: a\n  depth: 9\n").env([("APP_PORT", "80")]);
    assert_eq!(
        loader.load_validated::<Config>().unwrap_err().to_string().lines().collect::<Vec<_>>(),
        [
            "app.yaml:2:3: database.url: must be set",
            "env APP_PORT: port: must be above 1023",
            "default: name: must be changed",
            "app.yaml:3:1: hosts: must be several",
            "app.yaml:7:3: peers[0].depth: must be below 9",
        ]
    );
    let fine = yaml("name: x\nport: 2000\nhosts: [a, b]\n");
    assert_eq!(fine.load_validated::<Config>().unwrap().config.name, "x");
}
