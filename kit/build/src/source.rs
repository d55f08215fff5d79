//! The `.proto` files as they were read: descriptors, texts and places.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use prost_reflect::{DescriptorPool, FileDescriptor};
use protox::{
    Compiler,
    file::{ChainFileResolver, GoogleFileResolver, IncludeFileResolver},
};

use crate::{
    error::{Error, Place, Problems},
    google::{self, EmbeddedFileResolver},
};

mod refusal;

/// All files that were given or imported.
pub(crate) struct Sources {
    /// Their descriptors, options and comments included.
    pub pool: DescriptorPool,
    /// Them again, encoded as a `google.protobuf.FileDescriptorSet`.
    pub encoded: Vec<u8>,
    /// Names of the files that were given, in that order.
    pub given: Vec<String>,
    paths: HashMap<String, PathBuf>,
}

impl Sources {
    /// Reads and compiles `files`, which are found in `includes`.
    pub(crate) fn load(files: &[PathBuf], includes: &[PathBuf]) -> Result<Self, Error> {
        if files.is_empty() {
            return Err(Error::new("no .proto file was given: name at least one"));
        }
        let mut resolver = ChainFileResolver::new();
        for include in includes {
            resolver.add(IncludeFileResolver::new(include.clone()));
        }
        resolver.add(EmbeddedFileResolver);
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true).include_source_info(true);

        let mut problems = Problems::default();
        for file in files {
            if let Err(error) = compiler.open_file(file) {
                refusal::refusals(&error, file, includes).into_iter().for_each(|text| problems.add(text));
            }
        }
        problems.check()?;

        let given = compiler.files().filter(|file| !file.is_import()).map(|file| file.name().to_owned()).collect();
        let paths =
            compiler.files().filter_map(|file| Some((file.name().to_owned(), file.path()?.to_owned()))).collect();
        Ok(Self { pool: compiler.descriptor_pool(), encoded: compiler.encode_file_descriptor_set(), given, paths })
    }

    /// The files on disk that were read.
    pub(crate) fn read(&self) -> Vec<&Path> {
        let mut paths: Vec<&Path> = self.paths.values().map(PathBuf::as_path).collect();
        paths.sort_unstable();
        paths
    }

    /// Whether a file was given, rather than imported by one that was.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.given.iter().any(|given| given == name)
    }

    /// The place of what a descriptor's `path` leads to.
    pub(crate) fn place(&self, file: &FileDescriptor, path: &[i32]) -> Place {
        let position = span(file, path).map(|span| (span.line + 1, span.column + 1));
        Place { file: self.shown(file.name()), position }
    }

    /// The place of the text `literal` that follows the word `key` in the option at `path`; that of the option, or of what
    /// it belongs to, where this can't be found. `offset` is a byte of the literal.
    pub(crate) fn place_in_option(
        &self,
        file: &FileDescriptor,
        path: &[i32],
        key: &str,
        literal: &str,
        offset: usize,
    ) -> Place {
        let Some(span) = (2..=path.len()).rev().find_map(|len| span(file, path.get(..len)?)) else {
            return self.place(file, path);
        };
        let text = self.text(file.name()).unwrap_or_default();
        let (line, column) = match find_literal(&text, &span, key, literal) {
            Some((line, column)) => (line, column + offset),
            None => (span.line, span.column),
        };
        Place { file: self.shown(file.name()), position: Some((line + 1, column + 1)) }
    }

    fn shown(&self, name: &str) -> String {
        self.paths.get(name).map_or_else(|| name.to_owned(), |path| shown_path(path))
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.paths.get(name) {
            Some(path) => std::fs::read_to_string(path).ok(),
            None => google::text(name).map(str::to_owned),
        }
    }
}

/// The comment that stands with what a descriptor's `path` leads to, its lines as in the file.
pub(crate) fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let location = file
        .file_descriptor_proto()
        .source_code_info
        .as_ref()
        .and_then(|info| info.location.iter().find(|location| location.path == path));
    let Some(location) = location else { return String::new() };
    let mut text = location.leading_comments().to_owned();
    if !text.is_empty() && !location.trailing_comments().is_empty() {
        text.push('\n');
    }
    text.push_str(location.trailing_comments());
    text
}

/// Where something stands in its file, counted from 0.
struct Span {
    line: usize,
    column: usize,
    last_line: usize,
}

fn span(file: &FileDescriptor, path: &[i32]) -> Option<Span> {
    let info = file.file_descriptor_proto().source_code_info.as_ref()?;
    let location = info.location.iter().find(|location| location.path == path)?;
    let numbers: Vec<usize> = location.span.iter().map_while(|number| usize::try_from(*number).ok()).collect();
    match *numbers.as_slice() {
        [line, column, last_line, _] => Some(Span { line, column, last_line }),
        // On one line the span has only the columns.
        [line, column, _] => Some(Span { line, column, last_line: line }),
        _ => None,
    }
}

fn shown_path(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

/// Where a string literal in `span` begins (its first character inside the quotes): line and column from 0.
fn find_literal(text: &str, span: &Span, key: &str, literal: &str) -> Option<(usize, usize)> {
    let mut word = String::new();
    for (number, line) in text.lines().enumerate().take(span.last_line + 1).skip(span.line) {
        let mut chars = line.char_indices().skip(if number == span.line { span.column } else { 0 }).peekable();
        while let Some((at, c)) = chars.next() {
            if c == '/' && chars.peek().is_some_and(|(_, next)| *next == '/') || c == '#' {
                break;
            }
            if c == '"' || c == '\'' {
                let inside = line.get(at + 1..)?;
                let end = inside.find(c).unwrap_or(inside.len());
                if word == key && inside.get(..end) == Some(literal) {
                    return Some((number, line.get(..=at)?.chars().count()));
                }
                while chars.next_if(|(next, _)| *next <= at + 1 + end).is_some() {}
                word.clear();
            } else if c.is_ascii_alphanumeric() || c == '_' {
                let continues = at > 0 && line.get(..at).is_some_and(|before| before.ends_with(is_word));
                if !continues {
                    word.clear();
                }
                word.push(c);
            }
        }
    }
    None
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
