use std::task::Poll;

use super::*;
use crate::{
    Context, Endpoint, Error, Message, Metadata, Method, MethodInfo, MethodKind, Request, RequestId, Streaming,
    Transport,
    proto::google::api::HttpBody,
    trace::{Memory, Sample, TraceConfig, Tracer},
};

/// What a stream of answers does when it is asked for the next message.
#[derive(Clone, Copy)]
enum Step {
    Message,
    Wait,
    Fail,
}
use Step::{Fail, Message as Next, Wait};

/// The `http.status_code` of a call that is served over HTTP and answered so.
async fn status<M: Message>(steps: &'static [Step]) -> String {
    let spans = Memory::new();
    let config = TraceConfig { sample: Sample::Always, ..TraceConfig::default() };
    let tracer = Tracer::builder(&config, "test").export(Some(spans.clone())).build();
    let method = Method::from(MethodInfo::new("demo.Demo", "Watch", MethodKind::ServerStreaming));
    let answer = move |_: Context, _: String| async move {
        let mut steps = steps.iter();
        Ok(Streaming::<M>::new(futures_util::stream::poll_fn(move |cx| match steps.next() {
            Some(Next) => Poll::Ready(Some(Ok(M::default()))),
            Some(Wait) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Fail) => Poll::Ready(Some(Err(Error::not_found("gone")))),
            None => Poll::Ready(None),
        })))
    };
    let endpoint = Endpoint::from_fn(method.clone(), answer).layer(TraceLayer::server(&tracer, &method));
    let cx = Context::arrived(method, Transport::Http, Metadata::new(), None, RequestId::random(), None);
    let mut stream = endpoint.call(Request::new(cx, String::new())).await.unwrap().into_message();
    while let Ok(Some(_)) = stream.message().await {}
    let [span] = spans.spans().try_into().unwrap();
    span.tag("http.status_code").unwrap().to_owned()
}

#[tokio::test]
async fn the_status_of_a_stream_is_the_one_that_was_sent() {
    for (steps, sent) in
        [(&[][..], "200"), (&[Next], "200"), (&[Fail], "404"), (&[Next, Fail], "200"), (&[Wait, Fail], "200")]
    {
        assert_eq!(status::<String>(steps).await, sent);
    }
    // The transport waits for the first message of a raw answer.
    assert_eq!(status::<HttpBody>(&[Wait, Fail]).await, "404");
    assert_eq!(status::<HttpBody>(&[Wait, Next, Fail]).await, "200");
}
