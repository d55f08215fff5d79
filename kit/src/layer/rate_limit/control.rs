//! What the debug port shows of a limit, and changes.

use serde_json::{Value, json};

use super::{RateLimit, policy::SECTION};
use crate::{
    Error,
    layer::change::{members, merged},
};

impl RateLimit {
    /// Changes what a JSON object names: settings by their names, and `"reset": true`.
    pub(super) fn control(&self, changes: &Value) -> Result<(), Error> {
        let mut changes = members(SECTION, changes)?.clone();
        let reset = match changes.remove("reset") {
            None => false,
            Some(Value::Bool(reset)) => reset,
            Some(other) => {
                return Err(Error::invalid_argument(format!("{SECTION}.reset is {other}, must be true or false")));
            }
        };
        let changes = Value::Object(changes);
        self.change(|config| merged(SECTION, config, &changes), None)?;
        if reset {
            self.reset();
        }
        Ok(())
    }

    /// The settings, without secrets and with what defaults stand for.
    pub(super) fn settings(&self) -> Value {
        let config = self.config();
        let mut settings = serde_json::to_value(&config).unwrap_or_default();
        if let Some(settings) = settings.as_object_mut() {
            settings.insert("burst".to_owned(), config.burst().into());
        }
        if let (Some(shared), Some(url)) = (&config.shared, settings.pointer_mut("/shared/url")) {
            *url = shared.shown().into();
        }
        settings
    }

    /// What is owed now, and by how many.
    pub(super) fn state(&self) -> Value {
        let (figures, policy) = (self.figures(), self.0.policy.load());
        let now = json!({
            "remaining": self.remaining(),
            "next_free_slot_in": crate::duration::format(self.next_free()),
        });
        let mut state = json!({ "rejected": figures.rejected });
        let Some(object) = state.as_object_mut() else { return state };
        if !policy.is_keyed() {
            object.extend(now.as_object().cloned().unwrap_or_default());
        } else {
            object.insert("keys".to_owned(), figures.keys.into());
            object.insert("keys_chosen_by".to_owned(), policy.chosen_by().into());
            object.insert("overflow".to_owned(), now);
            object.insert("overflow_calls".to_owned(), figures.overflow.into());
        }
        if let Some(store) = &policy.store {
            let mut shared = store.state();
            if let Some(shared) = shared.as_object_mut() {
                shared.insert("errors".to_owned(), figures.shared_errors.into());
                shared.insert("fallbacks".to_owned(), figures.shared_fallbacks.into());
            }
            object.insert("shared".to_owned(), shared);
        }
        state
    }
}
