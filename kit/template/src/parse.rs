//! The grammar of `http.proto`, read by recursive descent, one method for each rule:
//!
//! ```text
//! Template = "/" Segments [ Verb ] ;
//! Segments = Segment { "/" Segment } ;
//! Segment  = "*" | "**" | LITERAL | Variable ;
//! Variable = "{" FieldPath [ "=" Segments ] "}" ;
//! FieldPath = IDENT { "." IDENT } ;
//! Verb     = ":" LITERAL ;
//! ```

use std::ops::Range;

use crate::percent::{self, Slash};
use crate::{Segment, Template, TemplateError, Variable};

/// Routing recurses and frees by segment; a gateway that learns templates from strangers must not be made to overflow
/// its stack by one of them.
const MAX_SEGMENTS: usize = 128;

pub(crate) fn parse(text: &str) -> Result<Template, TemplateError> {
    let mut parser = Parser { text, at: 0, segments: Vec::new(), variables: Vec::new() };
    let verb = parser.template()?;
    let Parser { segments, variables, .. } = parser;
    let variables = variables.into_iter().map(|(path, range)| Variable::new(path, range, &segments)).collect();
    Ok(Template { source: text.to_owned(), segments, verb, variables })
}

struct Parser<'t> {
    text: &'t str,
    /// Always on a character's first byte: only whole characters are stepped over.
    at: usize,
    segments: Vec<Segment>,
    variables: Vec<(Vec<String>, Range<usize>)>,
}

impl<'t> Parser<'t> {
    fn template(&mut self) -> Result<Option<String>, TemplateError> {
        if !self.eat('/') {
            return Err(self.fail("a template starts with `/`: put one here"));
        }
        if self.rest().is_empty() {
            return Ok(None);
        }
        loop {
            if self.peek() == Some('{') {
                self.variable()?;
            } else {
                self.segment()?;
            }
            match self.peek() {
                None => return Ok(None),
                Some('/') => self.at += 1,
                Some(':') => return self.verb().map(Some),
                Some('}') => {
                    return Err(self.fail("this `}` closes no variable: remove it or open one with `{`"));
                }
                Some(_) => {
                    return Err(self.fail("a variable takes a whole segment: put a `/` here"));
                }
            }
        }
    }

    /// A segment that is no variable; ends before one of `/ : { }` or at the end.
    fn segment(&mut self) -> Result<(), TemplateError> {
        let start = self.at;
        let text = self.take_while(|c| !matches!(c, '/' | ':' | '{' | '}'));
        let segment = match text {
            "" => return Err(self.empty_segment()),
            "*" => Segment::Any,
            "**" => Segment::Rest,
            _ => {
                if let Some(star) = text.find('*') {
                    let message = "a wildcard takes a whole segment: write `*` or `**` alone, or `%2A` for a star";
                    return Err(self.fail_at(start + star, message));
                }
                Segment::Literal(self.literal(text, start)?)
            }
        };
        self.push(segment, start)
    }

    fn empty_segment(&self) -> TemplateError {
        match self.peek() {
            // The template's own variables are not read as segments, so this one stands in a pattern.
            Some('{') => self.nested(),
            None if self.text.ends_with('/') => {
                self.fail_at(self.at.saturating_sub(1), "a template does not end with `/`: remove it")
            }
            None | Some('}') => self.fail("a segment is missing: write a literal, `*` or `**` here"),
            Some(_) => self.fail("a segment is empty: write a literal, `*` or `**` here, or remove the `/`"),
        }
    }

    fn nested(&self) -> TemplateError {
        self.fail("a variable can't stand inside of another: close the outer one first")
    }

    fn push(&mut self, segment: Segment, start: usize) -> Result<(), TemplateError> {
        let is_literal = matches!(segment, Segment::Literal(_));
        if !is_literal && self.segments.contains(&Segment::Rest) {
            let message = "only literals can follow `**`, or its end would be anyone's guess: \
                           write a literal here or `*` in its place";
            return Err(self.fail_at(start, message));
        }
        if self.segments.len() >= MAX_SEGMENTS {
            return Err(self.fail_at(start, &format!("a template has at most {MAX_SEGMENTS} segments: shorten it")));
        }
        self.segments.push(segment);
        Ok(())
    }

    fn variable(&mut self) -> Result<(), TemplateError> {
        let open = self.at;
        self.at += 1;
        let path = self.field_path()?;
        let start = self.segments.len();
        if self.eat('=') {
            self.segment()?;
            while self.eat('/') {
                self.segment()?;
            }
        } else {
            self.push(Segment::Any, open)?;
        }
        match self.peek() {
            Some('}') => self.at += 1,
            Some('{') => {
                return Err(self.nested());
            }
            Some(':') => {
                return Err(self.fail("a verb can't stand inside of a variable: close the variable first"));
            }
            Some(_) => return Err(self.fail("a variable goes on with `.`, `=` or `}`")),
            None => return Err(self.fail_at(open, "this variable has no end: close it with `}`")),
        }
        if self.variables.iter().any(|(bound, _)| *bound == path) {
            let message = format!("the field `{}` is bound twice: remove one of the variables", path.join("."));
            return Err(self.fail_at(open, &message));
        }
        self.variables.push((path, start..self.segments.len()));
        Ok(())
    }

    fn field_path(&mut self) -> Result<Vec<String>, TemplateError> {
        let mut path = Vec::new();
        loop {
            if !self.peek().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') {
                return Err(self.fail("a field name is missing: it starts with a letter or `_`"));
            }
            path.push(self.take_while(|c| c.is_ascii_alphanumeric() || c == '_').to_owned());
            if !self.eat('.') {
                return Ok(path);
            }
        }
    }

    /// Everything from the first colon on: a verb may hold further ones.
    fn verb(&mut self) -> Result<String, TemplateError> {
        let mut verb = String::new();
        while self.eat(':') {
            if !verb.is_empty() {
                verb.push(':');
            }
            let start = self.at;
            let part = self.take_while(|c| !matches!(c, '/' | ':' | '{' | '}' | '*'));
            if part.is_empty() {
                return Err(self.fail("a verb is missing after the colon: name it or remove the colon"));
            }
            verb.push_str(&self.literal(part, start)?);
        }
        match self.peek() {
            None => Ok(verb),
            Some('/') => {
                Err(self.fail("a verb stands at the end of a template: move it there, or write `%3A` for a colon"))
            }
            Some(_) => Err(self.fail("a verb is plain text: remove this character")),
        }
    }

    /// Checks and decodes a literal that begins at `start`.
    fn literal(&self, text: &str, start: usize) -> Result<String, TemplateError> {
        if let Some((offset, char)) = text.char_indices().find(|(_, c)| !may_stand_in_path(*c)) {
            let mut escaped = String::new();
            percent::encode(char.encode_utf8(&mut [0; 4]), "", &mut escaped);
            let message = format!("{char:?} can't stand in a URL path: remove it or write `{escaped}`");
            return Err(self.fail_at(start + offset, &message));
        }
        if let Some(offset) = percent::first_bad_escape(text) {
            let message = "two hexadecimal digits follow a `%`: complete them, or write `%25` for a percent sign";
            return Err(self.fail_at(start + offset, message));
        }
        match percent::decode_text(text, Slash::Plain) {
            Some(decoded) => Ok(decoded.into_owned()),
            None => Err(self.fail_at(start, "these escapes are not UTF-8 once decoded: escape UTF-8 text only")),
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, expected: char) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at += expected.len_utf8();
        }
        found
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn fail(&self, message: &str) -> TemplateError {
        self.fail_at(self.at, message)
    }

    fn fail_at(&self, offset: usize, message: &str) -> TemplateError {
        TemplateError { template: self.text.to_owned(), message: message.to_owned(), offset }
    }
}

/// `pchar` of RFC 3986, section 3.3, without the colon and the star, which mean something in a template.
fn may_stand_in_path(char: char) -> bool {
    u8::try_from(char).is_ok_and(percent::is_unreserved)
        || matches!(char, '%' | '!' | '$' | '&' | '\'' | '(' | ')' | '+' | ',' | ';' | '=' | '@')
}
