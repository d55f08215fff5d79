//! Path variables and query parameters into the fields of a request message.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::{
    Error, HttpRule, Message, RuleBody,
    message::{BindError, bind, resolve},
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
    pub(super) fn bind_path<M: Message>(&self, message: &mut M, values: &[String]) -> Result<(), Error> {
        for (path, value) in self.variables.iter().zip(values) {
            bind(message, path, value).map_err(|e| refused("path variable", path, &e))?;
        }
        Ok(())
    }

    /// Sets the fields that the query has, except those that path or body have; says which were set.
    pub(super) fn bind_query<M: Message>(&self, message: &mut M, query: &str) -> Result<Vec<String>, Error> {
        let mut set = Vec::new();
        if query.is_empty() {
            return Ok(set);
        }
        if query.contains(';') {
            return Err(Error::invalid_argument(
                "the query has a `;`: separate parameters by `&`, and write `;` as %3B",
            ));
        }
        for (count, parameter) in query.split('&').filter(|parameter| !parameter.is_empty()).enumerate() {
            if count == self.max_parameters {
                let most = self.max_parameters;
                return Err(Error::invalid_argument(format!("the query has more than {most} parameters")));
            }
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            self.bind_parameter(message, &name, &value, &mut set)?;
        }
        Ok(set)
    }

    fn bind_parameter<M: Message>(
        &self,
        message: &mut M,
        name: &str,
        value: &str,
        set: &mut Vec<String>,
    ) -> Result<(), Error> {
        if !self.variables.is_empty() || self.body != RuleBody::None {
            match resolve::<M>(name) {
                Ok(bound) if self.has(&bound.path) => return Ok(()),
                Ok(_) => {}
                Err(error) => return self.unless_ignored(name, &error),
            }
        }
        match bind(message, name, value) {
            Ok(bound) if !bound.many && set.contains(&bound.path) => {
                Err(Error::invalid_argument(format!("the query parameter {name:?} is given twice"))
                    .with_field_violation(bound.path, "given twice"))
            }
            Ok(bound) => {
                set.push(bound.path);
                Ok(())
            }
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

fn refused(what: &str, name: &str, error: &BindError) -> Error {
    let name = crate::json::scalar::shorten(name);
    Error::invalid_argument(format!("{what} {name:?}: {error}"))
        .with_field_violation(name.into_owned(), error.to_string())
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
