use std::{net::SocketAddr, time::Duration};

use kit::{
    Endpoints,
    layer::{breaker::BreakerConfig, concurrency::ConcurrencyConfig, rate_limit::RateLimitConfig},
    middleware::{ServerStackConfig, StandardStack},
    server::{Server, ServerConfig},
    telemetry::{
        Telemetry,
        log::LogConfig,
        metrics::Metrics,
        reporter::{Destination, Reporter, ReporterConfig},
    },
    trace::{Sample, TraceConfig, Tracer},
};
use tokio::sync::oneshot;

use super::{Options, What, many::Many, press::Editor};
use crate::{Failure, proto::press::PressEndpoints};

/// So many that none is refused.
const MANY: u32 = 1_000_000_000;

/// How often the spans are told of.
const TELL: Duration = Duration::from_millis(200);

/// The limits on connections are for services that meet the world.
const CONNECTIONS: usize = 60_000;

/// HTTP/1 connections that do nothing are measured, too, and must not end for it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(3600);

pub(super) async fn serve(options: Options, ready: oneshot::Sender<SocketAddr>) -> Result<(), Failure> {
    let log = options.subscriber.as_ref().map(|level| LogConfig { level: level.clone(), ..LogConfig::default() });
    let _log = log.map(|log| log.init()).transpose()?;
    let watched = Watched::start(&options)?;
    tokio::select! {
        ended = serve_watched(&options, &watched, ready) => ended,
        () = watched.tell(options.sample >= 1.0) => Ok(()),
    }
}

async fn serve_watched(
    options: &Options,
    watched: &Watched,
    ready: oneshot::Sender<SocketAddr>,
) -> Result<(), Failure> {
    match options.what {
        What::KitGrpcBare | What::KitHttpBare => run(options, &PressEndpoints::new(Editor::new()), ready).await,
        _ if options.methods > 0 => run(options, &Many::new(options.methods).with(&watched.chain()?), ready).await,
        _ => run(options, &PressEndpoints::new(Editor::new()).with(&watched.chain()?), ready).await,
    }
}

async fn run(options: &Options, endpoints: &impl Endpoints, ready: oneshot::Sender<SocketAddr>) -> Result<(), Failure> {
    let config =
        ServerConfig { max_connections: CONNECTIONS, header_timeout: HEADER_TIMEOUT, ..ServerConfig::default() };
    let server = Server::new().config(config);
    let server = match options.what {
        What::KitHttp | What::KitHttpBare => server.http("127.0.0.1:0"),
        _ => server.grpc("127.0.0.1:0"),
    };
    let server = server.service(endpoints).bind().await?;
    let address = server.http_addr().or(server.grpc_addr()).ok_or("no port")?;
    // Nobody waits only when the benchmark has ended.
    let _ = ready.send(address);
    Ok(server.run(std::future::pending()).await?)
}

/// What the calls of the full chain are watched by.
struct Watched {
    telemetry: Telemetry,
    spans: Reporter,
}

impl Watched {
    fn start(options: &Options) -> Result<Self, Failure> {
        let metrics = Metrics::new();
        let spans = match &options.collector {
            Some(url) => ReporterConfig::new(Destination::Zipkin, url.clone()),
            None => ReporterConfig::default(),
        };
        let spans = Reporter::start(&spans)?;
        let sample = if options.sample >= 1.0 { Sample::Always } else { Sample::Probability(options.sample) };
        let trace = TraceConfig { sample, ..TraceConfig::default() };
        let tracer = Tracer::builder(&trace, "press").export(spans.exporter()).build();
        Ok(Self { telemetry: Telemetry::new().with_metrics(&metrics).with_tracer(&tracer), spans })
    }

    /// Says now and then how many spans were exported: what is dropped costs less.
    async fn tell(&self, wanted: bool) {
        if !wanted {
            std::future::pending::<()>().await;
        }
        loop {
            tokio::time::sleep(TELL).await;
            let figures = self.spans.figures();
            println!("{} spans exported, {} dropped", figures.sent, figures.dropped);
        }
    }

    /// The full chain: with limits that are never reached, a breaker that never opens, and what is there by default (deadline,
    /// protection by processor time, recovery of panics, validation).
    fn chain(&self) -> Result<StandardStack, Failure> {
        let mut rate_limit = RateLimitConfig::default();
        rate_limit.limit = MANY.into();
        let concurrency = ConcurrencyConfig { max: MANY, ..ConcurrencyConfig::default() };
        let config = ServerStackConfig {
            rate_limit: Some(rate_limit),
            concurrency: Some(concurrency),
            breaker: Some(BreakerConfig::default()),
            ..ServerStackConfig::default()
        };
        Ok(StandardStack::server(&config)?.watched_by(&self.telemetry))
    }
}
