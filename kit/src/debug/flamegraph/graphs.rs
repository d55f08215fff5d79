use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use crate::debug::{Refusal, pprof::Collapsed};

/// How many graphs are kept.
const KEPT: usize = 8;

/// How many bytes they may take together; the newest is kept whatever it takes.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// What a graph is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Processor time.
    Cpu,
    /// Memory: one of the kinds of a heap profile.
    Memory(&'static str, &'static str),
}

/// The kinds of memory by their names, and how they are called.
const MEMORY: [(&str, &str); 4] = [
    ("inuse_space", "memory in use"),
    ("alloc_space", "memory allocated"),
    ("inuse_objects", "objects in use"),
    ("alloc_objects", "objects allocated"),
];

impl Kind {
    /// Reads the parameter `kind`.
    pub(super) fn read(name: Option<&str>) -> Result<Self, Refusal> {
        let Some(name) = name.filter(|name| *name != "cpu") else { return Ok(Self::Cpu) };
        let memory = MEMORY.iter().find(|(known, _)| *known == name);
        memory.map(|(name, title)| Self::Memory(name, title)).ok_or_else(|| {
            let known = MEMORY.map(|(name, _)| name).join(", ");
            Refusal::bad_request(format!("kind={name} is unknown; there are: cpu, {known}"))
        })
    }

    /// The name of it as a parameter and in profiles.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory(name, _) => name,
        }
    }

    /// What it is, in words.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Cpu => "CPU time",
            Self::Memory(_, title) => title,
        }
    }
}

/// A flame graph, not yet drawn.
#[derive(Clone, Debug)]
pub(in crate::debug) struct Graph {
    pub(in crate::debug) id: u64,
    pub(super) kind: Kind,
    pub(super) started: SystemTime,
    pub(super) length: Duration,
    pub(super) stacks: Arc<Collapsed>,
}

impl Graph {
    /// What it is of, how long it took and when that was.
    pub(in crate::debug) fn describe(&self) -> String {
        let ago = SystemTime::now().duration_since(self.started).unwrap_or_default().as_secs();
        let ago = format!("{} min {} s ago", ago / 60, ago % 60);
        match self.kind {
            Kind::Cpu => format!("{}, {:.1} s, {ago}", self.kind.title(), self.length.as_secs_f64()),
            Kind::Memory(..) => format!("{}, {ago}", self.kind.title()),
        }
    }

    /// The query that records another of the kind.
    pub(in crate::debug) fn query(&self) -> String {
        match self.kind {
            Kind::Cpu => format!("seconds={}", self.length.as_secs().max(1)),
            Kind::Memory(name, _) => format!("kind={name}"),
        }
    }
}

/// The last graphs.
#[derive(Debug, Default)]
pub(in crate::debug) struct Graphs(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    last_id: u64,
    graphs: VecDeque<Graph>,
}

impl Graphs {
    /// Keeps a graph and gives it an id; the oldest go.
    pub(super) fn keep(&self, kind: Kind, started: SystemTime, length: Duration, stacks: Collapsed) -> Graph {
        let mut kept = self.lock();
        kept.last_id += 1;
        let graph = Graph { id: kept.last_id, kind, started, length, stacks: Arc::new(stacks) };
        kept.graphs.push_front(graph.clone());
        let size = |graphs: &VecDeque<Graph>| graphs.iter().map(|graph| graph.stacks.size()).sum::<usize>();
        while kept.graphs.len() > KEPT || (kept.graphs.len() > 1 && size(&kept.graphs) > KEPT_BYTES) {
            kept.graphs.pop_back();
        }
        graph
    }

    pub(super) fn get(&self, id: u64) -> Option<Graph> {
        self.lock().graphs.iter().find(|graph| graph.id == id).cloned()
    }

    /// All that are kept, the newest first.
    pub(in crate::debug) fn list(&self) -> Vec<Graph> {
        self.lock().graphs.iter().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(graphs: &Graphs, stack: &str) -> u64 {
        let stacks = Collapsed([(stack.to_owned(), 1)].into());
        graphs.keep(Kind::Cpu, SystemTime::UNIX_EPOCH, Duration::from_secs(2), stacks).id
    }

    fn ids(graphs: &Graphs) -> Vec<u64> {
        graphs.list().iter().map(|graph| graph.id).collect()
    }

    #[test]
    fn the_oldest_go() {
        let graphs = Graphs::default();
        for _ in 0..10 {
            keep(&graphs, "a");
        }
        assert_eq!(ids(&graphs), [10, 9, 8, 7, 6, 5, 4, 3]);
        assert!(graphs.get(2).is_none() && graphs.get(3).is_some());
    }

    #[test]
    fn what_is_kept_is_limited_in_size_but_the_newest_stays() {
        let graphs = Graphs::default();
        let large = "f".repeat(KEPT_BYTES / 2);
        keep(&graphs, &large);
        keep(&graphs, &large);
        assert_eq!(ids(&graphs), [2]);
        keep(&graphs, &"f".repeat(KEPT_BYTES * 2));
        assert_eq!(ids(&graphs), [3]);
        keep(&graphs, "a");
        assert_eq!(ids(&graphs), [4]);
    }

    #[test]
    fn kinds_have_names() {
        for name in ["cpu", "inuse_space", "alloc_space", "inuse_objects", "alloc_objects"] {
            assert_eq!(Kind::read(Some(name)).unwrap().name(), name);
        }
        assert_eq!(Kind::read(None).unwrap(), Kind::Cpu);
        assert!(format!("{:?}", Kind::read(Some("heap")).unwrap_err()).contains("inuse_space"));
    }
}
