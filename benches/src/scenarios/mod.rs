//! What is measured over sockets, and the bars.

use prost::Message as _;

use crate::{
    measure::is_test,
    results::Bar,
    servers::{blob, json, note},
    sockets::{
        Allocator::{Jemalloc, Mimalloc, System},
        Case,
        Figure::{Messages, P99, Processor, Rate},
        Load, Peers,
        Runtime::{Current, Multi},
        Scenario, Subject, Subjects,
    },
};

pub mod allocated;

const ECHO: &str = "/press.Press/Echo";
const COPY: &str = "/press.Press/Copy";
const TAIL: &str = "/press.Press/Tail";
const NOTES: &str = "/v1/notes";
const A_NOTE: &str = "/v1/shelves/classics/notes/42?language=zh";

/// How many messages a stream has.
const STREAM: i32 = 1000;

/// The rate of the comparison of latencies.
const RATE: u32 = 8_000;

/// The rate at which connections are counted: a fraction of what a core does.
const CALM: u32 = 10_000;

/// All scenarios.
pub fn all(subjects: &Subjects, peers: &Peers) -> Vec<Scenario> {
    vec![
        grpc_streams(subjects, peers),
        grpc_connections(subjects, peers),
        http(subjects, peers),
        http_get(subjects),
        latency(subjects, peers),
        server_stream(subjects),
        large(subjects, "grpc-64k", "gRPC, messages of 64 KB", 64 * 1024, 50),
        large(subjects, "grpc-1m", "gRPC, messages of 1 MB", 1024 * 1024, 10),
        methods(subjects),
        connections(subjects),
    ]
}

fn at_least(bar: f64) -> Bar {
    Bar::AtLeast(bar)
}

fn at_most(bar: f64) -> Bar {
    Bar::AtMost(bar)
}

/// One thread, jemalloc: as fast as mimalloc here, and an idle connection holds half as much.
fn best(subjects: &Subjects) -> Subject {
    subjects.kit_grpc("kit, best", Current, Jemalloc)
}

fn grpc_streams(subjects: &Subjects, peers: &Peers) -> Scenario {
    let load = Load::closed(50, 10, note().encode_to_vec());
    let case = |subject: Subject| Case::new(&subject, ECHO, &load);
    let quiet = ["--subscriber", "info,kit::access=off"];
    Scenario::new("grpc-50x10", "gRPC unary, 50 connections × 10 streams")
        .case(case(subjects.tonic("tonic", Multi)))
        .case(case(subjects.kit_grpc("kit", Multi, System)))
        .case(case(subjects.tonic("tonic, one thread", Current)))
        .case(case(subjects.kit_grpc("kit, one thread", Current, System)))
        .case(case(subjects.server("kit bare, one thread", "kit-grpc-bare", Current, System)))
        .case(case(
            subjects
                .kit_grpc("kit, every call sampled", Current, System)
                .with(&["--sample", "1"], "every call exported"),
        ))
        .case(case(subjects.kit_grpc("kit, subscriber", Current, System).with(&quiet, "tracing at INFO")))
        .case(case(best(subjects)))
        .case(case(subjects.kit_grpc("kit, mimalloc", Current, Mimalloc)))
        .case(peers.volo.clone().map(case))
        .case(peers.connectrpc.clone().map(case))
        .case(peers.gokit_grpc.clone().map(case))
        .compare(Rate, "kit", "tonic", at_least(0.97))
        .compare(Rate, "kit, one thread", "tonic, one thread", at_least(0.97))
        .compare(Rate, "kit, every call sampled", "tonic, one thread", at_least(0.93))
        .compare(Rate, "kit, best", "tonic", at_least(1.40))
        .compare(P99, "kit, best", "tonic", at_most(0.15))
        .compare(Rate, "kit, best", "go-kit", at_least(2.0))
        .compare(Rate, "kit, subscriber", "kit, one thread", at_least(0.95))
        .compare(Rate, "kit, one thread", "kit bare, one thread", None)
        .compare(Rate, "kit", "volo-grpc", None)
        .compare(Rate, "kit", "connectrpc", None)
        .shown(&[
            "tonic",
            "tonic, one thread",
            "kit",
            "kit, one thread",
            "kit, best",
            "volo-grpc",
            "connectrpc",
            "go-kit",
        ])
}

fn grpc_connections(subjects: &Subjects, peers: &Peers) -> Scenario {
    let load = Load::closed(100, 1, note().encode_to_vec());
    let case = |subject: Subject| Case::new(&subject, ECHO, &load);
    Scenario::new("grpc-100x1", "gRPC unary, 100 connections × 1 stream")
        .case(case(subjects.tonic("tonic", Multi)))
        .case(case(subjects.kit_grpc("kit", Multi, System)))
        .case(case(subjects.tonic("tonic, one thread", Current)))
        .case(case(subjects.kit_grpc("kit, one thread", Current, System)))
        .case(case(best(subjects)))
        .case(peers.volo.clone().map(case))
        .case(peers.connectrpc.clone().map(case))
        .case(peers.gokit_grpc.clone().map(case))
        .compare(Rate, "kit", "tonic", at_least(0.97))
        .compare(Rate, "kit, one thread", "tonic, one thread", at_least(0.97))
        .compare(Rate, "kit, best", "tonic", at_least(1.0))
        .compare(Rate, "kit, best", "go-kit", at_least(1.7))
        .compare(Rate, "kit", "volo-grpc", None)
        .compare(Rate, "kit", "connectrpc", None)
        .shown(&[
            "tonic",
            "tonic, one thread",
            "kit",
            "kit, one thread",
            "kit, best",
            "volo-grpc",
            "connectrpc",
            "go-kit",
        ])
}

fn http(subjects: &Subjects, peers: &Peers) -> Scenario {
    let load = Load::closed(50, 1, json());
    let case = |subject: Subject| Case::new(&subject, NOTES, &load);
    Scenario::new("http-post", "HTTP/JSON, POST, 50 connections")
        .case(case(subjects.server("axum", "axum", Multi, System)))
        .case(case(subjects.server("kit", "kit-http", Multi, System)))
        .case(case(subjects.server("axum, one thread", "axum", Current, System)))
        .case(case(subjects.server("kit, one thread", "kit-http", Current, System)))
        .case(case(subjects.server("raw hyper", "hyper", Multi, System)))
        .case(case(subjects.server("raw hyper, one thread", "hyper", Current, Jemalloc)))
        .case(case(subjects.server("kit, best", "kit-http", Current, Jemalloc)))
        .case(peers.gokit_http.clone().map(case))
        .case(peers.gateway.clone().map(case))
        .compare(Rate, "kit", "axum", at_least(0.97))
        .compare(Rate, "kit, one thread", "axum, one thread", at_least(0.97))
        .compare(Rate, "kit, best", "raw hyper", at_least(0.95))
        .compare(Rate, "kit, best", "raw hyper, one thread", None)
        .compare(Rate, "kit, best", "go-kit", at_least(1.9))
        .compare(Rate, "kit, best", "grpc-gateway", at_least(7.0))
        .shown(&[
            "axum",
            "axum, one thread",
            "raw hyper",
            "kit",
            "kit, one thread",
            "kit, best",
            "go-kit",
            "grpc-gateway",
        ])
}

fn http_get(subjects: &Subjects) -> Scenario {
    let load = Load::closed(50, 1, []);
    let case = |subject: Subject| Case::new(&subject, A_NOTE, &load);
    Scenario::new("http-get", "HTTP/JSON, GET with path and query, 50 connections")
        .case(case(subjects.server("axum, one thread", "axum", Current, System)))
        .case(case(subjects.server("kit, one thread", "kit-http", Current, System)))
        .compare(Rate, "kit, one thread", "axum, one thread", at_least(0.97))
}

fn latency(subjects: &Subjects, peers: &Peers) -> Scenario {
    let load = Load::closed(50, 10, note().encode_to_vec()).at(RATE);
    let case = |subject: Subject| Case::new(&subject, ECHO, &load);
    Scenario::new("grpc-fixed", "gRPC unary, 8,000 calls/s")
        .case(case(best(subjects)))
        .case(case(subjects.tonic("tonic", Multi)))
        .case(peers.gokit_grpc.clone().map(case))
        .compare(P99, "kit, best", "go-kit", at_most(0.4))
        .compare(P99, "kit, best", "tonic", None)
}

fn server_stream(subjects: &Subjects) -> Scenario {
    let request = crate::proto::press::TailRequest { notes: STREAM };
    let load = Load { server_stream: true, ..Load::closed(10, 5, request.encode_to_vec()) };
    let case = |subject: Subject| Case::new(&subject, TAIL, &load);
    Scenario::new("grpc-stream", "gRPC server streams of 1,000 messages")
        .case(case(subjects.tonic("tonic, one thread", Current)))
        .case(case(subjects.kit_grpc("kit, one thread", Current, System)))
        .compare(Messages, "kit, one thread", "tonic, one thread", at_least(0.97))
}

fn large(subjects: &Subjects, key: &'static str, title: &'static str, size: usize, connections: u32) -> Scenario {
    let load = Load::closed(connections, 1, blob(size).encode_to_vec());
    let case = |subject: Subject| Case::new(&subject, COPY, &load);
    Scenario::new(key, title)
        .case(case(subjects.tonic("tonic, one thread", Current)))
        .case(case(subjects.kit_grpc("kit, one thread", Current, System)))
        .compare(Rate, "kit, one thread", "tonic, one thread", at_least(0.97))
}

fn methods(subjects: &Subjects) -> Scenario {
    let load = Load::closed(50, 10, note().encode_to_vec());
    let case = |name: &str, methods: u32| {
        // A build for tests takes a while to make ten thousand chains.
        let methods = if is_test() { methods.min(100) } else { methods };
        let subject = subjects.kit_grpc(name, Current, System);
        let subject = subject.with(&["--methods", &methods.to_string()], &format!("{methods} methods"));
        Case::new(&subject, format!("/press.Press/Echo{}", methods - 1), &load)
    };
    Scenario::new("methods", "gRPC unary, number of methods")
        .case(case("kit, 1 method", 1))
        .case(case("kit, 10,000 methods", 10_000))
        .compare(Processor, "kit, 10,000 methods", "kit, 1 method", at_most(1.10))
}

/// At a fixed rate: what a connection costs that is there, and seldom speaks.
fn connections(subjects: &Subjects) -> Scenario {
    let case = |subject: Subject, connections: u32| {
        let name = format!("{}, {connections} connections", subject.name);
        let streams = (100 / connections).max(1);
        Case::new(&subject, ECHO, &Load::closed(connections, streams, note().encode_to_vec()).at(CALM)).named(name)
    };
    let kit = || subjects.kit_grpc("kit", Current, System);
    let tonic = || subjects.tonic("tonic", Current);
    Scenario::new("connections", "gRPC unary, 10,000 calls/s, number of connections")
        .case(case(kit(), 1))
        .case(case(kit(), 100))
        .case(case(kit(), 10_000))
        .case(case(tonic(), 1))
        .case(case(tonic(), 100))
        .case(case(tonic(), 10_000))
        .compare(Processor, "kit, 10000 connections", "kit, 1 connections", at_most(1.10))
        .compare(Processor, "kit, 10000 connections", "kit, 100 connections", None)
        .compare(Processor, "tonic, 10000 connections", "tonic, 1 connections", None)
}
