use std::fmt;

use super::path::At;
use crate::{Error, FieldViolation, json::scalar::shorten};

/// How many bytes of text are reported: in gRPC the details stand in the trailers, of which common clients accept 8 KiB.
const MOST_BYTES: usize = 4096;

/// A path may go through a hundred messages and maps, whose keys the caller chooses.
const LONGEST_PATH: usize = 1024;

/// What was found, up to a number.
#[derive(Debug)]
pub(super) struct Report {
    found: Vec<FieldViolation>,
    limit: usize,
    bytes: usize,
    /// Whether something was found beyond the limit, or may be: the checks end there.
    more: bool,
}

impl Report {
    pub(super) fn new(limit: usize) -> Self {
        Self { found: Vec::new(), limit: limit.max(1), bytes: 0, more: false }
    }

    /// Whether another violation would not be reported: then the checks of lists and maps end, whatever their length.
    pub(super) fn is_full(&self) -> bool {
        self.more
    }

    pub(super) fn add(&mut self, at: &At<'_>, must: fmt::Arguments<'_>) {
        if self.found.len() >= self.limit {
            self.more = true;
            return;
        }
        let description = if at.is_key() { format!("the key {must}") } else { must.to_string() };
        let mut field = at.to_string();
        if field.len() > LONGEST_PATH {
            field.truncate(field.floor_char_boundary(LONGEST_PATH));
            field.push('…');
        }
        self.bytes += field.len() + description.len();
        if self.bytes > MOST_BYTES && !self.found.is_empty() {
            self.more = true;
            return;
        }
        self.found.push(FieldViolation { field, description });
    }

    /// How many there are, for [`Report::sort_from`].
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// Brings what was found since then into the order of the paths: maps have none.
    pub(super) fn sort_from(&mut self, from: usize) {
        if let Some(new) = self.found.get_mut(from..) {
            new.sort_by(|a, b| a.field.cmp(&b.field));
        }
    }

    pub(super) fn into_result(self) -> Result<(), Error> {
        if self.found.is_empty() { Ok(()) } else { Err(self.into_error()) }
    }

    #[cold]
    fn into_error(self) -> Error {
        let mut message = "the request is invalid".to_owned();
        if let Some(FieldViolation { field, description }) = self.found.first() {
            let field = if field.is_empty() { "it" } else { field };
            message = format!("{message}: {} {description}", shorten(field));
        }
        match (self.found.len() - 1, self.more) {
            (0, false) => {}
            (further, false) => message = format!("{message} (and {further} more)"),
            (_, true) => message.push_str(" (and more than can be told)"),
        }
        let error = Error::invalid_argument(message).with_reason("INVALID_REQUEST", "kit");
        self.found.into_iter().fold(error, |error, found| error.with_field_violation(found.field, found.description))
    }
}
