use kit::{Connect, Endpoint, Endpoints, Method, MethodInfo, MethodKind, Middleware, ServiceInfo, VisitEndpoints};

use crate::proto::press::{Note, PRESS};

/// A service of many methods, each of which answers with what it was given: `/press.Press/Echo0`, `/press.Press/Echo1`, ...
#[derive(Clone)]
pub(super) struct Many(Vec<Endpoint<Note, Note>>);

impl Many {
    pub(super) fn new(methods: usize) -> Self {
        let endpoint = |number| {
            let method = MethodInfo::new(PRESS.name, format!("Echo{number}"), MethodKind::Unary);
            Endpoint::from_fn(Method::from(method), |_, note| async { Ok(note) })
        };
        Self((0..methods).map(endpoint).collect())
    }

    pub(super) fn with(self, middleware: &impl Middleware) -> Self {
        Self(self.0.into_iter().map(|endpoint| endpoint.with(middleware)).collect())
    }
}

impl Endpoints for Many {
    const SERVICE: &'static ServiceInfo = &PRESS;

    fn visit<V: VisitEndpoints>(&self, visitor: &mut V) {
        self.0.iter().for_each(|endpoint| visitor.unary(endpoint));
    }

    fn connect<C: Connect>(_: &C) -> Self {
        Self(Vec::new())
    }
}
