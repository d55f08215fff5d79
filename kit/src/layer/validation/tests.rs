use serde_json::json;
use tower::Layer as _;

use super::{Validation, ValidationConfig, ValidationLayer};
use crate::{
    Code, Context, Endpoint, Error, Message, Method, MethodInfo, MethodKind, Request, Streaming,
    message::{Visit, VisitField, rules::Check},
};

/// `string title = 1 [(buf.validate.field).string.min_len = 1];`
#[derive(Clone, PartialEq, prost::Message)]
struct Book {
    #[prost(string, tag = "1")]
    title: String,
}

impl Message for Book {
    const NAME: &'static str = "library.Book";
    fn visit<V: Visit>(&self, _: &mut V) -> Result<(), V::Error> {
        Ok(())
    }
    fn visit_field<V: VisitField>(&mut self, name: &str, visitor: V) -> Result<V::Output, V::Error> {
        visitor.unknown(name)
    }
    const HAS_RULES: bool = true;
    fn check_rules(&self, check: &mut Check<'_>) {
        check.field("title").string(&self.title).min_len(1);
    }
}

fn book(title: &str) -> Book {
    Book { title: title.to_owned() }
}

fn method(kind: MethodKind) -> Method {
    Method::from(MethodInfo::new("library.Library", "Add", kind))
}

fn request<T>(message: T) -> Request<T> {
    Request::new(Context::background(), message)
}

fn validation() -> Validation {
    Validation::new(&ValidationConfig::default()).unwrap()
}

#[tokio::test]
async fn a_request_that_breaks_a_rule_does_not_reach_the_handler() {
    let validation = validation();
    let add = Endpoint::from_fn(method(MethodKind::Unary), |_, book: Book| async move {
        assert_eq!(book.title, "Monkey");
        Ok(book)
    });
    let add = add.with(&validation);
    let error = add.call(request(book(""))).await.unwrap_err();
    assert_eq!((error.code(), error.is_fault(), error.is_retryable()), (Code::InvalidArgument, false, false));
    assert_eq!(error.field_violations()[0].field, "title");
    add.call(request(book("Monkey"))).await.unwrap();
    assert_eq!(validation.rejected(), 1);
    let info = &add.layers()[0];
    assert_eq!((info.name(), info.state()), ("validation", Some(json!({ "rejected": 1 }))));
    assert_eq!(info.settings(), json!({ "enabled": true, "max_violations": 32 }));
}

#[tokio::test]
async fn a_stream_gives_what_was_right_and_then_the_error() {
    let validation = validation();
    let add = Endpoint::from_fn(method(MethodKind::ClientStreaming), |_, mut books: Streaming<Book>| async move {
        let mut read = String::new();
        loop {
            match books.message().await {
                Ok(Some(book)) => read.push_str(&book.title),
                Ok(None) => return Ok(format!("{read}, whole")),
                Err(error) => {
                    // After its first error a stream is over, whatever comes behind it.
                    assert_eq!(books.message().await?, None);
                    return Ok(format!("{read}, {error}"));
                }
            }
        }
    });
    let add = add.with(&validation);
    let answer = add.call(request(Streaming::from_iter([book("a"), book("b"), book(""), book("c")]))).await.unwrap();
    assert_eq!(answer.message(), "ab, INVALID_ARGUMENT: the request is invalid: title must have at least 1 character");
    let answer = add.call(request(Streaming::from_iter([book("a"), book("b")]))).await.unwrap();
    assert_eq!(answer.message(), "ab, whole");
    assert_eq!(validation.rejected(), 1);
}

#[tokio::test]
async fn a_stream_is_read_no_further_than_the_handler_does() {
    let (sender, books) = Streaming::channel(1);
    let first = Endpoint::from_fn(method(MethodKind::ClientStreaming), |_, mut books: Streaming<Book>| async move {
        books.message().await.map(Option::unwrap_or_default)
    });
    let first = first.with(&validation());
    let call = tokio::spawn(async move { first.call(request(books)).await });
    sender.send(Ok(book("a"))).await.unwrap();
    assert_eq!(call.await.unwrap().unwrap().message().title, "a");
    // The stream was dropped with the call.
    sender.closed().await;
}

#[tokio::test]
async fn what_has_no_rules_or_is_not_to_be_checked_passes() {
    let off = ValidationConfig { enabled: false, ..ValidationConfig::default() };
    let off = ValidationLayer::new(&Validation::new(&off).unwrap());
    for layer in [ValidationLayer::none(), off] {
        assert!(layer.info().is_none());
        let add = Endpoint::from_fn(method(MethodKind::Unary), |_, book: Book| async move { Ok(book) });
        let add = add.wrap(layer.info(), |inner| layer.layer(inner));
        add.call(request(book(""))).await.unwrap();
    }
    let say = Endpoint::from_fn(method(MethodKind::Unary), |_, text: String| async move { Ok::<_, Error>(text) });
    let say = say.with(&validation());
    assert!(say.layers().is_empty());
    say.call(request(String::new())).await.unwrap();
    // As a plain layer, too.
    let layer = ValidationLayer::new(&validation());
    let say = say.wrap(layer.info(), |inner| layer.layer(inner));
    say.call(request(String::new())).await.unwrap();
}

#[tokio::test]
async fn settings_that_can_not_be_are_refused() {
    let config = ValidationConfig { max_violations: 0, ..ValidationConfig::default() };
    assert!(Validation::new(&config).unwrap_err().message().starts_with("max_violations must be from 1"));
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn refusals_are_counted_for_prometheus() {
    use crate::telemetry::metrics::{Format, Metrics, Side};

    let (metrics, validation) = (Metrics::new(), validation());
    let add = Endpoint::from_fn(method(MethodKind::Unary), |_, book: Book| async move { Ok(book) }).with(&validation);
    validation.observe(&metrics, add.method(), Side::Server).unwrap();
    for title in ["", "a", ""] {
        let _ = add.call(request(book(title))).await;
    }
    let text = || String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
    let series = r#"kit_validation_rejected_total{rpc_method="Add",rpc_service="library.Library",side="server"}"#;
    assert!(text().contains(&format!("{series} 2\n")), "{}", text());
    drop((add, validation));
    assert!(text().contains(&format!("{series} 0\n")), "{}", text());
}
