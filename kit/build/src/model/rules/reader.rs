use prost_reflect::{DynamicMessage, FieldDescriptor, FileDescriptor, MessageDescriptor, Value};

use crate::{error::Problems, source::Sources};

/// Reads options, and says of all that it does not know that it doesn't: a rule that is skipped in silence is worse than none.
pub(super) struct Reader<'a> {
    file: FileDescriptor,
    sources: &'a Sources,
    problems: &'a mut Problems,
}

/// What the rules of every field may have.
#[derive(Default)]
pub(super) struct Common {
    pub required: bool,
    pub ignore: Ignore,
    /// The rules of one type: their field in `FieldRules`, and what it holds.
    body: Option<(FieldDescriptor, DynamicMessage)>,
}

/// When the rules of a field don't hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ignore {
    #[default]
    Unspecified,
    IfZero,
    Always,
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &MessageDescriptor, sources: &'a Sources, problems: &'a mut Problems) -> Self {
        Self { file: message.parent_file(), sources, problems }
    }

    pub(super) fn problem(&mut self, path: &[i32], text: String) {
        let place = self.sources.place_in_option(&self.file, path, "", "", 0);
        self.problems.at(place, text);
    }

    /// A rule that is not known, or not supported.
    pub(super) fn unsupported(&mut self, path: &[i32], rule: &FieldDescriptor, subject: &str, name: &str) {
        let path = [path, &[number(rule)]].concat();
        let text = match name {
            "cel" | "cel_expression" => format!(
                "`{name}` of {subject}: CEL rules are not supported, because they would have to be interpreted when a request \
                 comes: use standard rules, or check it in the handler"
            ),
            _ => format!(
                "`{name}` of {subject}: this rule is not supported: use another one, or check it in the handler"
            ),
        };
        self.problem(&path, text);
    }

    /// The fields of a message of rules that are set; a problem for what else it has.
    pub(super) fn known(
        &mut self,
        rules: &DynamicMessage,
        path: &[i32],
        subject: &str,
    ) -> Vec<(FieldDescriptor, Value)> {
        for (extension, _) in rules.extensions() {
            self.problem(
                path,
                format!(
                    "`{}` of {subject}: predefined rules are not supported, because they are CEL: use standard rules, or check \
                     it in the handler",
                    extension.full_name()
                ),
            );
        }
        for field in rules.unknown_fields() {
            let number = field.number();
            self.problem(path, format!("the rule number {number} of {subject} is not known: use another one"));
        }
        let mut fields: Vec<_> = rules.fields().map(|(field, value)| (field, value.clone())).collect();
        // By number, as the file may have them in any order: so that the same rules give the same code.
        fields.sort_by_key(|(field, _)| field.number());
        fields
    }

    pub(super) fn common(&mut self, rules: &DynamicMessage, path: &[i32], subject: &str) -> Common {
        let mut common = Common::default();
        for (field, value) in self.known(rules, path, subject) {
            match (field.name(), &value) {
                ("required", Value::Bool(required)) => common.required = *required,
                ("ignore", Value::EnumNumber(0)) => common.ignore = Ignore::Unspecified,
                ("ignore", Value::EnumNumber(1)) => common.ignore = Ignore::IfZero,
                ("ignore", Value::EnumNumber(3)) => common.ignore = Ignore::Always,
                (_, Value::Message(body)) if field.containing_oneof().is_some() => {
                    common.body = Some((field, body.clone()));
                }
                (name, _) => self.unsupported(path, &field, subject, name),
            }
        }
        common
    }

    /// The rules of the type `expected`, with their path; a problem where they are of another.
    pub(super) fn body(
        &mut self,
        common: &Common,
        expected: &str,
        is: &str,
        path: &[i32],
        subject: &str,
    ) -> Option<(Vec<i32>, DynamicMessage)> {
        let (field, body) = common.body.as_ref()?;
        let path = [path, &[number(field)]].concat();
        if field.name() == expected {
            return Some((path, body.clone()));
        }
        let instead = match expected {
            "" => "remove them".to_owned(),
            "repeated" => "write `repeated.items` for those of its items".to_owned(),
            "map" => "write `map.keys` and `map.values` for those of its entries".to_owned(),
            expected => format!("write `{expected}`"),
        };
        self.problem(&path, format!("`{}` rules don't fit {subject}, which is {is}: {instead}", field.name()));
        None
    }
}

fn number(field: &FieldDescriptor) -> i32 {
    i32::try_from(field.number()).unwrap_or_default()
}
