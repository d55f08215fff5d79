//! What it adds to a call to be watched: figures, a span that is not recorded, one that is, a line in the log; in nanoseconds and
//! in allocations, next to the bare endpoint.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use benches::{
    Failure,
    allocations::{Counting, of_a_call},
    chain,
    measure::{Table, criterion, side},
    must,
    proto::bench::{Book, FindRequest, ShelfEndpoints},
    runtime,
};
use kit::{
    Endpoint,
    layer::{metrics::MetricsLayer, trace::TraceLayer},
    middleware::StandardStack,
    telemetry::{
        Telemetry,
        log::{FileConfig, LogConfig, LogFormat},
        metrics::Metrics,
    },
    trace::{Export, FinishedSpan, Sample, TraceConfig, Tracer},
};
use tokio::runtime::Runtime;

// It counts on both sides of every comparison: two additions for an allocation.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Takes spans and forgets them: a reporter would put them into a queue, and what comes after that is another thread's time.
struct Forget;

impl Export for Forget {
    fn export(&self, span: FinishedSpan) {
        std::hint::black_box(span);
    }
}

fn tracer(sample: Sample) -> Tracer {
    let config = TraceConfig { sample, ..TraceConfig::default() };
    Tracer::builder(&config, "bench").export(Some(Forget)).build()
}

type Find = Endpoint<FindRequest, Book>;

fn main() -> Result<(), Failure> {
    let mut criterion = criterion();
    let mut table = Table::new("telemetry", &mut criterion);
    let runtime = &runtime()?;

    let metrics = Metrics::new();
    let (never, always) = (tracer(Sample::Never), tracer(Sample::Always));
    let bare = ShelfEndpoints::new(chain::nothing()).find;
    let method = bare.method().clone();
    let watched = |tracer: &Tracer| {
        let telemetry = Telemetry::new().with_metrics(&metrics).with_tracer(tracer);
        bare.clone().with(&StandardStack::default().watched_by(&telemetry))
    };
    let cases: [(&str, Find); 6] = [
        ("metrics", bare.clone().layer(MetricsLayer::server(&metrics, &method))),
        ("trace, sampled out", bare.clone().layer(TraceLayer::server(&never, &method))),
        ("trace, sampled in", bare.clone().layer(TraceLayer::server(&always, &method))),
        ("standard chain", bare.clone().with(&StandardStack::default())),
        ("standard chain, metrics, sampled out", watched(&never)),
        ("standard chain, metrics, sampled in", watched(&always)),
    ];

    let calls = |name: &'static str, endpoint: &Find| {
        let endpoint = endpoint.clone();
        side(name, move |count| must(runtime.block_on(chain::call_endpoint(&endpoint, count))))
    };
    table.compare("the bare endpoint, twice (noise)", calls("bare", &bare), calls("bare", &bare));
    for (name, endpoint) in &cases {
        table.compare(*name, calls("bare", &bare), calls("kit", endpoint));
    }
    println!("\ntelemetry: allocations of a call, and their bytes");
    print("the bare endpoint", runtime, &bare);
    for (name, endpoint) in &cases {
        print(name, runtime, endpoint);
    }

    // From here on the process logs every call, as it would to a file.
    let folder = std::env::temp_dir().join(format!("kit-bench-{}", std::process::id()));
    let file =
        FileConfig { max_size: 16 << 20, max_files: 2, format: LogFormat::Json, ..FileConfig::new(folder.join("log")) };
    let log = LogConfig { stdout: false, file, ..LogConfig::default() }.init()?;
    let last = &cases[cases.len() - 3..];
    for (name, endpoint) in last {
        table.compare(format!("{name}, access log"), calls("bare", &bare), calls("kit", endpoint));
    }
    for (name, endpoint) in last {
        print(&format!("{name}, access log"), runtime, endpoint);
    }
    runtime.block_on(log.close());
    std::fs::remove_dir_all(&folder)?;

    table.finish();
    criterion.final_summary();
    Ok(())
}

fn print(name: &str, runtime: &Runtime, endpoint: &Find) {
    let (count, bytes) = of_a_call(|n| must(runtime.block_on(chain::call_endpoint(endpoint, n))));
    println!("{name:56} {count:>6.1} {bytes:>8.0} bytes");
}
