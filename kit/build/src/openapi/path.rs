//! From the template of a rule to a path template of OpenAPI, in which every wildcard is a parameter.

use kit_template::{Segment, Template, Variable};
use prost_reflect::{FieldDescriptor, MessageDescriptor};

use super::query;

/// A wildcard of a template.
#[derive(Debug)]
pub(super) struct Wildcard {
    /// A name that no other wildcard of the template has.
    pub name: String,
    /// Whether it is `**`.
    pub rest: bool,
    /// What it fills; a wildcard outside of any variable fills nothing.
    pub fills: Option<Fills>,
}

/// The field that a wildcard fills, wholly or in part.
#[derive(Clone, Debug)]
pub(super) struct Fills {
    /// The path of the field in JSON names.
    pub path: String,
    /// The field; a template that was checked has one.
    pub field: Option<FieldDescriptor>,
    /// Where the value holds more than this wildcard: the pattern of the whole.
    pub pattern: Option<String>,
    /// Which wildcard of the pattern it is, from 1, and of how many.
    pub place: (usize, usize),
}

/// The wildcards of a template from left to right.
pub(super) fn wildcards(template: &Template, input: &MessageDescriptor) -> Vec<Wildcard> {
    let mut found: Vec<Wildcard> = Vec::new();
    // Whole values first: they keep their field's name, and parts of others get out of their way.
    let whole: Vec<_> = template.variables().iter().map(|variable| json_path(variable, input).0).collect();
    for (index, segment) in template.segments().iter().enumerate() {
        if matches!(segment, Segment::Literal(_)) {
            continue;
        }
        let variable = template.variables().iter().find(|variable| variable.range().contains(&index));
        let fills = variable.map(|variable| fills(template, variable, index, input));
        let name = match &fills {
            Some(Fills { path, place: (_, 1), .. }) => safe(path),
            Some(Fills { path, place: (nth, _), .. }) => free(&format!("{}_{nth}", safe(path)), &whole, &found),
            None => free("segment", &whole, &found),
        };
        found.push(Wildcard { name, rest: *segment == Segment::Rest, fills });
    }
    found
}

fn fills(template: &Template, variable: &Variable, index: usize, input: &MessageDescriptor) -> Fills {
    let segments = template.segments().get(variable.range()).unwrap_or_default();
    let is_wildcard = |segment: &&Segment| !matches!(segment, Segment::Literal(_));
    let before = segments.iter().take(index - variable.range().start).filter(is_wildcard).count();
    let (path, field) = json_path(variable, input);
    Fills {
        path,
        field,
        pattern: (segments != [Segment::Any]).then(|| pattern(segments)),
        place: (before + 1, segments.iter().filter(is_wildcard).count()),
    }
}

/// The path of the variable's field in JSON names, and the field.
fn json_path(variable: &Variable, input: &MessageDescriptor) -> (String, Option<FieldDescriptor>) {
    let mut names = Vec::new();
    let mut message = Some(input.clone());
    let mut found = None;
    for name in variable.path() {
        found = message.as_ref().and_then(|message| query::field_named(message, name));
        names.push(found.as_ref().map_or(name.as_str(), |field: &FieldDescriptor| field.json_name()).to_owned());
        message = found.as_ref().and_then(|field| field.kind().as_message().cloned());
    }
    (names.join("."), found)
}

/// A `json_name` may hold anything, the name of a path parameter may not.
fn safe(name: &str) -> String {
    name.replace(['{', '}', '/', '?', '#'], "_")
}

fn free(wish: &str, reserved: &[String], taken: &[Wildcard]) -> String {
    let is_taken = |name: &str| reserved.iter().any(|n| safe(n) == name) || taken.iter().any(|w| w.name == name);
    let mut name = wish.to_owned();
    let mut number = 1;
    while is_taken(&name) {
        number += 1;
        name = format!("{wish}_{number}");
    }
    name
}

fn pattern(segments: &[Segment]) -> String {
    let text = |segment: &Segment| match segment {
        Segment::Literal(text) => escape(text),
        Segment::Any => "*".to_owned(),
        Segment::Rest => "**".to_owned(),
    };
    segments.iter().map(text).collect::<Vec<_>>().join("/")
}

/// The OpenAPI path of a template whose wildcards have these names.
pub(super) fn render<'n>(template: &Template, names: impl IntoIterator<Item = &'n str>) -> String {
    let mut names = names.into_iter();
    let mut path = String::new();
    for segment in template.segments() {
        path.push('/');
        match segment {
            Segment::Literal(text) => path.push_str(&escape(text)),
            Segment::Any | Segment::Rest => {
                path.push('{');
                path.push_str(names.next().unwrap_or_default());
                path.push('}');
            }
        }
    }
    if path.is_empty() {
        path.push('/');
    }
    if let Some(verb) = template.verb() {
        for part in verb.split(':') {
            path.push(':');
            path.push_str(&escape(part));
        }
    }
    path
}

/// The path without the names of its parameters: what OpenAPI tells paths apart by.
pub(super) fn shape(template: &Template) -> String {
    render(template, [])
}

/// Escapes what a URL path, or a path template of OpenAPI, would read as more than text.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
