//! The HTTP side of services: routes, and what stands around them.

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use http::{HeaderValue, Method as HttpMethod, StatusCode, header};
use http_body::Body as _;
use kit_template::{Found, Router, Template};
use tower::{Service, ServiceBuilder, ServiceExt as _, util::BoxCloneSyncService};
use tower_http::{
    compression::{
        CompressionLayer,
        predicate::{Predicate as _, SizeAbove},
    },
    decompression::RequestDecompressionLayer,
};

use super::{
    Body, HttpConfig,
    answer::Refusal,
    cors,
    docs::Docs,
    route::{BidiStreaming, ClientStreaming, Route, Rule, ServerStreaming, Unary},
    stream::Live,
};
use crate::{
    Endpoint, Endpoints, Error, HttpRule, Message, Method, Payload, ServiceInfo, Streaming, VisitEndpoints,
    json::Registry, transport::request_id,
};

/// Collects the routes of services: the builder of an [`HttpService`].
pub struct HttpTransport {
    config: HttpConfig,
    services: Vec<&'static ServiceInfo>,
    rules: Vec<AddRules>,
    registry: Registry,
    aside: Vec<Aside>,
    extra: Option<axum::Router>,
}

/// Adds the rules of a service, when all that their JSON needs is known.
type AddRules = Box<dyn FnOnce(&mut Rules<'_>) + Send + Sync>;

/// Answers what no rule of a service fits, or leaves it to others.
type Aside = Box<dyn Fn(&http::Request<Body>) -> Option<http::Response<Body>> + Send + Sync>;

impl HttpTransport {
    /// A transport without services.
    pub fn new(config: HttpConfig) -> Self {
        Self {
            config,
            services: Vec::new(),
            rules: Vec::new(),
            registry: Registry::default(),
            aside: Vec::new(),
            extra: None,
        }
    }

    /// Adds the routes of a service.
    #[must_use]
    pub fn service<E: Endpoints>(mut self, endpoints: &E) -> Self {
        self.registry = (E::SERVICE.register)(self.registry);
        let endpoints = endpoints.clone();
        self.rules.push(Box::new(move |rules| endpoints.visit(rules)));
        self.services.push(E::SERVICE);
        self
    }

    /// Makes messages known to the JSON of `google.protobuf.Any`, for all services, before or after they are added. Those of the
    /// services' own packages, and the details of errors, are known without.
    #[must_use]
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = self.registry.merged(registry);
        self
    }

    /// Adds routes of your own: they are asked when no rule of a service fits the path.
    #[must_use]
    pub fn routes(mut self, routes: axum::Router) -> Self {
        self.extra = Some(match self.extra.take() {
            Some(extra) => extra.merge(routes),
            None => routes,
        });
        self
    }

    /// Adds answers that are at hand, such as those of probes, before the routes of [`HttpTransport::routes`].
    #[cfg(feature = "server")]
    pub(crate) fn aside(
        mut self,
        answer: impl Fn(&http::Request<Body>) -> Option<http::Response<Body>> + Send + Sync + 'static,
    ) -> Self {
        self.aside.push(Box::new(answer));
        self
    }

    /// The service that answers.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when two services have routes that can't be told apart, a rule has a broken template, or the CORS
    /// settings contradict each other.
    pub fn build(self) -> Result<HttpService, Error> {
        let mut rules = Rules { config: &self.config, registry: &self.registry, router: Router::new(), problem: None };
        for add in self.rules {
            add(&mut rules);
        }
        let Rules { router, problem, .. } = rules;
        if let Some(problem) = problem {
            return Err(problem);
        }
        let mut aside = self.aside;
        if let Some(docs) = self.config.docs.then(|| Docs::new(&self.services)).flatten() {
            aside.push(Box::new(move |request| docs.answer(request)));
        }
        let dispatch = Dispatch(Arc::new(Routes { router, aside, extra: self.extra }));
        let service = if self.config.compression {
            let fits = |_: StatusCode, _: http::Version, headers: &http::HeaderMap, extensions: &http::Extensions| {
                compressible(headers) && extensions.get::<Live>().is_none()
            };
            let compress = CompressionLayer::new().compress_when(SizeAbove::new(SMALLEST).and(fits));
            let service = ServiceBuilder::new()
                .map_response(|response: http::Response<_>| response.map(Body::new))
                .layer(compress)
                // What is not taken is refused behind it, by an answer like all others.
                .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true))
                .map_request(|request: http::Request<_>| request.map(Body::new))
                .service(dispatch)
                .map_response(|response: http::Response<_>| response.map(Body::new));
            BoxCloneSyncService::new(service)
        } else {
            BoxCloneSyncService::new(dispatch)
        };
        Ok(HttpService(cors::around(service, &self.config.cors)?))
    }
}

/// The rules of all services.
struct Rules<'a> {
    config: &'a HttpConfig,
    registry: &'a Registry,
    router: Router<Arc<dyn Route>>,
    problem: Option<Error>,
}

impl Rules<'_> {
    fn add<Req: Payload, Res: Payload>(
        &mut self,
        endpoint: &Endpoint<Req, Res>,
        route: impl Fn(Arc<Rule<Req, Res>>) -> Arc<dyn Route>,
    ) {
        for rule in endpoint.method().http.iter() {
            if let Err(problem) = self.add_rule(endpoint, rule, &route) {
                self.problem.get_or_insert(problem);
            }
        }
    }

    fn add_rule<Req: Payload, Res: Payload>(
        &mut self,
        endpoint: &Endpoint<Req, Res>,
        rule: &HttpRule,
        route: impl Fn(Arc<Rule<Req, Res>>) -> Arc<dyn Route>,
    ) -> Result<(), Error> {
        let wrong = |method: &Method, what: String| {
            Error::invalid_argument(format!(
                "the HTTP rule {} {} of {}: {what}",
                rule.method, rule.template, method.path
            ))
        };
        let template = Template::parse(&rule.template).map_err(|e| wrong(endpoint.method(), e.to_string()))?;
        let variables = template.variables().iter().map(ToString::to_string).collect();
        let rule_of = Arc::new(Rule::new(endpoint, rule, variables, self.config, self.registry));
        self.router
            .insert(&rule.method, template, route(rule_of))
            .map_err(|conflict| wrong(endpoint.method(), conflict.to_string()))
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("config", &self.config).finish_non_exhaustive()
    }
}

impl VisitEndpoints for Rules<'_> {
    fn unary<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Req, Res>) {
        self.add(endpoint, |rule| Arc::new(Unary(rule)));
    }
    fn client_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Streaming<Req>, Res>) {
        self.add(endpoint, |rule| Arc::new(ClientStreaming(rule)));
    }
    fn server_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Req, Streaming<Res>>) {
        self.add(endpoint, |rule| Arc::new(ServerStreaming(rule)));
    }
    fn bidi_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Streaming<Req>, Streaming<Res>>) {
        self.add(endpoint, |rule| Arc::new(BidiStreaming(rule)));
    }
}

/// The smallest answer that is compressed: below about 1 kB the header costs more than compression saves.
const SMALLEST: u64 = 1024;

fn compressible(headers: &http::HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    content_type.starts_with("text/") || content_type.contains("json") || content_type.contains("javascript")
}

/// Services over HTTP/JSON: a Tower service that answers every request. Cheap to clone.
#[derive(Clone)]
pub struct HttpService(BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>);

impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpService").finish_non_exhaustive()
    }
}

impl Service<http::Request<Body>> for HttpService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = <BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible> as Service<
        http::Request<Body>,
    >>::Future;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}

struct Routes {
    router: Router<Arc<dyn Route>>,
    aside: Vec<Aside>,
    extra: Option<axum::Router>,
}

#[derive(Clone)]
struct Dispatch(Arc<Routes>);

impl Service<http::Request<Body>> for Dispatch {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let routes = Arc::clone(&self.0);
        let head = request.method() == HttpMethod::HEAD;
        let method = request.method().as_str();
        let path = request.uri().path();
        let mut found = routes.router.find(method, path);
        if head && !matches!(found, Found::Match(_)) {
            found = routes.router.find("GET", path);
        }
        let refusal = match found {
            Found::Match(found) => {
                let route = Arc::clone(found.value);
                let variables = found.variables.into_iter().map(|(_, value)| value.into_owned()).collect();
                let (parts, body) = request.into_parts();
                let answering = route.call(parts, body, variables);
                return Box::pin(async move {
                    let response = answering.await;
                    Ok(if head { without_body(response) } else { response })
                });
            }
            Found::NotFound => {
                if let Some(answer) = routes.aside.iter().find_map(|answer| answer(&request)) {
                    return Box::pin(std::future::ready(Ok(answer)));
                }
                if let Some(extra) = &routes.extra {
                    return Box::pin(extra.clone().oneshot(request));
                }
                Refusal::from(Error::not_found(format!("there is nothing at {}", crate::json::scalar::shorten(path))))
            }
            Found::BadPath(error) => Refusal::from(Error::invalid_argument(format!("the path: {error}"))),
            Found::MethodNotAllowed(mut allowed) => {
                if allowed.contains(&"GET") && !allowed.contains(&"HEAD") {
                    allowed.push("HEAD");
                }
                let allowed = allowed.join(", ");
                let error = Error::unimplemented(format!("{method} is not a method of this path: use {allowed}"));
                let mut response =
                    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, error).answer(&request_id(request.headers()));
                if let Ok(allowed) = HeaderValue::try_from(allowed) {
                    response.headers_mut().insert(header::ALLOW, allowed);
                }
                return Box::pin(std::future::ready(Ok(response)));
            }
        };
        let response = refusal.answer(&request_id(request.headers()));
        Box::pin(std::future::ready(Ok(response)))
    }
}

/// The answer to a `HEAD`: the headers that a `GET` would have, with the length of its body.
fn without_body(mut response: http::Response<Body>) -> http::Response<Body> {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.map(|_| Body::empty())
}
