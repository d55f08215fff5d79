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

/// Compares generated files with those of `expected`, or writes them there. Descriptors are left empty: they hold no
/// decision of ours, and nobody can read them.
pub(crate) fn compare(builder: Builder, scratch_name: &str, expected: &Path, keep: impl Fn(&str) -> bool) {
    let out = scratch(scratch_name);
    builder.out_dir(&out).api_version("1.0.0").compile().expect("the files are right");
    let read = |folder: &Path| -> BTreeMap<String, String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| keep(name) && !name.ends_with(".bin"))
            .map(|name| (name.clone(), fs::read_to_string(folder.join(name)).expect("it is text")))
            .collect()
    };
    let written = read(&out);
    if std::env::var_os("KIT_BLESS").is_some() {
        let _ = fs::create_dir_all(expected);
        for (name, text) in &written {
            fs::write(expected.join(name), text).expect("goldens can be written");
        }
        if keep("descriptors.bin") {
            fs::write(expected.join("descriptors.bin"), "").expect("goldens can be written");
        }
    }
    let known = read(expected);
    assert_eq!(known.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>(), "files; KIT_BLESS=1 writes them");
    for (name, text) in &written {
        assert!(
            known.get(name) == Some(text),
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
fn echo() {
    golden("echo", &["echo.proto"], &root().join("tests/proto"));
}

#[test]
fn everything() {
    let files = ["everything.proto", "everything_nested.proto", "everything_bare.proto"];
    golden("everything", &files, &root().join("tests/golden"));
}
