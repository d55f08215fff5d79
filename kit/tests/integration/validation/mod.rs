//! Requests that break the rules of their `.proto` file, over real sockets; and the checks themselves beside an oracle.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use kit::{
    Class, Code, Context, Error, Streaming,
    client::Channel,
    layer::validation::{Validation, ValidationConfig},
    message::rules,
};
use serde_json::{Value, json};

use crate::{
    support::{Running, get, post, request},
    validated::validated::{AddRequest, Added, Book, Library, LibraryClient, LibraryEndpoints, Page, book::Form},
};

mod recorded;

/// Counts the books that reach it.
#[derive(Clone, Default)]
struct Shelf(Arc<AtomicU32>);

impl Library for Shelf {
    async fn add(&self, _: &Context, _: AddRequest) -> Result<Added, Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Added { count: 1 })
    }

    async fn add_many(&self, _: &Context, mut books: Streaming<AddRequest>) -> Result<Added, Error> {
        let mut count = 0;
        while books.message().await?.is_some() {
            self.0.fetch_add(1, Ordering::Relaxed);
            count += 1;
        }
        Ok(Added { count })
    }

    async fn count(&self, _: &Context, asked: Added) -> Result<Added, Error> {
        Ok(asked)
    }
}

fn good() -> AddRequest {
    let book = Book { title: "Monkey".to_owned(), form: Some(Form::Bytes(7)), ..Book::default() };
    AddRequest { book: Some(book), note: String::new() }
}

fn page(text: &str) -> Page {
    Page { text: text.to_owned() }
}

/// Breaks a rule in every way that a path can have.
fn bad() -> AddRequest {
    let sequel = Book { title: "x".repeat(21), pages: vec![page("a"), page("")], ..Book::default() };
    let book = Book {
        pages: vec![page("a"), page(""), page("b"), page("")],
        titles: HashMap::from([("de".to_owned(), String::new()), ("\"".to_owned(), "a".to_owned())]),
        sequel: Some(Box::new(sequel)),
        inserts: HashMap::from([("map".to_owned(), page(""))]),
        form: Some(Form::Cover(page(""))),
        ..Book::default()
    };
    AddRequest { book: Some(book), note: String::new() }
}

const VIOLATIONS: [(&str, &str); 11] = [
    ("book.title", "must have at least 1 character"),
    ("book.pages", "must have at most 3 items"),
    ("book.pages[1].text", "must have at least 1 character"),
    ("book.pages[3].text", "must have at least 1 character"),
    (r#"book.titles["\""]"#, "the key must have 2 characters"),
    (r#"book.titles["de"]"#, "must have at least 1 character"),
    ("book.sequel.form", "is required"),
    ("book.sequel.title", "must have at most 20 characters"),
    ("book.sequel.pages[1].text", "must have at least 1 character"),
    (r#"book.inserts["map"].text"#, "must have at least 1 character"),
    ("book.cover.text", "must have at least 1 character"),
];

const MESSAGE: &str = "the request is invalid: book.title must have at least 1 character (and 10 more)";

async fn library() -> (Running, Shelf, Validation) {
    let (shelf, validation) = (Shelf::default(), Validation::new(&ValidationConfig::default()).unwrap());
    let server = Running::serve(&LibraryEndpoints::new(shelf.clone()).with(&validation)).await;
    (server, shelf, validation)
}

fn violations(error: &Error) -> Vec<(&str, &str)> {
    error.field_violations().iter().map(|v| (v.field.as_str(), v.description.as_str())).collect()
}

#[tokio::test]
async fn every_violation_comes_back_by_both_transports() {
    let (server, shelf, validation) = library().await;
    for url in [server.grpc_url(), server.http_url()] {
        let client = LibraryClient::new(&Channel::new(&url).unwrap());
        let error = client.add(&Context::background(), bad()).await.unwrap_err();
        assert_eq!((error.code(), error.class()), (Code::InvalidArgument, Class::Caller));
        assert_eq!(error.message(), MESSAGE);
        assert_eq!(error.reason().unwrap().reason, "INVALID_REQUEST");
        assert_eq!(violations(&error), VIOLATIONS);
        client.add(&Context::background(), good()).await.unwrap();
    }
    assert_eq!((shelf.0.load(Ordering::Relaxed), validation.rejected()), (2, 2));
}

#[tokio::test]
async fn json_shows_the_violations() {
    let (server, shelf, _) = library().await;
    let answer = post(server.http, "/v1/books", r#"{"book": {"pages": [{}], "bytes": "0"}}"#).await;
    assert_eq!(answer.status, 400);
    let body = answer.json();
    assert_eq!(body["code"], 3);
    let details = body["details"].as_array().unwrap();
    let bad_request = details.iter().find(|any| any["@type"] == "type.googleapis.com/google.rpc.BadRequest").unwrap();
    let shown = |violation: &Value| (violation["field"].clone(), violation["description"].clone());
    let shown: Vec<_> = bad_request["fieldViolations"].as_array().unwrap().iter().map(shown).collect();
    assert_eq!(
        shown,
        [
            (json!("book.title"), json!("must have at least 1 character")),
            (json!("book.pages[0].text"), json!("must have at least 1 character")),
            (json!("book.bytes"), json!("must be greater than 0")),
        ]
    );
    let answer = post(server.http, "/v1/books", "{}").await;
    assert_eq!(answer.json()["message"], "the request is invalid: book is required");
    assert_eq!(shelf.0.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_stream_ends_with_its_first_invalid_message() {
    let (server, shelf, validation) = library().await;
    for (calls, url) in [(1, server.grpc_url()), (2, server.http_url())] {
        let client = LibraryClient::new(&Channel::new(&url).unwrap());
        let books = Streaming::from_iter([good(), good(), bad(), good()]);
        let error = client.add_many(&Context::background(), books).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::InvalidArgument, MESSAGE));
        assert_eq!(violations(&error), VIOLATIONS);
        assert_eq!((shelf.0.load(Ordering::Relaxed), validation.rejected()), (2 * calls, calls.into()));
    }
    let lines = "{\"book\":{\"title\":\"a\",\"bytes\":1}}\n{}\n";
    let answer =
        request(server.http, "POST", "/v1/books:many", &["content-type: application/x-ndjson"], lines.as_bytes());
    assert_eq!(answer.await.json()["message"], "the request is invalid: book is required");
}

#[tokio::test]
async fn a_method_without_rules_has_no_layer() {
    let validation = Validation::new(&ValidationConfig::default()).unwrap();
    let endpoints = LibraryEndpoints::new(Shelf::default()).with(&validation);
    let names = |layers: &[kit::LayerInfo]| layers.iter().map(|layer| layer.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(endpoints.add.layers()), ["validation"]);
    assert_eq!(names(endpoints.add_many.layers()), ["validation"]);
    assert_eq!(names(endpoints.count.layers()), [""; 0]);
    let off = Validation::new(&ValidationConfig { enabled: false, ..ValidationConfig::default() }).unwrap();
    let endpoints = LibraryEndpoints::new(Shelf::default()).with(&off);
    assert_eq!(names(endpoints.add.layers()), [""; 0]);
    endpoints.add(&Context::background(), bad()).await.unwrap();

    let (server, ..) = library().await;
    assert_eq!(get(server.http, "/v1/books:count?count=-1").await.json()["count"], -1);
}

/// The largest answer that is possible still fits into trailers and headers.
#[tokio::test]
async fn what_is_reported_is_bounded() {
    let (shelf, config) = (Shelf::default(), ValidationConfig { max_violations: 256, ..ValidationConfig::default() });
    let validation = Validation::new(&config).unwrap();
    let server = Running::serve(&LibraryEndpoints::new(shelf.clone()).with(&validation)).await;
    let mut request = good();
    let book = request.book.as_mut().unwrap();
    book.inserts = (0..2_000).map(|n| (format!("{n}{}", "\u{1}".repeat(100)), page(""))).collect();
    for url in [server.grpc_url(), server.http_url()] {
        let client = LibraryClient::new(&Channel::new(&url).unwrap());
        let error = client.add(&Context::background(), request.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
        assert!(error.message().ends_with("(and more than can be told)"), "{error}");
        assert!((2..50).contains(&error.field_violations().len()), "{}", error.field_violations().len());
    }

    let error = rules::validate_up_to(&bad(), 3).unwrap_err();
    assert_eq!(violations(&error), VIOLATIONS[..3]);
    assert!(error.message().ends_with("(and more than can be told)"), "{error}");
    assert_eq!(rules::validate_up_to(&bad(), 11).unwrap_err().message(), MESSAGE);
}

/// Messages come from the wire at most a hundred levels deep; a program may build deeper ones.
#[test]
fn nesting_has_an_end() {
    let valid = || Book { title: "a".to_owned(), form: Some(Form::Bytes(1)), ..Book::default() };
    let deep = |levels: usize| (0..levels).fold(valid(), |inner, _| Book { sequel: Some(Box::new(inner)), ..valid() });
    rules::validate(&deep(100)).unwrap();
    let error = rules::validate(&deep(200)).unwrap_err();
    assert_eq!(error.field_violations().len(), 1);
    let violation = &error.field_violations()[0];
    assert!(
        violation.field.starts_with("sequel.sequel.") && violation.description == "is nested more than 100 levels deep"
    );
}
