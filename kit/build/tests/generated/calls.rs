//! Calls through generated endpoints and clients.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use kit::{
    Connect, Context, Endpoint, Endpoints, Error, Message, Method, Middleware, Payload, Streaming, VisitEndpoints,
};

use crate::bookinfo::{
    comments::{BookComments, Comment, GetReq, GetResp, PostReq, PostResp, WatchReq},
    details::{
        BOOK_DETAILS, BOOK_DETAILS_DETAIL, BookDetails, BookDetailsClient, BookDetailsEndpoints, DetailReq, DetailResp,
        DetailRespData,
    },
};
use crate::everything::every::thing::{EVERYTHING_FORGET, EVERYTHING_UPDATE, NothingEndpoints};

struct Library<C>(C);

impl<C: BookComments> BookDetails for Library<C> {
    async fn detail(&self, cx: &Context, request: DetailReq) -> Result<DetailResp, Error> {
        let comments = self.0.get(cx, GetReq { id: request.id }).await?.data;
        let data = DetailRespData { id: 7, comments, ..DetailRespData::default() };
        Ok(DetailResp { code: 200, msg: "success".into(), data: Some(data) })
    }
}

struct Said;

impl BookComments for Said {
    async fn post(&self, _: &Context, _: PostReq) -> Result<PostResp, Error> {
        Err(Error::cancelled("not here"))
    }
    async fn get(&self, _: &Context, request: GetReq) -> Result<GetResp, Error> {
        let comment = Comment { content: format!("about {}", request.id), created_at: String::new() };
        Ok(GetResp { data: vec![comment], ..GetResp::default() })
    }
    async fn watch(&self, _: &Context, _: WatchReq) -> Result<Streaming<Comment>, Error> {
        Ok(Streaming::from_iter([Comment::default(), Comment::default()]))
    }
}

#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Middleware for Count {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let count = self.clone();
        endpoint.layer(tower::layer::layer_fn(move |inner| {
            let count = count.clone();
            tower::util::MapRequest::new(inner, move |request: kit::Request<Req>| {
                count.0.fetch_add(1, Ordering::Relaxed);
                request
            })
        }))
    }
}

/// Leads nowhere, but says where it would.
struct Nowhere;

fn unreachable<Req: Payload, Res: Payload>(method: &Method) -> Endpoint<Req, Res> {
    Endpoint::from_fn(method.clone(), |cx: Context, _: Req| async move {
        Err(Error::cancelled(format!("no way to {}", cx.method().expect("a call has one").path)))
    })
}

impl Connect for Nowhere {
    fn unary<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Req, Res> {
        unreachable(method)
    }
    fn client_streaming<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Streaming<Req>, Res> {
        unreachable(method)
    }
    fn server_streaming<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Req, Streaming<Res>> {
        unreachable(method)
    }
    fn bidi_streaming<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Streaming<Req>, Streaming<Res>> {
        unreachable(method)
    }
}

#[derive(Default)]
struct Paths(Vec<String>);

impl VisitEndpoints for Paths {
    fn unary<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Req, Res>) {
        self.0.push(endpoint.method().path.to_string());
    }
    fn client_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Streaming<Req>, Res>) {
        self.0.push(endpoint.method().path.to_string());
    }
    fn server_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Req, Streaming<Res>>) {
        self.0.push(endpoint.method().path.to_string());
    }
    fn bidi_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Streaming<Req>, Streaming<Res>>) {
        self.0.push(endpoint.method().path.to_string());
    }
}

#[tokio::test]
async fn a_call_goes_through_middleware_to_the_service() {
    let count = Count::default();
    let endpoints =
        BookDetailsEndpoints::new(Library(Arc::new(Said))).with(&count).layer(tower::layer::util::Identity::new());
    let answer = endpoints.detail(&Context::background(), DetailReq { id: 7 }).await.unwrap();
    assert_eq!(answer.data.unwrap().comments[0].content, "about 7");
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_client_is_the_service() {
    let client = BookDetailsClient::new(&Nowhere).with(&());
    let error = client.detail(&Context::background(), DetailReq { id: 7 }).await.unwrap_err();
    assert_eq!(error.message(), "no way to /details.BookDetails/Detail");
    let mut paths = Paths::default();
    client.endpoints().visit(&mut paths);
    assert_eq!(paths.0, ["/details.BookDetails/Detail"]);
}

#[tokio::test]
async fn streams_are_generated() {
    let comments = crate::bookinfo::comments::BookCommentsEndpoints::new(Said);
    let mut stream = comments.watch(&Context::background(), WatchReq { id: 1 }).await.unwrap();
    assert!(stream.message().await.unwrap().is_some());
}

#[test]
fn statics_tell_of_services_and_methods() {
    assert_eq!(BOOK_DETAILS.methods, std::slice::from_ref(&BOOK_DETAILS_DETAIL));
    assert_eq!(BOOK_DETAILS_DETAIL.idempotency, kit::Idempotency::NoSideEffects);
    assert_eq!(EVERYTHING_FORGET.idempotency, kit::Idempotency::NoSideEffects);
    assert_eq!(EVERYTHING_UPDATE.idempotency, kit::Idempotency::Idempotent);
    assert_eq!(EVERYTHING_UPDATE.http[0].field_mask.as_deref(), Some("update_mask"));
    let mut paths = Paths::default();
    NothingEndpoints::connect(&Nowhere).visit(&mut paths);
    assert!(paths.0.is_empty());
}

#[test]
fn register_knows_every_message() {
    let registry = crate::everything::every::thing::register(kit::json::Registry::default());
    assert!(registry.contains("every.thing.Choices.Inner.Innermost"));
}
