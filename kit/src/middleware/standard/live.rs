//! Chains whose settings change while calls run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::methods::{ChainConfig, of_method};
use crate::{Error, Method, layer::timeout::TimeoutLimits};

/// Hands the settings of a method to its layers.
type Apply<C> = Box<dyn Fn(&C) -> Result<(), Error> + Send>;

/// The settings of a chain, and the methods that it stands around.
pub(super) struct Live<C>(Arc<Mutex<State<C>>>);

struct State<C> {
    config: C,
    methods: Vec<Followed<C>>,
}

/// A method with its layers.
struct Followed<C> {
    method: Method,
    /// What its layers hold, too, as long as there are any.
    limits: TimeoutLimits,
    apply: Apply<C>,
}

impl<C> Clone for Live<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: ChainConfig> Live<C> {
    pub(super) fn new(config: C) -> Self {
        Self(Arc::new(Mutex::new(State { config, methods: Vec::new() })))
    }

    /// The settings that hold now.
    pub(super) fn config(&self) -> C {
        self.state().config.clone()
    }

    /// Those of a method, and whether sections are its own.
    pub(super) fn of(&self, method: &Method) -> Result<(C, impl Fn(&str) -> bool + use<C>), Error> {
        let config = self.config();
        let own = of_method(&config, method)?.into_owned();
        let method = method.clone();
        Ok((own, move |section: &str| config.methods().has(&method, section)))
    }

    /// Tells `apply` of other settings of a method, for as long as its layers, which hold `limits`, are there.
    pub(super) fn follow(
        &self,
        method: &Method,
        limits: TimeoutLimits,
        apply: impl Fn(&C) -> Result<(), Error> + Send + 'static,
    ) {
        let state = &mut *self.state();
        // Of who makes clients again and again, around one chain.
        state.methods.retain(|followed| followed.limits.is_held());
        state.methods.push(Followed { method: method.clone(), limits, apply: Box::new(apply) });
    }

    /// Whether other settings can be taken over.
    pub(super) fn check(&self, config: &C) -> Result<(), Error> {
        self.state().check(config)
    }

    /// Takes other settings over, for all methods or, when they can't be, for none. `common` changes what all share.
    pub(super) fn reconfigure(&self, config: &C, common: impl FnOnce(&C) -> Result<(), Error>) -> Result<(), Error> {
        let state = &mut *self.state();
        state.check(config)?;
        // What is checked by now can't fail any more.
        common(config)?;
        for Followed { method, limits, apply } in &state.methods {
            let config = of_method(config, method)?;
            let timeout = config.timeout();
            limits.set(timeout.of(method), timeout.idle);
            apply(&config)?;
        }
        state.config = config.clone();
        Ok(())
    }

    /// The methods that are told.
    #[cfg(test)]
    pub(super) fn followed(&self) -> usize {
        self.state().methods.len()
    }

    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: ChainConfig> State<C> {
    fn check(&self, config: &C) -> Result<(), Error> {
        config.check("")?;
        self.methods.iter().try_for_each(|followed| check_change(&self.config, config, &followed.method))
    }
}

fn to_value<C: ChainConfig>(config: &C) -> Result<Value, Error> {
    serde_json::to_value(config).map_err(|error| Error::internal("the settings can't be written").with_source(error))
}

/// A chain is made when it is put around a method, so its layers stay as they are.
fn check_change<C: ChainConfig>(before: &C, after: &C, method: &Method) -> Result<(), Error> {
    let restart = |layer: &str, what: &str| {
        Err(Error::failed_precondition(format!(
            "{layer} of {} can't be {what} while the service runs: restart it, or keep the layer and change its settings",
            method.name
        )))
    };
    let (was, wanted) = (of_method(before, method)?, of_method(after, method)?);
    for ((layer, was), (_, wanted)) in was.layers().into_iter().zip(wanted.layers()) {
        match (was, wanted) {
            (true, false) => return restart(layer, "left out"),
            (false, true) => return restart(layer, "added"),
            _ => {}
        }
    }
    let (old, new) = (to_value(&*was)?, to_value(&*wanted)?);
    for section in C::FIXED {
        if old.get(section) != new.get(section) {
            return restart(section, "changed");
        }
    }
    for section in C::SHARED {
        match (before.methods().has(method, section), after.methods().has(method, section)) {
            (true, false) => return restart(section, "joined with that of the other methods"),
            (false, true) => return restart(section, "parted from that of the other methods"),
            _ => {}
        }
    }
    Ok(())
}
