use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};
use serde_json::{Value, json};
use tower::Layer;

use super::{SingleFlightConfig, SingleFlightService, flight::Flights};
use crate::{
    Endpoint, Error, LayerInfo, Method, Middleware, Payload,
    layer::{change::merged, methods::PerMethod, same::streams},
    validate::Validate as _,
};

/// Makes one call of equal ones: the settings that all methods of a service share. Clones are one.
///
/// It is a [`Middleware`], so that `endpoints.with(&single_flight)` puts it around every method.
#[derive(Clone)]
pub struct SingleFlight(Arc<Handle>);

struct Handle {
    config: ArcSwap<SingleFlightConfig>,
    figures: PerMethod<Figures>,
}

/// What was counted of one method.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) begun: AtomicU64,
    pub(super) shared: AtomicU64,
    pub(super) taken_over: AtomicU64,
    pub(super) apart: AtomicU64,
    /// Those that run.
    pub(super) running: AtomicU64,
}

impl SingleFlight {
    /// By these settings.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &SingleFlightConfig) -> Result<Self, Error> {
        config.check("")?;
        Ok(Self(Arc::new(Handle { config: ArcSwap::from_pointee(config.clone()), figures: PerMethod::default() })))
    }

    /// Changes the settings: they hold for the next call. What runs is shared by those who came before.
    ///
    /// # Errors
    /// As [`SingleFlight::new`]; nothing is changed then.
    pub fn reconfigure(&self, config: &SingleFlightConfig) -> Result<(), Error> {
        config.check("")?;
        self.0.config.store(Arc::new(config.clone()));
        Ok(())
    }

    /// The settings that hold now.
    pub fn config(&self) -> SingleFlightConfig {
        SingleFlightConfig::clone(&self.0.config.load())
    }

    pub(super) fn figures(&self, method: &Method) -> Arc<Figures> {
        self.0.figures.of(method, Figures::default)
    }
}

impl fmt::Debug for SingleFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").field("config", &self.0.config.load()).finish()
    }
}

impl Middleware for SingleFlight {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = SingleFlightLayer::<Res>::new(self, endpoint.method());
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}

/// Single flight of one method, whose answers are `Res`.
pub struct SingleFlightLayer<Res> {
    shared: Option<Arc<Shared<Res>>>,
}

/// What all calls of a method share.
pub(super) struct Shared<Res> {
    handle: SingleFlight,
    pub(super) method: Method,
    pub(super) flights: Flights<Res>,
    pub(super) figures: Arc<Figures>,
}

impl<Res> Shared<Res> {
    pub(super) fn config(&self) -> Guard<Arc<SingleFlightConfig>> {
        self.handle.0.config.load()
    }

    fn state(&self) -> Value {
        let joins = match (streams(&self.method), self.config().joins(&self.method)) {
            (true, _) => "never: streams pass through",
            (false, false) => "never: the method may have side effects",
            (false, true) => "equal calls",
        };
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        json!({
            "joins": joins,
            "running": self.flights.count(),
            "waiting": self.flights.waiting(),
            "begun": read(&self.figures.begun),
            "shared": read(&self.figures.shared),
            "taken_over": read(&self.figures.taken_over),
            "apart": read(&self.figures.apart),
        })
    }
}

impl<Res: Payload> SingleFlightLayer<Res> {
    /// Single flight of a method: all services that a clone of this layer is put around share it.
    pub fn new(handle: &SingleFlight, method: &Method) -> Self {
        let shared = Shared {
            handle: handle.clone(),
            method: method.clone(),
            flights: Flights::default(),
            figures: handle.figures(method),
        };
        Self { shared: Some(Arc::new(shared)) }
    }

    /// What the layer tells of itself: settings that can be changed, and what was joined. `None` for one that joins nothing.
    pub fn info(&self) -> Option<LayerInfo> {
        let shared = self.shared.as_ref()?;
        let (settings, state, control) = (shared.handle.clone(), Arc::clone(shared), shared.handle.clone());
        let info = LayerInfo::live("single_flight", move || json!(settings.config())).with_state(move || state.state());
        Some(
            info.with_control(move |changes| {
                control.reconfigure(&merged("single_flight", &control.config(), changes)?)
            }),
        )
    }
}

impl<Res> SingleFlightLayer<Res> {
    /// Joins nothing, at no cost: for a chain whose type has the layer whether it is there or not.
    pub fn none() -> Self {
        Self { shared: None }
    }
}

impl<Res> Clone for SingleFlightLayer<Res> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<Res> fmt::Debug for SingleFlightLayer<Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.shared.as_ref().map(|shared| &shared.method);
        f.debug_struct("SingleFlightLayer").field("method", &method).finish_non_exhaustive()
    }
}

impl<S, Res> Layer<S> for SingleFlightLayer<Res> {
    type Service = SingleFlightService<S, Res>;

    fn layer(&self, inner: S) -> SingleFlightService<S, Res> {
        SingleFlightService::new(inner, self.shared.clone())
    }
}
