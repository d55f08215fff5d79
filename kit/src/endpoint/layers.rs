use std::{borrow::Cow, fmt, sync::Arc};

use serde_json::Value;

use crate::Error;

/// What one layer around an endpoint tells of itself: shown by the debug port, outermost layer first.
///
/// ```
/// use kit::{Endpoint, LayerInfo, Method, MethodInfo, MethodKind};
/// use serde_json::json;
/// use tower::limit::ConcurrencyLimitLayer;
///
/// let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
/// let say = Endpoint::from_fn(method, |_, text: String| async move { Ok(text) });
/// let info = LayerInfo::new("concurrency", json!({ "max": 10 }));
/// let say = say.wrap([info], |inner| tower::Layer::layer(&ConcurrencyLimitLayer::new(10), inner));
/// assert_eq!(say.layers()[0].name(), "concurrency");
/// ```
#[derive(Clone)]
pub struct LayerInfo {
    name: Cow<'static, str>,
    settings: Settings,
    state: Option<Arc<dyn Fn() -> Value + Send + Sync>>,
    control: Option<Control>,
}

type Control = Arc<dyn Fn(&Value) -> Result<(), Error> + Send + Sync>;

#[derive(Clone)]
enum Settings {
    Fixed(Value),
    Live(Arc<dyn Fn() -> Value + Send + Sync>),
}

impl LayerInfo {
    /// A layer with its effective settings; `null` when it has none.
    pub fn new(name: impl Into<Cow<'static, str>>, settings: Value) -> Self {
        Self { name: name.into(), settings: Settings::Fixed(settings), state: None, control: None }
    }

    /// A layer whose settings can change while it runs: they are asked for each time somebody looks.
    pub fn live(name: impl Into<Cow<'static, str>>, settings: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        Self { name: name.into(), settings: Settings::Live(Arc::new(settings)), state: None, control: None }
    }

    /// Adds what the layer's state is now: asked each time somebody looks.
    #[must_use]
    pub fn with_state(mut self, state: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        self.state = Some(Arc::new(state));
        self
    }

    /// Adds a way to change the layer while it runs. It gets an object with the settings that are to change, of the same names
    /// as in [`settings`](Self::settings), and changes all of them or, with an error that says what is wrong, none.
    #[must_use]
    pub fn with_control(mut self, control: impl Fn(&Value) -> Result<(), Error> + Send + Sync + 'static) -> Self {
        self.control = Some(Arc::new(control));
        self
    }

    /// The name: `timeout`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The effective settings.
    pub fn settings(&self) -> Value {
        match &self.settings {
            Settings::Fixed(settings) => settings.clone(),
            Settings::Live(settings) => settings(),
        }
    }

    /// The state now; `None` for a layer without any.
    pub fn state(&self) -> Option<Value> {
        self.state.as_ref().map(|state| state())
    }

    /// Whether its settings can be changed while it runs.
    pub fn is_changeable(&self) -> bool {
        self.control.is_some()
    }

    /// Changes settings while the layer runs.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` for a layer that can't be changed; what is wrong with the settings.
    pub fn change(&self, settings: &Value) -> Result<(), Error> {
        match &self.control {
            Some(control) => control(settings),
            None => Err(Error::failed_precondition(format!("the layer {} can't be changed while it runs", self.name))),
        }
    }
}

impl fmt::Debug for LayerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerInfo")
            .field("name", &self.name)
            .field("settings", &self.settings())
            .finish_non_exhaustive()
    }
}

/// The short name of a type: the last part of its path, without parameters.
pub(super) fn short_name(name: &'static str) -> &'static str {
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}
