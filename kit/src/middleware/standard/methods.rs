//! What single methods have otherwise.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    Error, Method, ServiceInfo,
    layer::{methods, timeout::TimeoutConfig},
    validate::{Validate, Violations},
};

/// The settings of single methods, by name: `Detail`, or whole, `details.BookDetails/Detail`, which beats the short one.
///
/// For each there are sections of the chain, as far as they differ from the common ones: what is not said is as it is for all
/// methods.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MethodSettings(BTreeMap<String, Value>);

/// Settings of a chain, with those of single methods.
pub(super) trait ChainConfig: Clone + Serialize + DeserializeOwned + Validate {
    /// The layers that can be left out, and whether they are there.
    fn layers(&self) -> Vec<(&'static str, bool)>;

    /// What is of all methods together: sections, and settings of sections. No method can have its own.
    const WHOLE: &'static [&'static str];

    /// The sections that stay as they were when the service was started.
    const FIXED: &'static [&'static str];

    /// The sections whose state all methods share, unless a method has its own.
    const SHARED: &'static [&'static str];

    fn timeout(&self) -> &TimeoutConfig;

    fn methods(&self) -> &MethodSettings;

    fn methods_mut(&mut self) -> &mut MethodSettings;

    /// The sections of this configuration, those of single methods left out.
    fn validate_common(&self, report: &mut Violations);
}

impl MethodSettings {
    pub(super) fn insert(&mut self, method: String, settings: Value) {
        self.0.insert(method, settings);
    }

    /// What a method has otherwise.
    fn of(&self, method: &Method) -> Option<&Value> {
        methods::of(&self.0, method)
    }

    /// Whether something is set for this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether a method has a section of its own.
    pub(super) fn has(&self, method: &Method, section: &str) -> bool {
        self.of(method).is_some_and(|own| own.get(section).is_some())
    }

    /// Says which names are no methods of these services.
    fn validate_names(&self, services: &[&ServiceInfo], report: &mut Violations) {
        let there = || services.iter().flat_map(|service| service.methods);
        for name in self.0.keys() {
            if !there().any(|method| methods::is(name, method)) {
                let there: Vec<_> = there().map(|method| &*method.name).collect();
                let message = format!("is no method; there are: {}", there.join(", "));
                report.add(&format!("methods.{name}"), message);
            }
        }
    }
}

/// The settings of a chain around these services.
pub(super) struct OfServices<'a, C> {
    pub(super) config: &'a C,
    pub(super) services: &'a [&'a ServiceInfo],
}

impl<C: ChainConfig> Validate for OfServices<'_, C> {
    fn validate(&self, report: &mut Violations) {
        self.config.validate(report);
        self.config.methods().validate_names(self.services, report);
    }
}

/// The settings of a chain that hold for a method.
pub(super) fn of_method<'a, C: ChainConfig>(config: &'a C, method: &Method) -> Result<Cow<'a, C>, Error> {
    match config.methods().of(method) {
        None => Ok(Cow::Borrowed(config)),
        Some(own) => merged(config, own).map(Cow::Owned).map_err(Error::invalid_argument),
    }
}

/// All settings of a chain: the common ones, and then those of methods.
pub(super) fn validate<C: ChainConfig>(config: &C, report: &mut Violations) {
    let before = report.iter().count();
    config.validate_common(report);
    if report.iter().count() > before {
        // Methods would say the same once more.
        return;
    }
    for (name, own) in &config.methods().0 {
        let key = format!("methods.{name}");
        let whole = |path: &&&str| own.pointer(&format!("/{}", path.replace('.', "/"))).is_some();
        if let Some(path) = C::WHOLE.iter().find(whole) {
            report.add(&format!("{key}.{path}"), "is of all methods together: no method can have its own");
            continue;
        }
        match merged(config, own) {
            Ok(whole) => report.section(&key, &whole),
            Err(why) => report.add(&key, why),
        }
    }
}

/// The common settings with those of a method in their place.
fn merged<C: ChainConfig>(config: &C, own: &Value) -> Result<C, String> {
    let Some(own) = own.as_object().filter(|own| !own.contains_key("methods")) else {
        return Err("must be sections of the chain, such as `timeout: 2s`".to_owned());
    };
    let mut common = config.clone();
    *common.methods_mut() = MethodSettings::default();
    let mut settings = serde_json::to_value(common).map_err(|error| error.to_string())?;
    let Some(sections) = settings.as_object_mut() else { return Err("the settings are no object".to_owned()) };
    sections.remove("methods");
    overlay(sections, own);
    serde_json::from_value(settings).map_err(|error| error.to_string())
}

fn overlay(common: &mut Map<String, Value>, own: &Map<String, Value>) {
    for (key, value) in own {
        match (common.get_mut(key), whole(key, value)) {
            (Some(Value::Object(common)), Value::Object(own)) => overlay(common, &own),
            (_, value) => {
                common.insert(key.clone(), value);
            }
        }
    }
}

/// What is written in a short form, as it would be in the long one: else it would take the place of what it does not say.
fn whole(key: &str, value: &Value) -> Value {
    match value {
        Value::String(limit) if key == "timeout" => json!({ "unary": limit, "streaming": limit }),
        // A variable of the environment has a section as JSON.
        Value::String(text) if text.trim_start().starts_with('{') => {
            serde_json::from_str(text).unwrap_or_else(|_| value.clone())
        }
        value => value.clone(),
    }
}

impl fmt::Debug for MethodSettings {
    /// Names methods and sections: values may be secret, as the URL of a shared limit is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sections = |own: &Value| own.as_object().map(|own| own.keys().cloned().collect::<Vec<_>>());
        f.debug_map().entries(self.0.iter().map(|(method, own)| (method, sections(own)))).finish()
    }
}
