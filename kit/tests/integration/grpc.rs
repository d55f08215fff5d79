//! gRPC, by the generated client, by tonic's own, and by bytes.

use kit::{
    Code, Context, Endpoint, Error, Streaming,
    client::{Channel, ClientConfig},
    middleware::StandardStack,
    server::Server,
    transport::grpc::GrpcConfig,
};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tonic::{codec::CompressionEncoding, codegen::http::uri::PathAndQuery};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{
    calls,
    chat::proto::chat::{CHAT_DICTATE, Chat, ChatClient, ChatEndpoints, CountRequest, Line, Summary},
    echo::{
        EchoService,
        proto::tc::v1::{EchoEndpoints, Msg},
    },
    support::{Running, get, line, request, room, saying, soon},
};

macro_rules! over_grpc {
    ($($name:ident)*) => {
        $(#[tokio::test]
        async fn $name() {
            calls::$name(Running::grpc_url).await;
        })*
    };
}

over_grpc! {
    every_kind
    metadata_travels_both_ways
    errors_come_back_whole
    every_code_comes_back
    a_stream_may_end_with_an_error
    a_failing_request_stream_is_no_complete_one
    the_request_id_goes_through_every_hop
    the_deadline_goes_through_every_hop_and_is_clamped
    the_deadline_ends_a_call
    hanging_up_is_noticed
    an_unreachable_service_is_unavailable
}

async fn tonic_channel(server: &Running) -> tonic::transport::Channel {
    tonic::transport::Endpoint::new(format!("http://{}", server.grpc)).unwrap().connect().await.unwrap()
}

/// Calls a unary method by tonic.
async fn unary<Req, Res>(
    grpc: &mut tonic::client::Grpc<tonic::transport::Channel>,
    path: &'static str,
    request: tonic::Request<Req>,
) -> Result<tonic::Response<Res>, tonic::Status>
where
    Req: prost::Message + Default + Send + Sync + 'static,
    Res: prost::Message + Default + Send + Sync + 'static,
{
    grpc.ready().await.unwrap();
    grpc.unary(request, PathAndQuery::from_static(path), ProstCodec::<Req, Res>::default()).await
}

const SAY: &str = "/chat.Chat/Say";

#[tokio::test]
async fn the_request_id_is_accepted_created_and_returned() {
    let server = Running::serve(&saying(|cx, said| async move {
        if said.text == "fail" { Err(Error::not_found("no")) } else { Ok(line(cx.request_id().as_str())) }
    }))
    .await;
    let mut grpc = tonic::client::Grpc::new(tonic_channel(&server).await);
    let call = async |id: Option<&str>, text: &str, grpc: &mut _| {
        let mut request = tonic::Request::new(line(text));
        if let Some(id) = id {
            request.metadata_mut().insert("x-request-id", id.parse().unwrap());
        }
        unary::<Line, Line>(grpc, SAY, request).await
    };
    let returned =
        |answer: &tonic::Response<Line>| answer.metadata().get("x-request-id").unwrap().to_str().unwrap().to_owned();
    let answer = call(Some("abc-123"), "", &mut grpc).await.unwrap();
    assert_eq!((returned(&answer).as_str(), answer.get_ref().text.as_str()), ("abc-123", "abc-123"));
    let answer = call(None, "", &mut grpc).await.unwrap();
    assert_eq!((returned(&answer), returned(&answer).len()), (answer.get_ref().text.clone(), 32));
    let too_long = "a".repeat(65);
    for wrong in ["two words", "semi;colon", &too_long] {
        let answer = call(Some(wrong), "", &mut grpc).await.unwrap();
        assert_eq!(returned(&answer), answer.get_ref().text);
        assert_ne!(returned(&answer), wrong);
    }
    let failed = call(Some("abc-123"), "fail", &mut grpc).await.unwrap_err();
    assert_eq!(failed.metadata().get("x-request-id").unwrap(), "abc-123");
}

#[tokio::test]
async fn compression_is_negotiated() {
    let server = Running::serve(&room()).await;
    let off = Server::new().grpc_config(GrpcConfig { compression: false, ..GrpcConfig::default() }).service(&room());
    let off = Running::start(off).await;
    let long = line(&"again and ".repeat(1000));
    let both = [CompressionEncoding::Gzip, CompressionEncoding::Zstd];
    for (encoding, name) in both.into_iter().zip(["gzip", "zstd"]) {
        let client = tonic::client::Grpc::new(tonic_channel(&server).await);
        let mut client = client.send_compressed(encoding).accept_compressed(encoding);
        let answer = unary::<Line, Line>(&mut client, SAY, tonic::Request::new(long.clone())).await.unwrap();
        assert_eq!(answer.metadata().get("grpc-encoding").unwrap(), name);
        assert_eq!(answer.get_ref().text, long.text.to_uppercase());

        // A server that takes no compression says which it would take, and answers plain.
        let client = tonic::client::Grpc::new(tonic_channel(&off).await);
        let mut client = client.send_compressed(encoding).accept_compressed(encoding);
        let refused = unary::<Line, Line>(&mut client, SAY, tonic::Request::new(long.clone())).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unimplemented);
        assert!(refused.metadata().contains_key("x-request-id"), "{refused:?}");
    }
    // Nothing is compressed for a client that did not ask.
    let mut client = tonic::client::Grpc::new(tonic_channel(&server).await);
    let answer = unary::<Line, Line>(&mut client, SAY, tonic::Request::new(long.clone())).await.unwrap();
    assert!(answer.metadata().get("grpc-encoding").is_none());

    let config = ClientConfig { compress: true, ..ClientConfig::default() };
    let client = ChatClient::new(&Channel::with_config(&server.grpc_url(), &config).unwrap());
    assert_eq!(client.say(&Context::background(), long.clone()).await.unwrap().text, long.text.to_uppercase());
}

#[tokio::test]
async fn messages_over_the_limit_are_refused() {
    let endpoints = ChatEndpoints {
        dictate: Endpoint::from_fn(CHAT_DICTATE.clone(), |_, mut lines: Streaming<Line>| async move {
            while lines.message().await?.is_some() {}
            Ok(Summary::default())
        }),
        ..saying(|_, said| async move { Ok(line(&"x".repeat(said.text.parse().unwrap_or(0)))) })
    };
    let config = GrpcConfig { max_request_size: 1000, max_response_size: Some(5000), ..GrpcConfig::default() };
    let server = Running::start(Server::new().grpc_config(config).service(&endpoints)).await;
    let (cx, channel) = (Context::background(), Channel::new(&server.grpc_url()).unwrap());
    let client = ChatClient::new(&channel);
    let clear = |error: Error, limit: &str| {
        assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
        assert!(error.message().contains(limit), "{error}");
    };
    client.say(&cx, line(&"y".repeat(990))).await.unwrap();
    clear(client.say(&cx, line(&"y".repeat(2000))).await.unwrap_err(), "1000");
    let lines = Streaming::from_iter([line(""), line(&"y".repeat(2000))]);
    clear(client.dictate(&cx, lines).await.unwrap_err(), "1000");
    client.say(&cx, line("4990")).await.unwrap();
    clear(client.say(&cx, line("6000")).await.unwrap_err(), "5000");

    // What is small on the wire counts by what it becomes.
    let compressing = ClientConfig { compress: true, ..ClientConfig::default() };
    let compressing = ChatClient::new(&Channel::with_config(&server.grpc_url(), &compressing).unwrap());
    compressing.say(&cx, line(&"0".repeat(900))).await.unwrap();
    clear(compressing.say(&cx, line(&"0".repeat(1_000_000))).await.unwrap_err(), "1000");

    // The client has a limit too.
    let config = ClientConfig { max_response_size: 100, ..ClientConfig::default() };
    let careful = ChatClient::new(&Channel::with_config(&server.grpc_url(), &config).unwrap());
    careful.say(&cx, line("90")).await.unwrap();
    clear(careful.say(&cx, line("200")).await.unwrap_err(), "100");
}

#[tokio::test]
async fn health_is_told() {
    let (started, mut starts) = mpsc::unbounded_channel();
    let (finish, finished) = tokio::sync::watch::channel(false);
    let mut server = Running::serve(&saying(move |_, said| {
        let (started, mut finished) = (started.clone(), finished.clone());
        async move {
            started.send(()).unwrap();
            finished.wait_for(|done| *done).await.unwrap();
            Ok(said)
        }
    }))
    .await;
    let mut health = HealthClient::new(tonic_channel(&server).await);
    let request = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["", "chat.Chat"] {
        let answer = health.check(request(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    assert_eq!(health.check(request("no.Service")).await.unwrap_err().code(), tonic::Code::NotFound);
    // tonic reports an unknown service as NOT_FOUND to watchers, too.
    let mut whole = health.watch(request("")).await.unwrap().into_inner();
    let mut chat = health.watch(request("chat.Chat")).await.unwrap().into_inner();
    assert_eq!(soon(whole.message()).await.unwrap().unwrap().status(), ServingStatus::Serving);
    assert_eq!(soon(chat.message()).await.unwrap().unwrap().status(), ServingStatus::Serving);

    let client = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    let call = tokio::spawn(async move { client.say(&Context::background(), line("last")).await });
    soon(starts.recv()).await.unwrap();
    server.stop();
    assert_eq!(soon(whole.message()).await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(soon(chat.message()).await.unwrap().unwrap().status(), ServingStatus::NotServing);
    finish.send(true).unwrap();
    assert_eq!(soon(call).await.unwrap().unwrap().text, "last");
    // Watchers do not hold the stop up.
    assert!(soon(whole.message()).await.unwrap().is_none());
    assert!(soon(chat.message()).await.unwrap().is_none());
    soon(server.stopped()).await.unwrap();
}

#[tokio::test]
async fn reflection_is_there_when_asked_for() {
    let list = || {
        tokio_stream::once(ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        })
    };
    let server = Server::new().service(&room()).service(&EchoEndpoints::new(EchoService)).reflection(true);
    let server = Running::start(server).await;
    let mut reflection = ServerReflectionClient::new(tonic_channel(&server).await);
    let mut answers = reflection.server_reflection_info(list()).await.unwrap().into_inner();
    let answer = soon(answers.next()).await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(listed) = answer else { panic!("{answer:?}") };
    let names: Vec<String> = listed.service.into_iter().map(|service| service.name).collect();
    for name in ["chat.Chat", "tc.v1.Echo"] {
        assert!(names.iter().any(|n| n == name), "{name} is not in {names:?}");
    }

    let server = Running::serve(&room()).await;
    let mut reflection = ServerReflectionClient::new(tonic_channel(&server).await);
    assert_eq!(reflection.server_reflection_info(list()).await.unwrap_err().code(), tonic::Code::Unimplemented);
}

/// A gRPC frame.
fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[flag][..], &length.to_be_bytes(), message].concat()
}

/// The frames of a gRPC-Web body.
fn frames(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [flag, a, b, c, d, rest @ ..] = body {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        frames.push((*flag, rest[..length].to_vec()));
        body = &rest[length..];
    }
    assert!(body.is_empty(), "{body:?}");
    frames
}

#[tokio::test]
async fn grpc_web_by_bytes() {
    let server = Running::serve(&saying(|_, said| async move {
        if said.text == "fail" { Err(calls::rich_error()) } else { Ok(line(&said.text.to_uppercase())) }
    }))
    .await;
    let call = async |path: &str, text: &str| {
        let headers = ["content-type: application/grpc-web+proto", "x-grpc-web: 1"];
        request(server.grpc, "POST", path, &headers, &frame(0, &line(text).encode_to_vec())).await
    };
    let answer = call(SAY, "web").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc-web+proto")));
    let parts = frames(&answer.body);
    assert_eq!(parts[0], (0, line("WEB").encode_to_vec()));
    let trailers = String::from_utf8(parts[1].1.clone()).unwrap();
    assert_eq!((parts.len(), parts[1].0), (2, 0x80));
    assert!(trailers.contains("grpc-status:0\r\n"), "{trailers:?}");

    // An error has its status in the headers or in the last frame.
    let status = |answer: &crate::support::Answer| {
        let last = frames(&answer.body).pop().map(|(_, text)| String::from_utf8(text).unwrap()).unwrap_or_default();
        let trailer = last.lines().find_map(|line| line.strip_prefix("grpc-status:").map(|s| s.trim().to_owned()));
        trailer.or_else(|| answer.header("grpc-status").map(str::to_owned)).unwrap()
    };
    assert_eq!(status(&call(SAY, "fail").await), "8");
    assert_eq!(status(&call("/chat.Chat/Nope", "").await), "12");
    // A stream comes frame by frame.
    let headers = ["content-type: application/grpc-web+proto"];
    let body = frame(0, &CountRequest { to: 3 }.encode_to_vec());
    let answer = request(server.grpc, "POST", "/chat.Chat/Count", &headers, &body).await;
    let texts: Vec<Vec<u8>> = frames(&answer.body).into_iter().filter(|(flag, _)| *flag == 0).map(|(_, m)| m).collect();
    assert_eq!(texts, ["1", "2", "3"].map(|text| line(text).encode_to_vec()));
}

#[tokio::test]
async fn one_port_serves_all() {
    let bound =
        Server::new().shared("127.0.0.1:0").service(&room().with(&StandardStack::default())).bind().await.unwrap();
    let address = bound.http_addr().unwrap();
    assert_eq!(bound.grpc_addr(), Some(address));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(bound.run(async { drop(stopped.await) }));
    for scheme in ["grpc", "http"] {
        let client = ChatClient::new(&Channel::new(&format!("{scheme}://{address}")).unwrap());
        assert_eq!(client.say(&Context::background(), line("a")).await.unwrap().text, "A", "{scheme}");
        let mut numbers = client.count(&Context::background(), CountRequest { to: 2 }).await.unwrap();
        assert_eq!(calls::all(&mut numbers).await.unwrap(), ["1", "2"], "{scheme}");
    }
    assert_eq!(get(address, "/v1/count/1").await.json()["text"], "1");
    assert_eq!(get(address, "/docs/").await.status, 200);
    let headers = ["content-type: application/grpc-web+proto"];
    let answer = request(address, "POST", SAY, &headers, &frame(0, &line("w").encode_to_vec())).await;
    assert_eq!(frames(&answer.body)[0].1, line("W").encode_to_vec());
    drop(stop);
    soon(served).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let server = Running::serve(&room()).await;
    let mut grpc = tonic::client::Grpc::new(tonic_channel(&server).await);
    for path in ["/chat.Chat/Nope", "/no.Service/Say", "/", "/chat.Chat"] {
        let error = unary::<Line, Line>(&mut grpc, path, tonic::Request::new(line(""))).await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::Unimplemented, "{path}");
    }
    unary::<Line, Line>(&mut grpc, SAY, tonic::Request::new(line(""))).await.unwrap();
}

/// Bytes in metadata, which gRPC carries as base64.
#[tokio::test]
async fn binary_metadata_travels() {
    let server = Running::serve(&saying(|cx, _| async move {
        let bytes = cx.metadata().get_bin("x-token-bin").unwrap_or_default();
        Ok(line(&format!("{bytes:?}")))
    }))
    .await;
    let mut grpc = tonic::client::Grpc::new(tonic_channel(&server).await);
    let mut request = tonic::Request::new(line(""));
    request.metadata_mut().insert_bin("x-token-bin", tonic::metadata::MetadataValue::from_bytes(&[0, 255, 7]));
    assert_eq!(unary::<Line, Line>(&mut grpc, SAY, request).await.unwrap().get_ref().text, "[0, 255, 7]");
}

/// Many calls share one connection, and one that waits does not stop the others.
#[tokio::test]
async fn calls_run_beside_each_other() {
    let gate = std::sync::Arc::new(tokio::sync::Barrier::new(20));
    let server = Running::serve(&saying(move |cx, said| {
        let gate = gate.clone();
        async move {
            // All of them are inside at once, or none comes out.
            gate.wait().await;
            Ok(line(&format!("{} {}", said.text, cx.peer().and_then(|peer| peer.address).unwrap().port())))
        }
    }))
    .await;
    let client = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    let calls = (0..20).map(|n| {
        let client = client.clone();
        tokio::spawn(async move { client.say(&Context::background(), line(&n.to_string())).await.unwrap().text })
    });
    let mut ports = std::collections::BTreeSet::new();
    for call in calls.collect::<Vec<_>>() {
        ports.insert(soon(call).await.unwrap().split(' ').nth(1).unwrap().to_owned());
    }
    assert_eq!(ports.len(), 1, "one connection carries all: {ports:?}");
}

#[tokio::test]
async fn well_known_types_and_maps_survive_the_wire() {
    let server = Running::serve(&EchoEndpoints::new(EchoService)).await;
    let channel = Channel::new(&server.grpc_url()).unwrap();
    let client = crate::echo::proto::tc::v1::EchoClient::new(&channel);
    let sent = Msg {
        labels: [("a".to_owned(), "b".to_owned())].into(),
        ts: Some(prost_types::Timestamp { seconds: 1, nanos: 2 }),
        i64w: Some(-3),
        opt: Some(String::new()),
        ..Msg::default()
    };
    use crate::echo::proto::tc::v1::Echo as _;
    assert_eq!(client.post_all(&Context::background(), sent.clone()).await.unwrap(), sent);
}
