//! Heap profiles by jemalloc, which becomes the allocator of the program that names it.
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: kit::debug::heap::Jemalloc = kit::debug::heap::Jemalloc;
//! # fn main() {}
//! ```
//!
//! That is all: with the feature `heap`, jemalloc starts with [`CONFIGURATION`], under which one allocation in half a megabyte
//! is noted with its stack. The environment variable `MALLOC_CONF` overrides it, `MALLOC_CONF=prof:false` switches it off.

use std::{
    borrow::Cow,
    collections::HashMap,
    hint::black_box,
    io::Read as _,
    time::{Duration, SystemTime},
};

use http::StatusCode;
#[doc(inline)]
pub use tikv_jemallocator::Jemalloc;
use tokio_util::sync::CancellationToken;

use super::{
    Refusal,
    pprof::{Location, Mappings, Samples, Stack, Symbols, Unit},
};

mod control;
mod text;

use text::{Dump, Figures};

/// How jemalloc is set up when `MALLOC_CONF` does not say otherwise: it samples each 2^19 bytes, as is its own default, and
/// also counts what was freed again.
pub const CONFIGURATION: &str = "prof:true,prof_active:true,prof_accum:true,lg_prof_sample:19";

/// What a sample counts, as Go has it.
const UNITS: [Unit; 4] = [
    Unit { kind: "alloc_objects", unit: "count" },
    Unit { kind: "alloc_space", unit: "bytes" },
    Unit { kind: "inuse_objects", unit: "count" },
    Unit { kind: "inuse_space", unit: "bytes" },
];

/// Where functions are from that allocate for others, by the beginnings of their names.
const ALLOCATING: [&str; 5] = ["alloc::", "core::", "std::", "hashbrown::", "tikv_jemallocator::"];

/// What the memory is and was used for. Blocks; one at a time.
pub(super) fn samples(
    default: &'static str,
    symbols: &Symbols,
    abandoned: &CancellationToken,
) -> Result<Samples, Refusal> {
    ready()?;
    let file = tempfile::NamedTempFile::new()
        .map_err(|error| Refusal::failed("there is no temporary file for the heap profile", &error))?;
    control::dump(file.path()).map_err(|error| Refusal::failed("jemalloc does not write its heap profile", &error))?;
    let mut written = String::new();
    file.reopen()
        .and_then(|mut file| file.read_to_string(&mut written))
        .map_err(|error| Refusal::failed("the heap profile can't be read", &error))?;
    drop(file);
    let dump = Dump::parse(&written)
        .ok_or_else(|| Refusal::failed("the heap profile can't be read", &"it is not jemalloc's heap_v2"))?;
    let mut samples = Samples {
        units: &UNITS,
        default,
        stacks: HashMap::new(),
        period: (Unit { kind: "space", unit: "bytes" }, i64::try_from(dump.interval).unwrap_or(i64::MAX)),
        started: SystemTime::now(),
        length: Duration::ZERO,
        mappings: Mappings::of_this_process(),
        comment: format!("sampled every {} bytes on average, and scaled to all allocations", dump.interval),
    };
    for (addresses, figures) in &dump.stacks {
        if abandoned.is_cancelled() {
            return Err(Refusal::stopping());
        }
        // The addresses are where calls return to.
        let locations = addresses.iter().map(|address| symbols.locate(address.saturating_sub(1), &samples.mappings));
        let stack = Stack { locations: without_allocator(locations.collect()), thread: None };
        let (allocated, in_use) = (figures.allocated.scaled(dump.interval), figures.in_use.scaled(dump.interval));
        samples.add(stack, &[allocated.objects, allocated.bytes, in_use.objects, in_use.bytes]);
    }
    Ok(samples)
}

/// Says what is missing for heap profiles.
fn ready() -> Result<(), Refusal> {
    let missing = |text: &'static str| Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, Cow::Borrowed(text)));
    if !is_running() {
        return missing(
            "jemalloc is not the allocator of this program: put `#[global_allocator] static ALLOCATOR: \
             kit::debug::heap::Jemalloc = kit::debug::heap::Jemalloc;` into main.rs",
        );
    }
    if !control::is_on(control::PROF) {
        return missing("heap profiles are switched off: start the program without prof:false in MALLOC_CONF");
    }
    if !control::is_on(control::ACTIVE) {
        return missing("heap profiles are switched off: start the program without prof_active:false in MALLOC_CONF");
    }
    if !control::is_on(control::ACCUMULATE) {
        return missing(
            "what was allocated in all is not counted: start the program without prof_accum:false in MALLOC_CONF",
        );
    }
    Ok(())
}

/// The bytes that the program holds, and those that the allocator holds for it; `NAN` where jemalloc does not say.
pub(super) fn figures() -> [f64; 2] {
    // Its figures are of the last epoch.
    let _ = tikv_jemalloc_ctl::epoch::advance();
    let known = |bytes: Result<usize, tikv_jemalloc_ctl::Error>| bytes.map_or(f64::NAN, |bytes| bytes as f64);
    [known(tikv_jemalloc_ctl::stats::allocated::read()), known(tikv_jemalloc_ctl::stats::resident::read())]
}

/// Whether what this program allocates comes from jemalloc.
pub(super) fn is_running() -> bool {
    let Ok(allocated) = tikv_jemalloc_ctl::thread::allocatedp::read() else { return false };
    let before = allocated.get();
    drop(black_box(Vec::<u8>::with_capacity(64 * 1024)));
    allocated.get() > before
}

/// Takes the allocator and the standard library from the inner end of a stack, so that it ends in what wanted the memory.
fn without_allocator(locations: Vec<Location>) -> Vec<Location> {
    let allocating = |function: &str| is_library(function) || is_allocator(function);
    let first = locations
        .iter()
        .enumerate()
        .find_map(|(index, location)| Some((index, location.functions().position(|name| !allocating(name))?)));
    let Some((index, lines)) = first else { return locations };
    let mut rest = locations.into_iter().skip(index);
    let mut kept = Vec::new();
    kept.extend(rest.next().map(|location| if lines == 0 { location } else { location.without(lines) }));
    kept.extend(rest);
    kept
}

/// Whether a function is of the standard library: also `<u8 as alloc::..>::..`, but not `<app::Type as core::..>::..`.
fn is_library(function: &str) -> bool {
    let begins = |name: &str| ALLOCATING.iter().any(|beginning| name.starts_with(beginning));
    let name = function.trim_start_matches(['<', '&', '*', '[', '(']);
    let name = ["mut ", "const ", "dyn "].iter().fold(name, |name, word| name.strip_prefix(word).unwrap_or(name));
    match name.split_once(" as ") {
        Some((of, as_what)) if !of.contains("::") => begins(as_what),
        _ => begins(name),
    }
}

/// Whether a function is one of jemalloc's own or stands between it and Rust.
fn is_allocator(name: &str) -> bool {
    const BEGINNINGS: [&str; 6] = ["prof_", "je_", "_rjem_", "__rust_", "__rustc::", "__rdl_"];
    const NAMES: [&str; 8] =
        ["malloc", "calloc", "realloc", "mallocx", "rallocx", "posix_memalign", "aligned_alloc", "memalign"];
    let internal = name.contains("alloc") && name.starts_with(['i', 'l', 'd', 'a']) && !name.contains("::");
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) || NAMES.contains(&name) || internal
}

impl Figures {
    /// What was sampled as an estimate of all: an allocation of a size is sampled with a probability that is known, and stands
    /// for as many as its inverse. This is what pprof and jeprof do for `heap_v2`.
    fn scaled(self, interval: u64) -> Self {
        if self.objects <= 0 || self.bytes <= 0 || interval == 0 {
            return Self::default();
        }
        let (objects, bytes) = (self.objects as f64, self.bytes as f64);
        let scale = 1.0 / -(-bytes / objects / interval as f64).exp_m1();
        Self { objects: (objects * scale).round() as i64, bytes: (bytes * scale).round() as i64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_small_allocations_up_and_large_ones_hardly() {
        let scaled = |objects, bytes| {
            let figures = Figures { objects, bytes }.scaled(1 << 19);
            (figures.objects, figures.bytes)
        };
        assert_eq!(scaled(0, 0), (0, 0));
        // One of 16 bytes in 32 768.5 is sampled.
        assert_eq!(scaled(2, 32), (65_537, 1_048_592));
        assert_eq!(scaled(3, 3 << 24), (3, 3 << 24));
        assert_eq!(Figures { objects: 5, bytes: -1 }.scaled(1), Figures::default());
    }

    #[test]
    fn the_standard_library_is_told_from_the_program() {
        for library in [
            "alloc::vec::from_elem",
            "<alloc::vec::Vec<app::Type> as core::clone::Clone>::clone",
            "<u8 as alloc::vec::spec_from_elem::SpecFromElem>::from_elem",
            "<&mut std::io::Stdout as std::io::Write>::write",
            "alloc::slice::<impl [T]>::to_vec",
            "<tikv_jemallocator::Jemalloc as core::alloc::global::GlobalAlloc>::alloc",
        ] {
            assert!(is_library(library), "{library}");
        }
        for own in ["app::alloc::keep", "<app::Type as core::convert::From<u8>>::from", "standard::work", "malloc"] {
            assert!(!is_library(own), "{own}");
        }
    }

    #[test]
    fn a_stack_ends_in_what_wanted_the_memory() {
        let function = |functions: &[&str]| Location::named(functions);
        let stack = vec![
            function(&["prof_backtrace_impl"]),
            function(&["imalloc_body", "malloc"]),
            function(&["<alloc::alloc::Global as core::alloc::Allocator>::allocate", "app::keep", "app::outer"]),
            function(&["std::rt::lang_start"]),
        ];
        let kept = without_allocator(stack);
        let names: Vec<Vec<&str>> = kept.iter().map(|location| location.functions().collect()).collect();
        assert_eq!(names, [vec!["app::keep", "app::outer"], vec!["std::rt::lang_start"]]);
        let only_allocator = vec![function(&["malloc"]), function(&["std::rt::init"])];
        assert_eq!(without_allocator(only_allocator.clone()), only_allocator);
    }
}
