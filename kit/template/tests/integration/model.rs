//! Routing as it would be explained to somebody: try every route, sort what matches. Slow, and simple enough to trust.

use kit_template::{Segment, Template};

/// Smaller is preferred. First the verb's place in the last segment, then each segment's kind from left to right.
type Rank = (usize, Vec<usize>);

pub(crate) struct Hit {
    pub(crate) route: usize,
    pub(crate) variables: Vec<String>,
}

pub(crate) fn find(templates: &[Template], path: &str) -> Option<Hit> {
    let matching = templates.iter().enumerate().filter_map(|(route, template)| {
        let (rank, variables) = try_route(template, path)?;
        Some((rank, Hit { route, variables }))
    });
    matching.min_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, hit)| hit)
}

fn try_route(template: &Template, path: &str) -> Option<(Rank, Vec<String>)> {
    let (path, verb_rank) = match template.verb() {
        None => (path, usize::MAX),
        Some(verb) => {
            let last = path.rfind('/')? + 1;
            let colon =
                (last..path.len()).find(|at| path[*at..].starts_with(':') && decode(&path[at + 1..], false) == verb)?;
            (&path[..colon], colon)
        }
    };
    let parts: Vec<&str> = if path == "/" { Vec::new() } else { path[1..].split('/').collect() };
    let borders = align(template.segments(), &parts)?;
    let rank = template.segments().iter().enumerate().map(|(index, segment)| match segment {
        Segment::Literal(_) => 1,
        Segment::Any => 2,
        // More literals after it: more specific.
        Segment::Rest => 1000 - (template.segments().len() - index),
    });
    let variables = template.variables().iter().map(|variable| {
        let range = variable.range();
        let text = parts[borders[range.start]..borders[range.end]].join("/");
        decode(&text, variable.is_multi_segment())
    });
    Some(((verb_rank, rank.collect()), variables.collect()))
}

/// For each segment, and for the end, the number of parts before it.
fn align(segments: &[Segment], parts: &[&str]) -> Option<Vec<usize>> {
    let Some((segment, segments)) = segments.split_first() else {
        return parts.is_empty().then(|| vec![0]);
    };
    (0..=parts.len()).find_map(|count| {
        let (mine, others) = parts.split_at(count);
        let fits = match segment {
            Segment::Literal(text) => count == 1 && decode(mine[0], false) == *text,
            Segment::Any => count == 1 && !mine[0].is_empty(),
            Segment::Rest => true,
        };
        let borders = fits.then(|| align(segments, others)).flatten()?;
        Some(std::iter::once(0).chain(borders.into_iter().map(|border| border + count)).collect())
    })
}

/// Knows only the escapes that the generated paths use.
fn decode(text: &str, multi_segment: bool) -> String {
    let text = text.replace("%61", "a").replace("%3A", ":");
    if multi_segment { text } else { text.replace("%2f", "/") }
}
