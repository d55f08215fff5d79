//! The HTTP side of services: routes, and what stands around them.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use http::{HeaderValue, Method as HttpMethod, StatusCode, header};
use http_body::Body as _;
use kit_template::{Found, Router, Template};
use tower::{Layer as _, Service, ServiceExt as _, service_fn, util::BoxCloneSyncService};
use tower_http::decompression::RequestDecompressionLayer;

use super::{
    Body, HttpConfig,
    answer::Refusal,
    bodies::{AnswerBody, RequestBody},
    compress::Accepted,
    cors,
    docs::Docs,
    route::{Arrived, BidiStreaming, ClientStreaming, Outcome, Route, Rule, ServerStreaming, Unary},
};
use crate::{
    Endpoint, Endpoints, Error, HttpRule, Message, Method, Payload, Peer, ServiceInfo, Streaming, VisitEndpoints,
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
        let routes = Routes { router, aside, extra: self.extra, compression: self.config.compression };
        let service = HttpService { routes: Arc::new(routes), around: None };
        if self.config.cors.origins.is_empty() {
            return Ok(service);
        }
        let around = cors::around(BoxCloneSyncService::new(service.clone()), &self.config.cors)?;
        Ok(HttpService { around: Some(around), ..service })
    }
}

/// The rules of all services.
struct Rules<'a> {
    config: &'a HttpConfig,
    registry: &'a Registry,
    router: Router<Box<dyn Route>>,
    problem: Option<Error>,
}

impl Rules<'_> {
    fn add<Req: Payload, Res: Payload>(
        &mut self,
        endpoint: &Endpoint<Req, Res>,
        route: impl Fn(Arc<Rule<Req, Res>>) -> Box<dyn Route>,
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
        route: impl Fn(Arc<Rule<Req, Res>>) -> Box<dyn Route>,
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
        self.add(endpoint, |rule| Box::new(Unary(rule)));
    }
    fn client_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Streaming<Req>, Res>) {
        self.add(endpoint, |rule| Box::new(ClientStreaming(rule)));
    }
    fn server_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Req, Streaming<Res>>) {
        self.add(endpoint, |rule| Box::new(ServerStreaming(rule)));
    }
    fn bidi_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Streaming<Req>, Streaming<Res>>) {
        self.add(endpoint, |rule| Box::new(BidiStreaming(rule)));
    }
}

/// Services over HTTP/JSON: a Tower service that answers every request. Cheap to clone.
#[derive(Clone)]
pub struct HttpService {
    routes: Arc<Routes>,
    // What stands around all of it, if anything does: then a request comes here twice, and the second time without.
    around: Option<BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>>,
}

impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpService").finish_non_exhaustive()
    }
}

impl HttpService {
    /// Answers a request of a peer.
    pub(crate) fn answer(&self, request: http::Request<RequestBody>, peer: Option<Arc<Peer>>) -> Answering {
        let Some(around) = &self.around else { return self.routes.answer(request, peer) };
        let answer = around.clone().oneshot(boxed(request, peer));
        let outcome = Outcome::later(async move {
            let Ok(response) = answer.await;
            response.map(AnswerBody::Boxed)
        });
        Answering { outcome, head: false, accepted: None }
    }
}

impl Service<http::Request<Body>> for HttpService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = HttpFuture;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> HttpFuture {
        let peer = request.extensions_mut().remove::<Arc<Peer>>();
        HttpFuture(self.answer(request.map(RequestBody::Boxed), peer))
    }
}

/// The future of [`HttpService`].
pub struct HttpFuture(Answering);

impl Future for HttpFuture {
    type Output = Result<http::Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(task).map(|response| Ok(response.map(AnswerBody::boxed)))
    }
}

impl fmt::Debug for HttpFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpFuture").finish_non_exhaustive()
    }
}

/// An answer that is on its way, and what is done to it when it is there.
pub(crate) struct Answering {
    outcome: Outcome,
    head: bool,
    accepted: Option<Accepted>,
}

impl Future for Answering {
    type Output = http::Response<AnswerBody>;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut response = ready!(Pin::new(&mut self.outcome).poll(task));
        if self.head {
            response = without_body(response);
        }
        Poll::Ready(match self.accepted.take() {
            Some(accepted) => accepted.apply(response),
            None => response,
        })
    }
}

struct Routes {
    router: Router<Box<dyn Route>>,
    aside: Vec<Aside>,
    extra: Option<axum::Router>,
    compression: bool,
}

impl Routes {
    fn answer(self: &Arc<Self>, request: http::Request<RequestBody>, peer: Option<Arc<Peer>>) -> Answering {
        if !self.compression {
            return self.dispatch(request, peer);
        }
        // Few requests have either header: names are looked at, nothing is hashed.
        let (mut encoded, mut accepts) = (false, false);
        for name in request.headers().keys() {
            encoded |= name == header::CONTENT_ENCODING;
            accepts |= name == header::ACCEPT_ENCODING;
        }
        let accepted = Some(if accepts { Accepted::of(request.headers()) } else { Accepted::NOTHING });
        if encoded {
            return Answering { outcome: self.unpack(request, peer), head: false, accepted };
        }
        Answering { accepted, ..self.dispatch(request, peer) }
    }

    /// Answers a request whose body may be compressed. What is not taken is refused behind it, by an answer like all others.
    fn unpack(self: &Arc<Self>, request: http::Request<RequestBody>, peer: Option<Arc<Peer>>) -> Outcome {
        let routes = Arc::clone(self);
        let dispatch = service_fn(move |request: http::Request<_>| {
            let request = request.map(|body| RequestBody::Boxed(Body::new(body)));
            let answering = routes.dispatch(request, peer.clone());
            async move { Ok::<_, Infallible>(answering.await) }
        });
        let unpacked = RequestDecompressionLayer::new().pass_through_unaccepted(true).layer(dispatch).oneshot(request);
        Outcome::later(async move {
            let Ok(response) = unpacked.await;
            response.map(|body| AnswerBody::Boxed(Body::new(body)))
        })
    }

    fn dispatch(&self, request: http::Request<RequestBody>, peer: Option<Arc<Peer>>) -> Answering {
        let head = request.method() == HttpMethod::HEAD;
        let (mut parts, body) = request.into_parts();
        let (method, path) = (parts.method.as_str(), parts.uri.path());
        let mut found = self.router.find(method, path);
        if head && !matches!(found, Found::Match(_)) {
            found = self.router.find("GET", path);
        }
        let refusal = match found {
            Found::Match(found) => {
                let headers = std::mem::take(&mut parts.headers);
                let query = parts.uri.query().unwrap_or_default();
                let arrived = Arrived { headers, body, peer, query, variables: found.variables };
                return Answering { outcome: found.value.call(arrived), head, accepted: None };
            }
            Found::NotFound => {
                let request = boxed(http::Request::from_parts(parts, body), peer);
                return Answering { outcome: self.elsewhere(request), head: false, accepted: None };
            }
            Found::BadPath(error) => Refusal::from(Error::invalid_argument(format!("the path: {error}"))),
            Found::MethodNotAllowed(allowed) => {
                let response = not_allowed(method, allowed, &parts.headers);
                return Answering { outcome: Outcome::Ready(Some(response)), head: false, accepted: None };
            }
        };
        let response = refusal.answer(&request_id(&parts.headers));
        Answering { outcome: Outcome::Ready(Some(response)), head: false, accepted: None }
    }

    /// Answers what no rule fits.
    fn elsewhere(&self, request: http::Request<Body>) -> Outcome {
        if let Some(answer) = self.aside.iter().find_map(|answer| answer(&request)) {
            return Outcome::Ready(Some(answer.map(AnswerBody::Boxed)));
        }
        if let Some(extra) = &self.extra {
            let answer = extra.clone().oneshot(request);
            return Outcome::later(async move {
                let Ok(response) = answer.await;
                response.map(AnswerBody::Boxed)
            });
        }
        let path = crate::json::scalar::shorten(request.uri().path());
        let refusal = Refusal::from(Error::not_found(format!("there is nothing at {path}")));
        Outcome::Ready(Some(refusal.answer(&request_id(request.headers()))))
    }
}

/// A request as others know it.
fn boxed(request: http::Request<RequestBody>, peer: Option<Arc<Peer>>) -> http::Request<Body> {
    let mut request = request.map(RequestBody::boxed);
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    request
}

fn not_allowed(method: &str, mut allowed: Vec<&str>, headers: &http::HeaderMap) -> http::Response<AnswerBody> {
    if allowed.contains(&"GET") && !allowed.contains(&"HEAD") {
        allowed.push("HEAD");
    }
    let allowed = allowed.join(", ");
    let error = Error::unimplemented(format!("{method} is not a method of this path: use {allowed}"));
    let mut response = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, error).answer(&request_id(headers));
    if let Ok(allowed) = HeaderValue::try_from(allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// The answer to a `HEAD`: the headers that a `GET` would have, with the length of its body.
fn without_body(mut response: http::Response<AnswerBody>) -> http::Response<AnswerBody> {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.map(|_| AnswerBody::EMPTY)
}
