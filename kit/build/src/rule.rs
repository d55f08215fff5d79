//! A `google.api.http` rule after it was checked.

use kit_template::Template;

/// One HTTP binding of a method.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// `GET`, `POST`, ... or the custom kind as it was written.
    pub http_method: String,
    /// The path.
    pub template: Template,
    /// What the body holds.
    pub body: RuleBody,
    /// The field of the answer that is sent instead of the whole.
    pub response_body: Option<String>,
    /// The request's `google.protobuf.FieldMask`, which a PATCH of one field fills.
    pub field_mask: Option<String>,
}

/// What of the request a body holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RuleBody {
    /// There is no body.
    None,
    /// Everything that the path does not hold.
    All,
    /// The field of this name.
    Field(String),
}
