use std::{borrow::Cow, fmt, ops::Deref, sync::Arc};

/// Which side of a method streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MethodKind {
    /// One message, one answer.
    Unary,
    /// Many messages, one answer.
    ClientStreaming,
    /// One message, many answers.
    ServerStreaming,
    /// Many messages, many answers.
    BidiStreaming,
}

impl MethodKind {
    /// Whether the caller sends a stream.
    pub const fn client_streams(self) -> bool {
        matches!(self, Self::ClientStreaming | Self::BidiStreaming)
    }

    /// Whether the service answers with a stream.
    pub const fn server_streams(self) -> bool {
        matches!(self, Self::ServerStreaming | Self::BidiStreaming)
    }
}

/// What a method promises about being called twice: `idempotency_level`; a GET rule implies no side effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Idempotency {
    /// Nothing is promised: never call twice on your own.
    Unknown,
    /// It changes nothing.
    NoSideEffects,
    /// Twice does what once does.
    Idempotent,
}

/// Which part of the request message an HTTP body holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleBody {
    /// There is no body.
    None,
    /// All fields that the path does not have: `body: "*"`.
    All,
    /// One field.
    Field(Cow<'static, str>),
}

/// One way to call a method over HTTP: a rule of `google.api.http`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    /// The HTTP method, `GET` or any custom one.
    pub method: Cow<'static, str>,
    /// The path template: `/v1/{name=shelves/*}`.
    pub template: Cow<'static, str>,
    /// What the body holds.
    pub body: RuleBody,
    /// The field of the answer that is sent, when it is not the whole.
    pub response_body: Option<Cow<'static, str>>,
    /// The field mask to fill from the body of a `PATCH` that leaves it out.
    pub field_mask: Option<Cow<'static, str>>,
}

/// All there is to know of a method before it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodInfo {
    /// The service with its package: `details.BookDetails`.
    pub service: Cow<'static, str>,
    /// The name: `Detail`.
    pub name: Cow<'static, str>,
    /// The gRPC path: `/details.BookDetails/Detail`.
    pub path: Cow<'static, str>,
    /// Which sides stream.
    pub kind: MethodKind,
    /// Whether it may be called twice.
    pub idempotency: Idempotency,
    /// The ways to call it over HTTP; the first is the main one.
    pub http: Cow<'static, [HttpRule]>,
}

/// A handle to a method, cheap to clone: static for generated services, shared for those learned at run time.
///
/// ```
/// use kit::{Method, MethodInfo, MethodKind};
///
/// let method = Method::from(MethodInfo::new("details.BookDetails", "Detail", MethodKind::Unary));
/// assert_eq!(method.path, "/details.BookDetails/Detail");
/// ```
#[derive(Clone)]
pub struct Method(Handle);

#[derive(Clone)]
enum Handle {
    Static(&'static MethodInfo),
    Shared(Arc<MethodInfo>),
}

impl Method {
    /// A method that is known at compile time.
    pub const fn from_static(info: &'static MethodInfo) -> Self {
        Self(Handle::Static(info))
    }
}

impl MethodInfo {
    /// A method without HTTP rules that promises nothing about idempotency.
    pub fn new(service: impl Into<Cow<'static, str>>, name: impl Into<Cow<'static, str>>, kind: MethodKind) -> Self {
        let (service, name) = (service.into(), name.into());
        let path = Cow::Owned(format!("/{service}/{name}"));
        Self { service, name, path, kind, idempotency: Idempotency::Unknown, http: Cow::Borrowed(&[]) }
    }
}

impl From<MethodInfo> for Method {
    fn from(info: MethodInfo) -> Self {
        Self(Handle::Shared(Arc::new(info)))
    }
}

impl Deref for Method {
    type Target = MethodInfo;
    fn deref(&self) -> &MethodInfo {
        match &self.0 {
            Handle::Static(info) => info,
            Handle::Shared(info) => info,
        }
    }
}

/// The whole name, `details.BookDetails/Detail`: what selects a method in settings and in
/// [`Middleware::only`](crate::Middleware::only).
impl From<&Method> for String {
    fn from(method: &Method) -> Self {
        method.path.trim_start_matches('/').to_owned()
    }
}

impl PartialEq for Method {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq::<MethodInfo>(&**self, &**other) || self.path == other.path
    }
}

impl Eq for Method {}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Method({})", self.path)
    }
}
