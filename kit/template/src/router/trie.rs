//! The segments of templates as a tree. It knows neither methods nor verbs nor values.

use std::collections::HashMap;

use crate::Segment;
use crate::percent::{self, Slash};

#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// The route whose template ends here.
    end: Option<usize>,
    literals: Literals,
    any: Option<Box<Node>>,
    /// What goes on with `**`, the most literals first.
    rests: Vec<Rest>,
}

/// What goes on with literals.
#[derive(Clone, Debug, Default)]
struct Literals {
    nodes: Vec<(String, Node)>,
    /// Where they stand: of ten thousand each is found as fast as of ten.
    places: HashMap<Vec<u8>, usize>,
}

impl Literals {
    /// So many are looked through, one after the other, sooner than a hash is made.
    const FEW: usize = 8;

    fn get(&self, text: &[u8]) -> Option<&Node> {
        let entry = if self.nodes.len() <= Self::FEW {
            self.nodes.iter().find(|(known, _)| known.as_bytes() == text)
        } else {
            self.places.get(text).and_then(|place| self.nodes.get(*place))
        };
        entry.map(|(_, node)| node)
    }

    fn slot(&mut self, text: &str) -> &mut Node {
        let known = match self.places.get(text.as_bytes()) {
            Some(place) => *place,
            None => {
                let place = self.nodes.len();
                self.nodes.push((text.to_owned(), Node::default()));
                self.places.insert(text.as_bytes().to_vec(), place);
                place
            }
        };
        &mut self.nodes[known].1
    }
}

/// A `**` and the literals after it; nothing else can follow, so here the tree ends.
#[derive(Clone, Debug)]
struct Rest {
    tail: Vec<String>,
    route: Option<usize>,
}

impl Node {
    /// The place for the route with these segments; places on the way come into being.
    pub(super) fn slot(&mut self, segments: &[Segment]) -> &mut Option<usize> {
        let mut node = self;
        let mut segments = segments.iter();
        while let Some(segment) = segments.next() {
            node = match segment {
                Segment::Literal(text) => node.literals.slot(text),
                Segment::Any => node.any.get_or_insert_default(),
                Segment::Rest => {
                    let tail = segments.filter_map(|segment| match segment {
                        Segment::Literal(text) => Some(text.clone()),
                        // The parser lets only literals follow `**`.
                        Segment::Any | Segment::Rest => None,
                    });
                    return node.rest_slot(tail.collect());
                }
            };
        }
        &mut node.end
    }

    fn rest_slot(&mut self, tail: Vec<String>) -> &mut Option<usize> {
        let index = self.rests.iter().position(|rest| rest.tail == tail).unwrap_or_else(|| {
            let index = self.rests.partition_point(|rest| rest.tail.len() >= tail.len());
            self.rests.insert(index, Rest { tail, route: None });
            index
        });
        &mut self.rests[index].route
    }

    /// The most specific route for the segments `left`; `None` there means that no segment is left, which is not the
    /// same as an empty one.
    ///
    /// Recurses only where there is something to come back to, and each node has one depth, so it is visited once.
    pub(super) fn find(&self, mut left: Option<&str>) -> Option<usize> {
        let mut node = self;
        while let Some(segments) = left {
            let (segment, after) = percent::cut(segments, b'/');
            let any = node.any.as_deref().filter(|_| !segment.is_empty());
            match (node.literal(segment), any) {
                (Some(only), None) | (None, Some(only)) if node.rests.is_empty() => node = only,
                (literal, any) => {
                    return (literal.and_then(|node| node.find(after)))
                        .or_else(|| any.and_then(|node| node.find(after)))
                        .or_else(|| node.find_rest(left));
                }
            }
            left = after;
        }
        node.end.or_else(|| node.find_rest(None))
    }

    fn literal(&self, segment: &str) -> Option<&Node> {
        if self.literals.nodes.is_empty() {
            return None;
        }
        self.literals.get(&percent::decode(segment, Slash::Plain))
    }

    fn find_rest(&self, left: Option<&str>) -> Option<usize> {
        self.rests.iter().find(|rest| ends_with(left, &rest.tail)).and_then(|rest| rest.route)
    }
}

fn ends_with(mut left: Option<&str>, tail: &[String]) -> bool {
    tail.iter().rev().all(|literal| {
        let Some(segments) = left else { return false };
        let (before, last) = match segments.rsplit_once('/') {
            Some((before, last)) => (Some(before), last),
            None => (None, segments),
        };
        left = before;
        *percent::decode(last, Slash::Plain) == *literal.as_bytes()
    })
}
