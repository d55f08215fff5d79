//! The rules of `google.api.http`, read and checked.

use kit_template::Template;
use prost::Message as _;
use prost_reflect::{FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value};

use super::Package;
use crate::{
    error::{Place, Problems},
    rule::{Rule, RuleBody},
    source::Sources,
    types::is_text,
};

/// The number of the extension `google.api.http`.
const HTTP: i32 = 72_295_728;

/// `google.api.HttpRule` on the wire.
#[derive(Clone, PartialEq, prost::Message)]
struct HttpRule {
    #[prost(oneof = "Pattern", tags = "2, 3, 4, 5, 6, 8")]
    pattern: Option<Pattern>,
    #[prost(string, tag = "7")]
    body: String,
    #[prost(string, tag = "12")]
    response_body: String,
    #[prost(message, repeated, tag = "11")]
    additional_bindings: Vec<HttpRule>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Pattern {
    #[prost(string, tag = "2")]
    Get(String),
    #[prost(string, tag = "3")]
    Put(String),
    #[prost(string, tag = "4")]
    Post(String),
    #[prost(string, tag = "5")]
    Delete(String),
    #[prost(string, tag = "6")]
    Patch(String),
    #[prost(message, tag = "8")]
    Custom(CustomHttpPattern),
}

/// `google.api.CustomHttpPattern` on the wire.
#[derive(Clone, PartialEq, prost::Message)]
struct CustomHttpPattern {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    path: String,
}

impl Pattern {
    /// The word before the template, the HTTP method and the template.
    fn parts(&self) -> (&'static str, &str, &str) {
        match self {
            Self::Get(path) => ("get", "GET", path),
            Self::Put(path) => ("put", "PUT", path),
            Self::Post(path) => ("post", "POST", path),
            Self::Delete(path) => ("delete", "DELETE", path),
            Self::Patch(path) => ("patch", "PATCH", path),
            Self::Custom(custom) => ("path", &custom.kind, &custom.path),
        }
    }
}

/// The rules of a method with the places of their templates; what is wrong with them goes to `problems`.
pub(super) fn rules(method: &MethodDescriptor, sources: &Sources, problems: &mut Problems) -> Vec<(Rule, Place)> {
    let Some(first) = read(method) else { return Vec::new() };
    let mut path = method.path().to_vec();
    path.extend([4, HTTP]);
    let file = method.parent_file();
    let mut check = Check { method, file, path, sources, problems };
    let mut rules: Vec<_> = check.rule(&first).into_iter().collect();
    for further in &first.additional_bindings {
        if let Some(nested) = further.additional_bindings.first() {
            let place = check.place_of_rule(nested);
            check.problems.at(
                place,
                "additional_bindings stand inside of additional_bindings: move them one level up, beside the first",
            );
        }
        rules.extend(check.rule(further));
    }
    rules
}

fn read(method: &MethodDescriptor) -> Option<HttpRule> {
    let extension = method.parent_pool().get_extension_by_name("google.api.http")?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return None;
    }
    match options.get_extension(&extension).as_ref() {
        Value::Message(message) => HttpRule::decode(message.encode_to_vec().as_slice()).ok(),
        _ => None,
    }
}

struct Check<'a> {
    method: &'a MethodDescriptor,
    file: FileDescriptor,
    path: Vec<i32>,
    sources: &'a Sources,
    problems: &'a mut Problems,
}

impl Check<'_> {
    fn place(&self, key: &str, literal: &str, offset: usize) -> Place {
        self.sources.place_in_option(&self.file, &self.path, key, literal, offset)
    }

    fn place_of_rule(&self, rule: &HttpRule) -> Place {
        match &rule.pattern {
            Some(pattern) => {
                let (key, _, template) = pattern.parts();
                self.place(key, template, 0)
            }
            None => self.place("", "", 0),
        }
    }

    fn rule(&mut self, rule: &HttpRule) -> Option<(Rule, Place)> {
        let Some(pattern) = &rule.pattern else {
            let place = self.place("", "", 0);
            self.problems.at(
                place,
                format!(
                    "a rule of `{}` has no path: write get, put, post, delete, patch or custom with one",
                    self.method.full_name()
                ),
            );
            return None;
        };
        let (key, http_method, text) = pattern.parts();
        let place = self.place(key, text, 0);
        if !is_token(http_method) {
            let place = self.place("kind", http_method, 0);
            self.problems.at(
                place,
                format!(
                    "{http_method:?} is no HTTP method: write one as in `custom {{ kind: \"HEAD\" path: {text:?} }}`"
                ),
            );
        }
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(error) => {
                let place =
                    self.place(key, text, text.get(..error.offset()).map_or(0, |before| before.chars().count()));
                self.problems.at(place, format!("invalid path template `{text}`: {}", error.message()));
                return None;
            }
        };
        self.variables(&template, key, text);
        let body = self.body(rule, &template, http_method);
        self.streams(&template, &body, http_method, &place);
        let response_body = self.response_body(rule);
        let field_mask = match &body {
            RuleBody::Field(body) if http_method == "PATCH" => field_mask(&self.method.input(), body),
            _ => None,
        };
        let http_method = http_method.to_owned();
        Some((Rule { http_method, template, body, response_body, field_mask }, place))
    }

    fn variables(&mut self, template: &Template, key: &str, text: &str) {
        for variable in template.variables() {
            let name = variable.to_string();
            if let Err(problem) = bindable(&self.method.input(), variable.path()) {
                let offset = text
                    .find(&format!("{{{name}"))
                    .map_or(0, |byte| text.get(..=byte).map_or(0, |before| before.chars().count()));
                let place = self.place(key, text, offset);
                self.problems.at(place, format!("path variable `{name}`: {problem}"));
            }
        }
    }

    fn body(&mut self, rule: &HttpRule, template: &Template, http_method: &str) -> RuleBody {
        let input = self.method.input();
        let body = match rule.body.as_str() {
            "" => return RuleBody::None,
            "*" => RuleBody::All,
            name => RuleBody::Field(name.to_owned()),
        };
        let problem = if matches!(http_method, "GET" | "HEAD") {
            Some(format!(
                "a {http_method} request has no body: remove `body` (fields that are not in the path are query \
                 parameters), or use another method"
            ))
        } else {
            match &body {
                RuleBody::Field(name) if input.get_field_by_name(name).is_none() => Some(format!(
                    "body: {}",
                    missing(
                        &input,
                        name,
                        "name a field of the request, or write \"*\" for all that is not in the path"
                    )
                )),
                RuleBody::Field(name) if template.variables().iter().any(|v| v.path() == [name.as_str()]) => {
                    Some(format!(
                        "`{name}` is both the body and a path variable, so it would be sent twice: use another field for \
                         one of them"
                    ))
                }
                _ => None,
            }
        };
        if let Some(problem) = problem {
            let place = self.place("body", &rule.body, 0);
            self.problems.at(place, problem);
        }
        body
    }

    fn streams(&mut self, template: &Template, body: &RuleBody, http_method: &str, place: &Place) {
        if !self.method.is_client_streaming() || matches!(http_method, "GET" | "HEAD") && *body != RuleBody::None {
            return;
        }
        if *body != RuleBody::All || !template.variables().is_empty() {
            self.problems.at(
                place.clone(),
                format!(
                    "the caller of `{}` sends a stream, one message a line of the body: write `body: \"*\"`, a method that \
                     has a body, and a path without variables",
                    self.method.full_name()
                ),
            );
        }
    }

    fn response_body(&mut self, rule: &HttpRule) -> Option<String> {
        let name = rule.response_body.as_str();
        if name.is_empty() {
            return None;
        }
        let output = self.method.output();
        if output.get_field_by_name(name).is_none() {
            let place = self.place("response_body", name, 0);
            let advice = "name a field of the answer, or remove `response_body` to send all of it";
            self.problems.at(place, format!("response_body: {}", missing(&output, name, advice)));
        }
        Some(name.to_owned())
    }
}

fn missing(message: &MessageDescriptor, name: &str, advice: &str) -> String {
    let fields: Vec<String> =
        message.descriptor_proto().field.iter().map(|field| format!("`{}`", field.name())).collect();
    let known = match fields.len() {
        0 => "it has none".to_owned(),
        1..=8 => format!("it has {}", fields.join(", ")),
        _ => format!("it has {}, ...", fields.get(..8).unwrap_or_default().join(", ")),
    };
    format!("`{}` has no field `{name}` ({known}): {advice}", message.full_name())
}

/// Why a path variable can't hold the field at `path`.
fn bindable(input: &MessageDescriptor, path: &[String]) -> Result<(), String> {
    let mut message = input.clone();
    for (depth, name) in path.iter().enumerate() {
        let is_last = depth + 1 == path.len();
        let Some(field) = message.get_field_by_name(name) else {
            return Err(missing(&message, name, "name a field of the request by its name in the .proto file"));
        };
        if let Some(kind) = plural(&field) {
            return Err(if is_last {
                format!(
                    "`{}` is {kind} and a path holds one value: send it in the query or the body",
                    field.full_name()
                )
            } else {
                format!(
                    "`{}` is {kind}, so it is not clear which element is meant: bind another field",
                    field.full_name()
                )
            });
        }
        match field.kind() {
            Kind::Message(held) if is_last && !is_text(&held) => {
                return Err(format!(
                    "`{}` is a message: bind one of its fields, as in `{{{}.field}}`",
                    field.full_name(),
                    path.join(".")
                ));
            }
            Kind::Message(held) => message = held,
            _ if !is_last => {
                return Err(format!(
                    "`{}` is no message and has no fields: end the variable with it",
                    field.full_name()
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn plural(field: &FieldDescriptor) -> Option<&'static str> {
    if field.is_map() {
        Some("a map")
    } else if field.is_list() {
        Some("repeated")
    } else {
        None
    }
}

/// A method or `*`, which stands for every method.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn field_mask(input: &MessageDescriptor, body: &str) -> Option<String> {
    let mut masks = input.fields().filter(|field| {
        field.name() != body
            && plural(field).is_none()
            && matches!(field.kind(), Kind::Message(held) if held.full_name() == "google.protobuf.FieldMask")
    });
    let mask = masks.next()?;
    masks.next().is_none().then(|| mask.name().to_owned())
}

/// Two rules that no request can tell apart.
pub(super) fn check_conflicts(packages: &[Package], problems: &mut Problems) {
    let mut seen: Vec<(&Rule, &Place, String)> = Vec::new();
    let services = packages.iter().flat_map(|package| &package.services);
    for (service, method) in services.flat_map(|service| service.methods.iter().map(move |method| (service, method))) {
        for (rule, place) in method.rules.iter().zip(&method.rule_places) {
            let name = format!("{}.{}", service.full_name, method.name);
            let other = seen.iter().find(|(other, ..)| {
                other.http_method == rule.http_method && other.template.conflicts_with(&rule.template)
            });
            if let Some((other, other_place, other_name)) = other {
                problems.at(
                    place.clone(),
                    format!(
                        "{} `{}` of `{name}` matches the same requests as `{}` of `{other_name}` at {other_place}: change the \
                         method, a literal or the verb of one of them",
                        rule.http_method, rule.template, other.template
                    ),
                );
            } else {
                seen.push((rule, place, name));
            }
        }
    }
}
