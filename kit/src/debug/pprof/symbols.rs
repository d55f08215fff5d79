//! Names, files and lines of addresses of this process.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use backtrace::SymbolName;

use super::Mappings;

/// How many addresses are remembered; a program runs through some thousands, and each takes a few hundred bytes.
const REMEMBERED: usize = 32_768;

/// A function and a line in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::debug) struct Line {
    pub(super) function: Arc<str>,
    pub(super) file: Arc<str>,
    pub(super) line: u32,
}

/// An address of the program: the innermost function that was inlined there first, the one that was really called last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::debug) struct Location {
    pub(super) address: u64,
    pub(super) lines: Arc<[Line]>,
}

impl Hash for Location {
    /// The address tells nearly all, and names are long.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.address, self.lines.len()).hash(state);
    }
}

impl Location {
    /// Without the innermost functions of it, of which there are more than that.
    #[cfg(feature = "heap")]
    pub(in crate::debug) fn without(&self, innermost: usize) -> Self {
        Self { address: self.address, lines: self.lines.get(innermost..).unwrap_or_default().into() }
    }

    /// The names, innermost first.
    pub(in crate::debug) fn functions(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.lines.iter().map(|line| &*line.function)
    }
}

/// Looks addresses up in the debugging information of the program and remembers them.
#[derive(Debug, Default)]
pub(in crate::debug) struct Symbols(Mutex<HashMap<u64, Location>>);

impl Symbols {
    /// What is at an address. Blocks: the first look-up reads the debugging information.
    pub(in crate::debug) fn locate(&self, address: u64, mappings: &Mappings) -> Location {
        let remembered = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(location) = remembered().get(&address) {
            return location.clone();
        }
        let mut lines = Vec::new();
        // It takes what it is given for a return address, and looks at the instruction before.
        let after = usize::try_from(address).unwrap_or_default().wrapping_add(1);
        backtrace::resolve(after as *mut _, |symbol| {
            let file = symbol.filename().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
            // Without the hash that the compiler appends.
            let function = symbol.name().map(|name| qualified(&format!("{name:#}"), &file)).unwrap_or_default();
            lines.push(Line {
                function: function.into(),
                file: file.into(),
                line: symbol.lineno().unwrap_or_default(),
            });
        });
        if lines.is_empty() {
            lines.push(Line { function: "".into(), file: "".into(), line: 0 });
        }
        // The outermost is the function that there is in the program; the others are in it.
        if let Some(line) = lines.last_mut() {
            if let Some(name) = mappings.function_at(address) {
                line.function = format!("{:#}", SymbolName::new(name)).into();
            } else if line.function.is_empty() {
                line.function = mappings.name_of(address).into();
            }
        }
        let location = Location { address, lines: lines.into() };
        let mut remembered = remembered();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(address, location.clone());
        location
    }
}

/// The name of a function with its path. Line tables have only the last part of it, so the rest is told from the file:
/// `{closure#0}` in `.../tokio-1.54.1/src/task/coop/mod.rs` is in `tokio::task::coop`.
fn qualified(name: &str, file: &str) -> String {
    // What comes in angle brackets are types: they are long and hide the name.
    let name = match name.split_once('<') {
        Some((name, _)) if !name.is_empty() => name,
        _ => name,
    };
    if name.contains("::") || name.is_empty() {
        return name.to_owned();
    }
    format!("{}{name}", module_of(file))
}

/// The path of a source file's module, with its last `::`; empty when it can't be told.
fn module_of(file: &str) -> String {
    let Some(file) = file.strip_suffix(".rs") else { return String::new() };
    let parts: Vec<&str> = file.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let (folder, parts) = match parts.iter().rposition(|part| *part == "src") {
        Some(src) => (src.checked_sub(1).and_then(|folder| parts.get(folder)), parts.get(src + 1..)),
        // Tests and examples have no such folder: the file alone says enough.
        None => (None, parts.get(parts.len().saturating_sub(1)..)),
    };
    let mut module = String::new();
    if let Some(folder) = folder {
        // A crate from a registry has its version behind its name.
        let name = match folder.rsplit_once('-') {
            Some((name, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => name,
            _ => folder,
        };
        module = format!("{}::", name.replace('-', "_"));
    }
    for part in parts.unwrap_or_default().iter().filter(|part| !matches!(**part, "mod" | "lib" | "main")) {
        module.push_str(part);
        module.push_str("::");
    }
    module
}

#[cfg(test)]
impl Location {
    /// Functions without anything else known of them.
    pub(in crate::debug) fn named(functions: &[&str]) -> Self {
        let line = |function: &&str| Line { function: (*function).into(), file: "src/a.rs".into(), line: 7 };
        Self { address: 0, lines: functions.iter().map(line).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_function_is_told_from_its_file() {
        for (name, file, expected) in [
            ("{closure#0}", "/home/a/.cargo/x/tokio-1.54.1/src/task/coop/mod.rs", "tokio::task::coop::{closure#0}"),
            ("from_elem<u8>", "/rustc/59/library/alloc/src/vec/mod.rs", "alloc::vec::from_elem"),
            ("main", "bookinfo/common-parts/src/main.rs", "common_parts::main"),
            ("busy", "./tests/profiles/work.rs", "work::busy"),
            ("poll", "src/lib.rs", "poll"),
            ("kit::known", "a/src/b.rs", "kit::known"),
            ("malloc", "malloc.c", "malloc"),
            ("<a as b>::c", "a/src/b.rs", "<a as b>::c"),
            ("f", "", "f"),
        ] {
            assert_eq!(qualified(name, file), expected);
        }
    }

    #[test]
    fn names_functions_and_their_files() {
        let (symbols, mappings) = (Symbols::default(), Mappings::of_this_process());
        let here = names_functions_and_their_files as *const () as u64;
        for _ in 0..2 {
            let location = symbols.locate(here, &mappings);
            let line = location.lines.last().unwrap();
            assert!(line.function.ends_with("tests::names_functions_and_their_files"), "{line:?}");
            assert!(line.file.ends_with("symbols.rs"), "{line:?}");
        }
        assert_eq!(symbols.locate(1, &mappings).functions().collect::<Vec<_>>(), ["[unknown]"]);
    }
}
