//! Programs that read profiles.

use std::{io::Write as _, process::Stdio};

use tokio::process::Command;

/// A program, if this machine has it. It must where `KIT_TEST_SERVICES=required`.
async fn program(name: &str) -> Option<Command> {
    let found = std::env::var_os("PATH")
        .is_some_and(|paths| std::env::split_paths(&paths).any(|folder| folder.join(name).is_file()));
    if found {
        return Some(Command::new(name));
    }
    assert!(
        std::env::var("KIT_TEST_SERVICES").as_deref() != Ok("required"),
        "{name} is not installed, and KIT_TEST_SERVICES=required"
    );
    let _ = writeln!(std::io::stderr(), "skipped: {name} is not installed");
    None
}

/// A line of `go tool pprof -top`.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) flat: f64,
    pub(crate) name: String,
}

/// What `go tool pprof -top` prints: all of it, and its rows.
pub(crate) async fn top(options: &[&str], url: &str) -> Option<(String, Vec<Row>)> {
    let home = tempfile::tempdir().unwrap();
    let mut go = program("go").await?;
    go.args(["tool", "pprof", "-top"]).args(options).arg(url);
    go.env("HOME", home.path()).env("PPROF_TMPDIR", home.path()).env("GOFLAGS", "-mod=mod");
    let output = go.stdin(Stdio::null()).output().await.unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}\n{errors}");
    for complaint in ["not available", "ailed", "rror"] {
        assert!(!errors.contains(complaint), "go tool pprof complains: {errors}");
    }
    let rows = text.lines().skip_while(|line| !line.trim_start().starts_with("flat ")).skip(1);
    let row = |line: &str| {
        let mut columns = line.split_whitespace();
        let flat = columns.next()?.trim_end_matches(|c: char| c.is_alphabetic()).parse().ok()?;
        Some(Row { flat, name: columns.skip(4).collect::<Vec<_>>().join(" ") })
    };
    let rows = rows.filter_map(row).collect();
    Some((text.into_owned(), rows))
}

/// Has a document read by an XML parser.
pub(crate) async fn assert_xml(document: &[u8]) {
    let Some(mut python) = program("python3").await else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), document).unwrap();
    python.args(["-c", "import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])"]).arg(file.path());
    let output = python.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
