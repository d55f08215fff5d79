//! `kit load`: calls a method again and again, and says how long the answers took.
//!
//! What is written here is lean on purpose: the driver shares the machine with the server that it measures, and a driver
//! that is slower than the server measures itself.

mod args;
mod engine;
mod hpack;
mod http1;
mod http2;
mod plan;
mod progress;
mod protocol;
mod reflect;
mod report;
mod stats;
mod target;

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use mio::{Poll, Waker};
use tokio::sync::oneshot;

pub(crate) use args::Args;
use engine::{Engine, STOP, Settings, Stop};
use progress::Progress;
use reflect::Translated;
use report::Heading;
use stats::Stats;

/// The request, ready to be sent.
enum Request {
    Http(http1::Request),
    Grpc(http2::Request),
}

/// Makes the calls and tells of them.
pub(crate) async fn run(args: Args) -> ExitCode {
    match load(args).await {
        Ok(code) => code,
        Err((code, why)) => {
            let _ = writeln!(io::stderr(), "kit: {why}");
            ExitCode::from(code)
        }
    }
}

/// A wrong question is 2, as with other commands; a server that cannot be called is 1.
type Failure = (u8, String);

async fn load(args: Args) -> Result<ExitCode, Failure> {
    if args.duration.is_zero() || args.timeout.is_zero() {
        return Err((2, "--duration and --timeout are longer than nothing".to_owned()));
    }
    let address = args.target.resolve().map_err(|why| (1, why))?;
    if !target::is_near(address.ip()) {
        let _ = writeln!(io::stderr(), "kit: {} is not on a network of your own: is its owner asked?", address.ip());
    }
    let (request, streams, server_stream) = if args.target.grpc {
        let translated = match &args.data {
            Some(json) => reflect::translate(&args.target, json, args.descriptors.as_deref(), args.timeout).await,
            // A message without fields has no bytes.
            None => Ok(Translated { message: args.bytes().unwrap_or_default().to_vec(), server_stream: false }),
        };
        let Translated { message, server_stream } = translated.map_err(|why| (2, why))?;
        let server_stream = server_stream || args.server_stream;
        let request = plan::grpc(&args, &message, server_stream).map_err(|why| (2, why))?;
        let streams = request.streams;
        (Request::Grpc(request), streams, server_stream)
    } else {
        (Request::Http(plan::http(&args).map_err(|why| (2, why))?), 1, false)
    };
    let settings = Settings {
        address,
        connections: args.connections,
        rate: args.rate,
        warmup: args.warmup,
        duration: args.duration,
        timeout: args.timeout,
        max_in_flight: args.max_in_flight,
        streaming: server_stream,
    };
    let heading = Heading {
        target: args.target.url.clone(),
        rate: args.rate,
        connections: args.connections,
        streams,
        server_stream,
    };
    let stats = drive(settings, request, args.cpu).await?;

    let told = match args.json {
        true => format!("{}\n", report::json(&heading, &stats)),
        false => report::text(&heading, &stats),
    };
    let _ = io::stdout().write_all(told.as_bytes());
    Ok(verdict(&stats, server_stream, args.fail_above))
}

/// Runs the engine on a thread of its own, while this one waits for Ctrl-C.
async fn drive(settings: Settings, request: Request, cpu: Option<usize>) -> Result<Stats, Failure> {
    let system = |what: &'static str| move |error: io::Error| (1, format!("{what}: {error}"));
    let poll = Poll::new().map_err(system("cannot wait for sockets"))?;
    let waker = Waker::new(poll.registry(), STOP).map_err(system("cannot wait for sockets"))?;
    let stop: Stop = Arc::new(AtomicUsize::new(0));
    let asked = stop.clone();
    let progress = io::stderr().is_terminal().then(Progress::new);
    let (done, mut over) = oneshot::channel();
    let engine = move || {
        let result = match cpu.map_or(Ok(()), pin) {
            Err(why) => Err((2, why)),
            Ok(()) => match request {
                Request::Http(request) => {
                    let request = Rc::new(request);
                    let protocol = move || http1::Http1::new(request.clone());
                    Engine::new(settings, poll, protocol, progress).run(&asked)
                }
                Request::Grpc(request) => {
                    let request = Rc::new(request);
                    let protocol = move || http2::Http2::new(request.clone());
                    Engine::new(settings, poll, protocol, progress).run(&asked)
                }
            }
            .map_err(|why| (1, why)),
        };
        // Somebody waits for it, until the program ends.
        let _ = done.send(result);
    };
    let thread = thread::Builder::new().name("load".to_owned()).spawn(engine).map_err(system("cannot start"))?;
    let result = loop {
        tokio::select! {
            result = &mut over => break result,
            signal = tokio::signal::ctrl_c() => {
                signal.map_err(system("cannot wait for Ctrl-C"))?;
                stop.fetch_add(1, Ordering::Relaxed);
                waker.wake().map_err(system("cannot end"))?;
            }
        }
    };
    let ended = thread.join();
    match (result, ended) {
        (Ok(result), Ok(())) => result,
        _ => Err((1, "the driver ended without a result: this is a bug".to_owned())),
    }
}

#[cfg(target_os = "linux")]
fn pin(core: usize) -> Result<(), String> {
    use rustix::thread::{CpuSet, sched_setaffinity};

    if core >= CpuSet::MAX_CPU {
        return Err(format!("--cpu {core}: there is no such core"));
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| format!("--cpu {core}: {error}"))
}

#[cfg(not(target_os = "linux"))]
fn pin(_: usize) -> Result<(), String> {
    Err("--cpu is for Linux".to_owned())
}

fn verdict(stats: &Stats, streaming: bool, fail_above: Option<f64>) -> ExitCode {
    if stats.ok == 0 && !(streaming && stats.messages > 0) {
        return ExitCode::FAILURE;
    }
    let failed = stats.failed() + stats.dropped;
    let share = failed as f64 * 100.0 / (stats.ok + failed) as f64;
    match fail_above {
        Some(most) if share > most => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}
