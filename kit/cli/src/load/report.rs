//! What is told at the end.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Map, Value, json};

use super::{protocol::Nanos, stats::Stats};

/// The percentiles that are told, with their names in JSON.
const PERCENTILES: [(f64, &str); 8] = [
    (50.0, "p50"),
    (75.0, "p75"),
    (90.0, "p90"),
    (95.0, "p95"),
    (99.0, "p99"),
    (99.9, "p99_9"),
    (99.99, "p99_99"),
    (100.0, "max"),
];
/// The longest bar of the histogram, and how many there are at most.
const BAR: u64 = 40;
const BARS: usize = 24;

/// How the calls were made, as the report's first lines say it.
#[derive(Clone, Debug)]
pub(super) struct Heading {
    pub(super) target: String,
    pub(super) rate: Option<f64>,
    pub(super) connections: usize,
    pub(super) streams: usize,
    pub(super) server_stream: bool,
}

fn rate(stats: &Stats) -> f64 {
    if stats.seconds() > 0.0 { stats.ok as f64 / stats.seconds() } else { 0.0 }
}

/// The report as one JSON object.
pub(super) fn json(heading: &Heading, stats: &Stats) -> Value {
    let micros = |value: f64| (value / 10.0).round() / 100.0;
    let mut latency = Map::new();
    latency.insert("mean".to_owned(), json!(micros(stats.latency.mean())));
    for (percent, name) in PERCENTILES {
        latency.insert(name.to_owned(), json!(micros(percentile(stats, percent) as f64)));
    }
    let errors: Map<String, Value> =
        stats.errors.iter().map(|(kind, errors)| (kind.to_string(), json!(errors.count))).collect();
    json!({
        "target": heading.target,
        "target_rate": heading.rate,
        "connections": heading.connections,
        "streams": heading.streams,
        "calls": stats.calls(),
        "ok": stats.ok,
        "seconds": stats.seconds(),
        "rate": (rate(stats) * 100.0).round() / 100.0,
        "errors": errors,
        "dropped": stats.dropped,
        "unfinished": stats.unfinished,
        "messages": stats.messages,
        "latency_us": latency,
        "late_us": micros(stats.late as f64),
        "bytes_sent": stats.bytes_sent,
        "bytes_received": stats.bytes_received,
        "driver_cpu_seconds": stats.cpu.as_secs_f64(),
    })
}

fn percentile(stats: &Stats, percent: f64) -> u64 {
    match percent {
        100.0 => stats.latency.max(),
        percent => stats.latency.value_at_percentile(percent).min(stats.latency.max()),
    }
}

/// The report for people.
pub(super) fn text(heading: &Heading, stats: &Stats) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_text(&mut out, heading, stats);
    out
}

fn write_text(out: &mut String, heading: &Heading, stats: &Stats) -> std::fmt::Result {
    let Heading { target, rate: wanted, connections, streams, server_stream } = heading;
    let how = match wanted {
        Some(wanted) => format!("{wanted} calls/s on schedule"),
        None => "each call after an answer".to_owned(),
    };
    writeln!(out, "{target}")?;
    writeln!(out, "{how}, {connections} connections with {streams} calls at a time\n")?;

    let seconds = stats.seconds();
    writeln!(out, "calls      {} in {seconds:.2} s, {} ok", stats.calls(), stats.ok)?;
    writeln!(out, "rate       {:.1} calls/s that succeeded", rate(stats))?;
    if *server_stream {
        let per_second = if seconds > 0.0 { stats.messages as f64 / seconds } else { 0.0 };
        writeln!(out, "messages   {}, {per_second:.1}/s", stats.messages)?;
    }
    writeln!(out, "bytes      {} sent, {} received", size(stats.bytes_sent), size(stats.bytes_received))?;
    let share = if seconds > 0.0 { stats.cpu.as_secs_f64() / seconds * 100.0 } else { 0.0 };
    writeln!(out, "driver     {share:.0} % of a core")?;
    writeln!(out, "errors     {}", stats.failed())?;
    for (kind, errors) in &stats.errors {
        let name = kind.to_string();
        match &errors.note {
            Some(note) => writeln!(out, "  {name}: {} (the first: {})", errors.count, plain(note))?,
            None => writeln!(out, "  {name}: {}", errors.count)?,
        }
    }
    if stats.dropped > 0 {
        writeln!(out, "dropped    {} calls were not made: --max-in-flight was reached", stats.dropped)?;
    }
    if stats.unfinished > 0 {
        writeln!(out, "unfinished {} calls had not ended when this did, and are not counted", stats.unfinished)?;
    }
    if stats.latency.is_empty() {
        return Ok(());
    }

    let since = if wanted.is_some() { "from when each call should have begun" } else { "from when each call began" };
    writeln!(out, "\nlatency    {since}, mean {}", time(stats.latency.mean() as u64))?;
    for (percent, name) in PERCENTILES {
        let name = if name == "max" { "max".to_owned() } else { format!("{percent} %") };
        writeln!(out, "  {name:>7}  {:>9}", time(percentile(stats, percent)))?;
    }
    writeln!(out)?;
    histogram(out, stats)
}

/// Bars of calls by latency. The borders grow evenly as ratios: what is far from the median stays visible.
fn histogram(out: &mut String, stats: &Stats) -> std::fmt::Result {
    let latency = &stats.latency;
    let mut borders = Vec::new();
    let mut border = border_above(latency.min().max(1));
    while border < latency.max() && borders.len() < 200 {
        borders.push(border);
        border = border_above(border + 1);
    }
    borders.push(border);
    // Every second border, or every fourth, where there are too many.
    let step = borders.len().div_ceil(BARS).max(1);
    let (mut from, mut rows) = (0, Vec::new());
    for chunk in borders.chunks(step) {
        let to = chunk.last().copied().unwrap_or(border);
        let count = if to > from { latency.count_between(from, to - 1) } else { 0 };
        rows.push((to, count));
        from = to;
    }
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    for (to, count) in rows {
        let length = (count * BAR).div_ceil(most) as usize;
        let share = count as f64 * 100.0 / latency.len() as f64;
        writeln!(out, "  < {:>8}  {:<40}  {count:>9}  {share:>6.2} %", time(to), "█".repeat(length))?;
    }
    Ok(())
}

/// The next of 1, 1.5, 2, 3, 5, 7 times a power of ten.
fn border_above(value: Nanos) -> Nanos {
    let mut power = 1;
    loop {
        for tenths in [10, 15, 20, 30, 50, 70] {
            let border: u64 = power * tenths;
            if border > value {
                return border;
            }
        }
        match power.checked_mul(10).filter(|power| power.checked_mul(100).is_some()) {
            Some(next) => power = next,
            None => return u64::MAX,
        }
    }
}

/// A latency in the unit that suits it.
pub(super) fn time(nanos: Nanos) -> String {
    let seconds = Duration::from_nanos(nanos).as_secs_f64();
    let (value, unit) = match nanos {
        0..1_000_000 => (seconds * 1e6, "µs"),
        1_000_000..1_000_000_000 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}

/// Bytes in the unit that suits them.
fn size(bytes: u64) -> String {
    let (value, unit) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => (bytes as f64 / 1e3, "kB"),
        1_000_000..1_000_000_000 => (bytes as f64 / 1e6, "MB"),
        _ => (bytes as f64 / 1e9, "GB"),
    };
    format!("{value:.1} {unit}")
}

/// One line, and nothing that a terminal would obey: it comes from the server.
fn plain(text: &str) -> String {
    // gRPC's messages are percent-encoded.
    let text = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(200).collect()
}
