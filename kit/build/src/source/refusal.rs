//! What protox says of files that are no protobuf, in the form of all other problems.

use std::path::{Path, PathBuf};

use miette::{Diagnostic, SourceCode};

use super::shown_path;

/// The texts of an error of `file`: protox finds several problems and shows the first.
pub(super) fn refusals(error: &protox::Error, file: &Path, includes: &[PathBuf]) -> Vec<String> {
    let Some(name) = error.file() else { return vec![without_file(error, file, includes)] };
    let path = includes.iter().map(|include| include.join(name)).find(|path| path.is_file());
    let shown = path.map_or_else(|| name.to_owned(), |path| shown_path(&path));
    // Its Display leaves the place out; its Debug is `name:line:column: message`.
    let text = format!("{error:?}");
    let text = match text.strip_prefix(name) {
        Some(rest) if rest.starts_with(':') => format!("{shown}{rest}"),
        _ => format!("{shown}: {text}"),
    };
    let mut texts = vec![with_help(text, error)];
    for related in error.related().into_iter().flatten() {
        let place = match position(related, error.source_code()) {
            Some((line, column)) => format!("{shown}:{line}:{column}"),
            None => shown.clone(),
        };
        texts.push(with_help(format!("{place}: {related}"), related));
    }
    texts
}

fn with_help(text: String, problem: &dyn Diagnostic) -> String {
    match problem.help() {
        Some(help) => format!("{text}: {help}"),
        None => text,
    }
}

fn position(problem: &dyn Diagnostic, source: Option<&dyn SourceCode>) -> Option<(usize, usize)> {
    // Where there are two, the first shows what it clashes with.
    let label = problem.labels()?.last()?;
    let contents = problem.source_code().or(source)?.read_span(label.inner(), 0, 0).ok()?;
    Some((contents.line() + 1, contents.column() + 1))
}

fn without_file(error: &protox::Error, file: &Path, includes: &[PathBuf]) -> String {
    if !file.is_file() {
        return format!("{}: there is no such file: paths are relative to the package's folder", shown_path(file));
    }
    if !error.is_file_not_found() {
        return with_help(format!("{}: {error}", shown_path(file)), error);
    }
    let folders: Vec<String> = includes.iter().map(|include| format!("`{}`", include.display())).collect();
    format!(
        "{}: the file is in none of the include folders ({}): add the folder that its imports are relative to",
        shown_path(file),
        if folders.is_empty() { "none were given".to_owned() } else { folders.join(", ") }
    )
}
