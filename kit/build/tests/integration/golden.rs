//! Generated code, compared with files that a person has read. `KIT_BLESS=1` writes them anew.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use kit_build::Builder;

/// The folder of this crate.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A new, empty folder for one test.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a temporary folder can be made");
    folder
}

/// Compares generated files with those of `expected`, or writes them there.
pub(crate) fn compare(builder: Builder, scratch_name: &str, expected: &Path, keep: impl Fn(&str) -> bool) {
    let out = scratch(scratch_name);
    builder.out_dir(&out).api_version("1.0.0").compile().expect("the files are right");
    let read = |folder: &Path| -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| keep(name))
            .map(|name| (name.clone(), fs::read(folder.join(name)).expect("it can be read")))
            .collect()
    };
    let written = read(&out);
    if std::env::var_os("KIT_BLESS").is_some() {
        let _ = fs::create_dir_all(expected);
        for (name, content) in &written {
            fs::write(expected.join(name), content).expect("goldens can be written");
        }
    }
    let known = read(expected);
    assert_eq!(known.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>(), "files; KIT_BLESS=1 writes them");
    for (name, content) in &written {
        assert!(
            known.get(name) == Some(content),
            "{name} differs from its golden; KIT_BLESS=1 writes it anew, then read it"
        );
    }
}

fn golden(case: &str, files: &[&str], folder: &Path) {
    let builder = files.iter().fold(Builder::new().include(folder), |builder, file| builder.file(folder.join(file)));
    compare(builder, &format!("golden-{case}"), &root().join("tests/golden").join(case), |_| true);
}

#[test]
fn bookinfo() {
    golden("bookinfo", &["details.proto", "comments.proto"], &root().join("../../proto"));
}

#[test]
fn everything() {
    let files = ["everything.proto", "everything_nested.proto", "everything_bare.proto"];
    golden("everything", &files, &root().join("tests/golden"));
}

/// The code that the kit's examples and tests run on: the kit has no build script, so it is kept beside them.
#[test]
fn kit() {
    for case in ["hello", "chat", "echo"] {
        let protos = root().join("../examples/proto");
        let builder = Builder::new().include(&protos).file(protos.join(format!("{case}.proto")));
        compare(builder, &format!("kit-{case}"), &root().join("../examples/generated").join(case), |_| true);
    }
    let protos = root().join("../tests/proto");
    for case in ["extra", "validated"] {
        let builder = Builder::new().include(&protos).file(protos.join(format!("{case}.proto")));
        compare(builder, &format!("kit-{case}"), &root().join("../tests/generated").join(case), |_| true);
    }
}
