//! Path variables and query parameters into the fields of a request message.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::{
    Error, HttpRule, Message, RuleBody,
    message::{BindError, Field, bind, is_field, resolve, set_field},
};

/// What of a request message comes from where, for one rule.
pub(super) struct Binding {
    /// The paths of the template's variables, in the names of the `.proto` file, in the order of the template.
    variables: Vec<String>,
    body: RuleBody,
    max_parameters: usize,
    reject_unknown: bool,
}

impl Binding {
    pub(super) fn new(rule: &HttpRule, variables: Vec<String>, config: &super::HttpConfig) -> Self {
        Self {
            variables,
            body: rule.body.clone(),
            max_parameters: config.max_query_parameters,
            reject_unknown: config.reject_unknown_query_parameters,
        }
    }

    /// Sets the fields that the path has; they win over all else.
    pub(super) fn bind_path<'v, M: Message>(
        &self,
        message: &mut M,
        values: impl Iterator<Item = &'v str>,
    ) -> Result<(), Error> {
        for (path, value) in self.variables.iter().zip(values) {
            set(message, path, value).map_err(|e| refused("path variable", path, &e))?;
        }
        Ok(())
    }

    /// Sets the fields that the query has, except those that path or body have; says which were set.
    pub(super) fn bind_query<M: Message>(&self, message: &mut M, query: &str) -> Result<Given, Error> {
        let mut given = Given::default();
        if query.is_empty() {
            return Ok(given);
        }
        if query.bytes().any(|b| b == b';') {
            return Err(Error::invalid_argument(
                "the query has a `;`: separate parameters by `&`, and write `;` as %3B",
            ));
        }
        let (mut count, mut left) = (0, Some(query));
        while let Some(parameters) = left {
            let (parameter, rest) = cut(parameters, b'&');
            left = rest;
            if parameter.is_empty() {
                continue;
            }
            if count == self.max_parameters {
                let most = self.max_parameters;
                return Err(Error::invalid_argument(format!("the query has more than {most} parameters")));
            }
            count += 1;
            let (name, value) = cut(parameter, b'=');
            let (name, value) = (decode(name)?, decode(value.unwrap_or_default())?);
            self.bind_parameter(message, &name, &value, &mut given)?;
        }
        Ok(given)
    }

    fn bind_parameter<M: Message>(
        &self,
        message: &mut M,
        name: &str,
        value: &str,
        given: &mut Given,
    ) -> Result<(), Error> {
        if is_field(name) {
            let wanted = |field: &Field| !self.has(field.name);
            return match set_field(message, name, value, wanted) {
                Ok(None) => Ok(()),
                Ok(Some(bound)) => given.add(name, bound.name.into(), bound.many),
                Err(error) => self.unless_ignored(name, &error),
            };
        }
        if !self.variables.is_empty() || self.body != RuleBody::None {
            match resolve::<M>(name) {
                Ok(bound) if self.has(&bound.path) => return Ok(()),
                Ok(_) => {}
                Err(error) => return self.unless_ignored(name, &error),
            }
        }
        match bind(message, name, value) {
            Ok(bound) => given.add(name, bound.path.into(), bound.many),
            Err(error) => self.unless_ignored(name, &error),
        }
    }

    fn unless_ignored(&self, name: &str, error: &BindError) -> Result<(), Error> {
        match error {
            BindError::Unknown { .. } if !self.reject_unknown => Ok(()),
            error => Err(refused("query parameter", name, error)),
        }
    }

    /// Whether a field, or one that holds it, comes from the path or the body.
    fn has(&self, path: &str) -> bool {
        let within =
            |bound: &str| path.strip_prefix(bound).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        match &self.body {
            RuleBody::All => true,
            RuleBody::Field(field) if within(field) => true,
            _ => self.variables.iter().any(|variable| within(variable)),
        }
    }
}

/// The fields that a query has given.
#[derive(Default)]
pub(super) struct Given(Vec<Cow<'static, str>>);

impl Given {
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.iter().any(|given| given == path)
    }

    fn add(&mut self, name: &str, path: Cow<'static, str>, many: bool) -> Result<(), Error> {
        if many {
            return Ok(());
        }
        if self.has(&path) {
            return Err(Error::invalid_argument(format!("the query parameter {name:?} is given twice"))
                .with_field_violation(path.into_owned(), "given twice"));
        }
        self.0.push(path);
        Ok(())
    }
}

fn set<M: Message>(message: &mut M, path: &str, value: &str) -> Result<(), BindError> {
    if is_field(path) {
        set_field(message, path, value, |_| true).map(drop)
    } else {
        bind(message, path, value).map(drop)
    }
}

fn refused(what: &str, name: &str, error: &BindError) -> Error {
    let name = crate::json::scalar::shorten(name);
    Error::invalid_argument(format!("{what} {name:?}: {error}"))
        .with_field_violation(name.into_owned(), error.to_string())
}

/// The text before the first `separator`, a character of ASCII, and the text after it. The texts of a query are short: to look at
/// each byte takes less than to begin a search does.
fn cut(text: &str, separator: u8) -> (&str, Option<&str>) {
    match text.bytes().position(|b| b == separator) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

/// Decodes `+` and percent escapes of a query.
fn decode(text: &str) -> Result<Cow<'_, str>, Error> {
    if !text.bytes().any(|b| matches!(b, b'+' | b'%')) {
        return Ok(Cow::Borrowed(text));
    }
    let bad = || {
        Error::invalid_argument(format!(
            "the query has a bad percent escape, or one that is not UTF-8, in {:?}",
            crate::json::scalar::shorten(text)
        ))
    };
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        if b == b'%' && !(0..2).all(|_| rest.next().is_some_and(|b| b.is_ascii_hexdigit())) {
            return Err(bad());
        }
    }
    let spaces = text.replace('+', " ");
    let decoded = percent_decode(spaces.as_bytes()).decode_utf8().map_err(|_| bad())?;
    Ok(Cow::Owned(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_once() {
        assert_eq!(decode("a+b%2Bc%252").unwrap(), "a b+c%2");
        for bad in ["%", "%a", "%zz", "%C3%28"] {
            decode(bad).unwrap_err();
        }
    }
}
