//! Graphs as SVG and as text.

use inferno::flamegraph::{
    self, Direction, Options,
    color::{BackgroundColor, MultiPalette, Palette},
};

use super::{
    Refusal,
    graphs::{Graph, Kind},
};

/// The lines of a graph, or of the difference between two.
pub(super) fn text(graph: &Graph, before: Option<&Graph>) -> String {
    match before {
        Some(before) => graph.stacks.text_against(&before.stacks, scale(graph, before)),
        None => graph.stacks.text(),
    }
}

/// What the earlier graph is to be multiplied by: twice the time has twice the samples. Memory is compared as it is.
fn scale(graph: &Graph, before: &Graph) -> f64 {
    match graph.kind {
        Kind::Cpu if !before.length.is_zero() => graph.length.as_secs_f64() / before.length.as_secs_f64(),
        _ => 1.0,
    }
}

/// A graph that can be clicked and searched in a browser, with all it needs in it.
pub(super) fn svg(graph: &Graph, before: Option<&Graph>) -> Result<Vec<u8>, Refusal> {
    let mut options = Options::default();
    options.title = title(graph, before);
    options.subtitle = Some(subtitle(graph, before));
    options.colors = Palette::Multi(MultiPalette::Rust);
    options.bgcolors = Some(BackgroundColor::Grey);
    // The outermost function on top: stacks of futures are deep, and a page opens at its top.
    options.direction = Direction::Inverted;
    options.deterministic = true;
    (options.count_name, options.factor) = match graph.kind {
        Kind::Cpu => ("ms".to_owned(), 1e-6),
        Kind::Memory(name, _) if name.ends_with("space") => ("KiB".to_owned(), 1.0 / 1024.0),
        Kind::Memory(..) => ("objects".to_owned(), 1.0),
    };
    let mut lines = text(graph, before);
    if lines.is_empty() {
        lines = if before.is_some() { "[nothing was recorded] 1 1\n" } else { "[nothing was recorded] 1\n" }.to_owned();
    }
    let mut written = Vec::new();
    flamegraph::from_lines(&mut options, lines.lines(), &mut written)
        .map_err(|error| Refusal::failed("the flame graph can't be drawn", &error))?;
    Ok(written)
}

fn title(graph: &Graph, before: Option<&Graph>) -> String {
    let title = graph.kind.title();
    let mut title =
        format!("{}{}", title.get(..1).unwrap_or_default().to_uppercase(), title.get(1..).unwrap_or_default());
    if let Some(before) = before {
        title.push_str(&format!(": {} against {}", graph.id, before.id));
    }
    title
}

/// What is to be known of a graph: its id above all, by which others are compared with it.
fn subtitle(graph: &Graph, before: Option<&Graph>) -> String {
    let of = |graph: &Graph| {
        let total = graph.stacks.total() as f64;
        match graph.kind {
            Kind::Cpu => format!("{:.2} s of CPU time in {:.1} s", total / 1e9, graph.length.as_secs_f64()),
            Kind::Memory(name, _) if name.ends_with("space") => format!("{:.2} MiB", total / f64::from(1 << 20)),
            Kind::Memory(..) => format!("{total} objects"),
        }
    };
    match before {
        None => format!("id {}: {}", graph.id, of(graph)),
        Some(before) => {
            format!("id {}: {}; id {}: {}; red has more now, blue less", graph.id, of(graph), before.id, of(before))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{super::Graphs, *};
    use crate::debug::pprof::Collapsed;

    fn graph(graphs: &Graphs, kind: &str, stacks: &[(&str, i64)]) -> Graph {
        let stacks = Collapsed(stacks.iter().map(|(stack, value)| ((*stack).to_owned(), *value)).collect());
        graphs.keep(Kind::read(Some(kind)).unwrap(), SystemTime::UNIX_EPOCH, Duration::from_secs(2), stacks)
    }

    #[test]
    fn draws_names_and_says_the_id() {
        let graphs = Graphs::default();
        let before = graph(&graphs, "cpu", &[("main;a", 2_000_000_000)]);
        let now = graph(&graphs, "cpu", &[("main;a", 1_000_000_000), ("main;<b as c>::d & e", 3_000_000_000)]);
        let drawn = String::from_utf8(svg(&now, None).unwrap()).unwrap();
        assert!(drawn.contains("&lt;b as c&gt;::d &amp; e") && drawn.contains("id 2: 4.00 s of CPU time in 2.0 s"));
        let compared = String::from_utf8(svg(&now, Some(&before)).unwrap()).unwrap();
        assert!(compared.contains("CPU time: 2 against 1") && compared.contains("red has more now"));
    }

    #[test]
    fn nothing_is_drawn_too() {
        let graphs = Graphs::default();
        for kind in ["cpu", "inuse_space", "alloc_objects"] {
            let empty = graph(&graphs, kind, &[]);
            for before in [None, Some(&empty)] {
                let drawn = String::from_utf8(svg(&empty, before).unwrap()).unwrap();
                assert!(drawn.contains("nothing was recorded"), "{kind}");
            }
        }
    }
}
