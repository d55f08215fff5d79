use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};

use super::{FallbackConfig, FallbackLayer};
use crate::{Context, Endpoint, Error, Payload, Request, Response, layer::same, validate::Validate as _};

pub(super) type Answering<Res> = Pin<Box<dyn Future<Output = Result<Response<Res>, Error>> + Send>>;

type Function<Req, Res> = Arc<dyn Fn(Context, Req, Error) -> Answering<Res> + Send + Sync>;

type Rule = Arc<dyn Fn(&Error) -> bool + Send + Sync>;

/// Where the other answer comes from, and when it is asked for. Cheap to clone; clones count together. See the
/// [module](super).
pub struct Fallback<Req, Res> {
    source: Source<Req, Res>,
    config: Arc<FallbackConfig>,
    rule: Option<Rule>,
    figures: Arc<Figures>,
}

enum Source<Req, Res> {
    // Locked for one copy: a payload need not be one that threads can look at together.
    Value(Arc<Mutex<Res>>),
    Function { what: &'static str, function: Function<Req, Res> },
}

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) answered: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) late: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) too_large: AtomicU64,
}

impl Figures {
    /// Each with its name.
    pub(super) fn all(&self) -> [(&'static str, &AtomicU64); 5] {
        [
            ("answered", &self.answered),
            ("failed", &self.failed),
            ("late", &self.late),
            ("cancelled", &self.cancelled),
            ("too_large", &self.too_large),
        ]
    }
}

impl<Req: Payload, Res: Payload> Fallback<Req, Res> {
    fn of(source: Source<Req, Res>) -> Self {
        Self { source, config: Arc::default(), rule: None, figures: Arc::default() }
    }

    /// Asks another endpoint. It gets the request and the context as they came, with the deadline of the call.
    pub fn to_endpoint(endpoint: Endpoint<Req, Res>) -> Self {
        let function = move |cx, message, _| -> Answering<Res> { Box::pin(endpoint.call(Request::new(cx, message))) };
        Self::of(Source::Function { what: "endpoint", function: Arc::new(function) })
    }

    /// Answers with a copy of this.
    pub fn to_value(value: Res) -> Self {
        Self::of(Source::Value(Arc::new(Mutex::new(value))))
    }

    /// Answers with what a function makes of the context of the call, its request, and a copy of the error that it failed with.
    pub fn to_fn<F, Fut>(function: F) -> Self
    where
        F: Fn(Context, Req, Error) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Res, Error>> + Send + 'static,
    {
        let function = move |cx, message, error| -> Answering<Res> {
            let answering = function(cx, message, error);
            Box::pin(async move { answering.await.map(Response::new) })
        };
        Self::of(Source::Function { what: "function", function: Arc::new(function) })
    }

    /// The same by these settings.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn with_config(mut self, config: &FallbackConfig) -> Result<Self, Error> {
        config.check("")?;
        self.config = Arc::new(config.clone());
        Ok(self)
    }

    /// Answers the errors of which the rule says so, in the place of those of the settings. It is asked in the task of the call
    /// and must not wait.
    #[must_use]
    pub fn with_rule(mut self, rule: impl Fn(&Error) -> bool + Send + Sync + 'static) -> Self {
        self.rule = Some(Arc::new(rule));
        self
    }

    /// The layer, for a chain; around one endpoint [`Fallback::around`] is shorter.
    pub fn layer(&self) -> FallbackLayer<Req, Res> {
        FallbackLayer::new(self)
    }

    /// Puts itself around an endpoint.
    #[must_use]
    pub fn around(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = self.layer();
        endpoint.wrap(layer.info(), |inner| tower::Layer::layer(&layer, inner))
    }

    /// The settings.
    pub fn config(&self) -> &FallbackConfig {
        &self.config
    }

    pub(super) fn settings(&self) -> Value {
        let mut settings = json!(*self.config);
        if let Some(settings) = settings.as_object_mut() {
            settings.insert("source".to_owned(), self.what().into());
            settings.insert("rule".to_owned(), self.rule.is_some().into());
        }
        settings
    }

    pub(super) fn state(&self) -> Value {
        if Req::IS_STREAM || Res::IS_STREAM {
            return json!({ "answers": "never: streams pass through" });
        }
        self.figures.all().into_iter().map(|(name, figure)| (name, figure.load(Ordering::Relaxed))).collect()
    }

    fn what(&self) -> &'static str {
        match &self.source {
            Source::Value(_) => "value",
            Source::Function { what, .. } => what,
        }
    }

    pub(super) fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }

    pub(super) fn answers(&self, error: &Error) -> bool {
        self.rule.as_ref().map_or_else(|| self.config.answers(error), |rule| rule(error))
    }

    /// What of the request is kept: nothing for a value. `None` where it can't be.
    pub(super) fn keep(&self, message: &Req) -> Option<Kept<Req>> {
        match self.source {
            Source::Value(_) => Some(Kept::Nothing),
            Source::Function { .. } if message.encoded_len() as u64 > self.config.max_request => None,
            Source::Function { .. } => message.try_clone().map(Kept::Message),
        }
    }

    pub(super) fn ask(&self, cx: Context, kept: Kept<Req>, error: &Error) -> Answering<Res> {
        match (&self.source, kept) {
            (Source::Function { function, .. }, Kept::Message(message)) => {
                // What the call that failed had set for its answer is not that of this one.
                cx.take_response_metadata();
                let (answering, later) = (function(cx.clone(), message, same::shared_error(error)), cx);
                Box::pin(async move {
                    let mut answer = answering.await?;
                    answer.metadata_mut().extend(later.take_response_metadata());
                    Ok(answer)
                })
            }
            (Source::Value(value), _) => {
                let copy = value.lock().unwrap_or_else(std::sync::PoisonError::into_inner).try_clone();
                let answer = copy.map(Response::new).ok_or_else(|| Error::internal("a stream is no fallback"));
                Box::pin(std::future::ready(answer))
            }
            (Source::Function { .. }, Kept::Nothing) => {
                Box::pin(std::future::ready(Err(Error::internal("the request was not kept for the fallback"))))
            }
        }
    }
}

/// What the fallback needs of a request.
pub(super) enum Kept<Req> {
    Nothing,
    Message(Req),
}

impl<Req, Res> Clone for Fallback<Req, Res> {
    fn clone(&self) -> Self {
        Self {
            source: self.source.clone(),
            config: Arc::clone(&self.config),
            rule: self.rule.clone(),
            figures: Arc::clone(&self.figures),
        }
    }
}

impl<Req, Res> Clone for Source<Req, Res> {
    fn clone(&self) -> Self {
        match self {
            Self::Value(value) => Self::Value(Arc::clone(value)),
            Self::Function { what, function } => Self::Function { what, function: Arc::clone(function) },
        }
    }
}

impl<Req, Res> fmt::Debug for Fallback<Req, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").field("config", &self.config).finish_non_exhaustive()
    }
}
