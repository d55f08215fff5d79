//! From a template and values to a path: the client's half of the rules.

use crate::percent::{self, Slash};
use crate::{ExpandError, Segment, Template, Variable};

pub(crate) fn expand(
    template: &Template,
    mut value: impl FnMut(&str) -> Option<String>,
) -> Result<String, ExpandError> {
    let mut out = String::new();
    let mut written = 0;
    for variable in &template.variables {
        let range = variable.range();
        push_unbound(template.segments.get(written..range.start), &mut out)?;
        written = range.end;
        let pattern = template.segments.get(range).unwrap_or_default();
        let name = variable.to_string();
        let value = value(&name);
        push_variable(variable, pattern, value.as_deref(), &mut out)
            .map_err(|message| ExpandError { variable: Some(name), message })?;
    }
    push_unbound(template.segments.get(written..), &mut out)?;
    if out.is_empty() {
        out.push('/');
    }
    if let Some(verb) = &template.verb {
        out.push(':');
        percent::encode(verb, ":", &mut out);
    }
    Ok(out)
}

fn push_unbound(segments: Option<&[Segment]>, out: &mut String) -> Result<(), ExpandError> {
    for segment in segments.unwrap_or_default() {
        let Segment::Literal(text) = segment else {
            let message = "the template has a wildcard outside of any variable, so no value can fill it: \
                           write `{field}` or `{field=**}` for it";
            return Err(ExpandError { variable: None, message: message.to_owned() });
        };
        push_segment(text, out);
    }
    Ok(())
}

fn push_variable(
    variable: &Variable,
    pattern: &[Segment],
    value: Option<&str>,
    out: &mut String,
) -> Result<(), String> {
    let value = value.ok_or("has no value: set the field")?;
    if value.is_empty() {
        return Err("is empty: set the field".to_owned());
    }
    let parts: Vec<&str> = if variable.is_multi_segment() { value.split('/').collect() } else { vec![value] };
    if parts.iter().any(|part| matches!(*part, "." | "..")) {
        return Err(format!("is `{value}`: a segment `.` or `..` would be removed on the way"));
    }
    let misfit = || format!("is `{value}`, which does not fit `{}`", Pattern(pattern));

    let rest = pattern.iter().position(|segment| *segment == Segment::Rest);
    let (head, tail) = match rest {
        Some(rest) => (pattern.get(..rest).unwrap_or_default(), pattern.get(rest + 1..).unwrap_or_default()),
        None => (pattern, [].as_slice()),
    };
    let middle = parts.len().checked_sub(head.len() + tail.len()).ok_or_else(misfit)?;
    if rest.is_none() && middle > 0 {
        return Err(misfit());
    }
    let expected = (head.iter().map(Some)).chain(std::iter::repeat_n(None, middle)).chain(tail.iter().map(Some));
    for (part, expected) in parts.into_iter().zip(expected) {
        match expected {
            // The literal is written, not the part: in the part an escaped slash is spelled out.
            Some(Segment::Literal(text)) if is_literal(part, text, variable) => push_segment(text, out),
            Some(Segment::Literal(_)) => return Err(misfit()),
            Some(Segment::Any) if part.is_empty() => return Err(misfit()),
            _ => push_segment(part, out),
        }
    }
    Ok(())
}

fn push_segment(text: &str, out: &mut String) {
    out.push('/');
    percent::encode(text, "", out);
}

/// A router hands out a multi-segment value with its escaped slashes as they came, so one comes back that way too.
fn is_literal(part: &str, literal: &str, variable: &Variable) -> bool {
    if part == literal {
        return true;
    }
    variable.is_multi_segment()
        && literal.contains('/')
        && percent::decode_text(part, Slash::Plain).is_some_and(|decoded| decoded == literal)
}

struct Pattern<'t>(&'t [Segment]);

impl std::fmt::Display for Pattern<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            let separator = if index > 0 { "/" } else { "" };
            let text = match segment {
                Segment::Literal(text) => text,
                Segment::Any => "*",
                Segment::Rest => "**",
            };
            write!(f, "{separator}{text}")?;
        }
        Ok(())
    }
}
