use tower::ServiceBuilder;

use super::Middleware;
use crate::{
    Endpoint, Payload,
    layer::{
        access_log::AccessLogLayer,
        recover::RecoverLayer,
        timeout::{TimeoutConfig, TimeoutLayer},
    },
};

/// The settings of the standard chain.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StandardConfig {
    /// How long calls may take.
    pub timeout: TimeoutConfig,
}

/// The chain that stands around every method of a service unless its author says otherwise.
///
/// From the outside in: the access log sees what the layers and the handler answer; recovery turns a panic of anything
/// behind it into an answer, so that the log has it; the deadline is innermost, so that time is counted for the work alone.
/// The whole chain is one erasure of types.
///
/// What is put around endpoints later stands outside of what is there: `.with(&yours).with(&standard)` has yours inside, where
/// the log sees its refusals.
#[derive(Clone, Debug, Default)]
pub struct StandardStack {
    config: StandardConfig,
}

impl StandardStack {
    /// The chain of a server.
    pub fn server(config: &StandardConfig) -> Self {
        Self { config: config.clone() }
    }
}

impl Middleware for StandardStack {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let method = endpoint.method().clone();
        let stack = ServiceBuilder::new()
            .layer(AccessLogLayer::new())
            .layer(RecoverLayer::new())
            .layer(TimeoutLayer::new(self.config.timeout.of(&method)));
        Endpoint::new(method, stack.service(endpoint))
    }
}
