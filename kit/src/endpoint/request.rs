use std::sync::LazyLock;

use super::{Context, Metadata};

/// A message, or a stream of them, and the context of its call.
#[derive(Debug)]
pub struct Request<T> {
    context: Context,
    message: T,
}

impl<T> Request<T> {
    /// A request.
    pub fn new(context: Context, message: T) -> Self {
        Self { context, message }
    }

    /// The context of the call.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The context, to be changed by a middleware for those behind it.
    pub fn context_mut(&mut self) -> &mut Context {
        &mut self.context
    }

    /// The message.
    pub fn message(&self) -> &T {
        &self.message
    }

    /// The message, to be changed.
    pub fn message_mut(&mut self) -> &mut T {
        &mut self.message
    }

    /// Context and message.
    pub fn into_parts(self) -> (Context, T) {
        (self.context, self.message)
    }

    /// The request with another message.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Request<U> {
        Request { context: self.context, message: f(self.message) }
    }
}

/// The answer, or a stream of them, and the metadata that travels with it.
#[derive(Debug)]
pub struct Response<T> {
    // Most answers have none, and an answer is moved through every layer: a header map would be most of its size.
    metadata: Option<Box<Metadata>>,
    message: T,
}

/// What an answer has that has none.
static NONE: LazyLock<Metadata> = LazyLock::new(Metadata::new);

impl<T> Response<T> {
    /// An answer without metadata.
    pub fn new(message: T) -> Self {
        Self { metadata: None, message }
    }

    /// The answer with this metadata, in the place of what it had.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = (!metadata.is_empty()).then(|| Box::new(metadata));
        self
    }

    /// What travels with the answer: gRPC metadata, HTTP headers.
    pub fn metadata(&self) -> &Metadata {
        self.metadata.as_deref().unwrap_or_else(|| &NONE)
    }

    /// The metadata, to be changed.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        self.metadata.get_or_insert_default()
    }

    /// The message.
    pub fn message(&self) -> &T {
        &self.message
    }

    /// The message alone.
    pub fn into_message(self) -> T {
        self.message
    }

    /// Metadata and message.
    pub fn into_parts(self) -> (Metadata, T) {
        (self.metadata.map(|metadata| *metadata).unwrap_or_default(), self.message)
    }

    /// The answer with another message.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Response<U> {
        Response { metadata: self.metadata, message: f(self.message) }
    }
}
