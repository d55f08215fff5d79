//! Who holds memory: an allocator that notes the stack of every block while it is told to.

#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; every call goes to the allocator inside")]

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    collections::HashMap,
    ffi::c_void,
    io::{BufRead as _, Write as _},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::oneshot;

use crate::{
    Failure,
    servers::{self, Options, What},
};

static ON: AtomicBool = AtomicBool::new(false);

static BLOCKS: Mutex<Option<HashMap<usize, Block>>> = Mutex::new(None);

/// As deep as a future in a task of a server is.
const DEPTH: usize = 48;

thread_local! {
    /// What the notes themselves allocate is not noted.
    static NOTING: Cell<bool> = const { Cell::new(false) };
}

struct Block {
    size: usize,
    stack: Vec<usize>,
}

/// An allocator that can be asked who holds its blocks. As long as nobody asks it costs one load of a flag.
#[derive(Debug)]
pub struct Census<A>(pub A);

// SAFETY: it forwards every call unchanged to the allocator inside, which keeps the contract; notes are made of addresses
// alone, and the allocations they make are not noted themselves, so that nothing recurs.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Census<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that the allocator inside asks for.
        let block = unsafe { self.0.alloc(layout) };
        note(None, Some((block, layout.size())));
        block
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let block = unsafe { self.0.alloc_zeroed(layout) };
        note(None, Some((block, layout.size())));
        block
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let new = unsafe { self.0.realloc(block, layout, size) };
        note(Some(block), Some((new, size)));
        new
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(Some(block), None);
        // SAFETY: as in `alloc`.
        unsafe { self.0.dealloc(block, layout) }
    }
}

fn blocks() -> MutexGuard<'static, Option<HashMap<usize, Block>>> {
    BLOCKS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(gone: Option<*mut u8>, new: Option<(*mut u8, usize)>) {
    // A thread that ends has no notes any more.
    if !ON.load(Ordering::Relaxed) || NOTING.try_with(|noting| noting.replace(true)).unwrap_or(true) {
        return;
    }
    let stack = new.map(|_| stack()).unwrap_or_default();
    if let Some(blocks) = blocks().as_mut() {
        if let Some(gone) = gone {
            blocks.remove(&gone.addr());
        }
        if let Some((new, size)) = new {
            blocks.insert(new.addr(), Block { size, stack });
        }
    }
    let _ = NOTING.try_with(|noting| noting.set(false));
}

fn stack() -> Vec<usize> {
    let mut stack = Vec::with_capacity(DEPTH);
    backtrace::trace(|frame| {
        stack.push(frame.ip().addr());
        stack.len() < DEPTH
    });
    stack
}

/// Blocks that one function holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The function that asked for them, without those that do it for everybody.
    pub owner: String,
    /// How many blocks.
    pub blocks: u64,
    /// Their bytes, as they were asked for.
    pub bytes: u64,
}

/// Begins to note.
pub fn start() {
    *blocks() = Some(HashMap::new());
    ON.store(true, Ordering::SeqCst);
}

/// Ends it: what is still held, the most first.
pub fn stop() -> Vec<Holding> {
    ON.store(false, Ordering::SeqCst);
    let Some(blocks) = blocks().take() else { return Vec::new() };
    let mut names = HashMap::new();
    let mut held: HashMap<String, Holding> = HashMap::new();
    for block in blocks.into_values() {
        let owner = owner(&block.stack, &mut names);
        let holding = held.entry(owner.clone()).or_insert(Holding { owner, blocks: 0, bytes: 0 });
        holding.blocks += 1;
        holding.bytes += block.size as u64;
    }
    let mut held: Vec<Holding> = held.into_values().collect();
    held.sort_by_key(|holding| std::cmp::Reverse(holding.bytes));
    held
}

/// What allocates for others.
const FOR_OTHERS: [&str; 14] = [
    "alloc::",
    "core::",
    "std::",
    "hashbrown::",
    "bytes::",
    "__rust",
    "__rdl",
    "_R",
    "backtrace::",
    "benches::idle::census",
    "slab::",
    "indexmap::",
    "http::",
    "futures_util::",
];

/// What makes room for the future of somebody else.
const TASKS: [&str; 2] = ["tokio::", "tokio_util::"];

fn owner(stack: &[usize], names: &mut HashMap<usize, Vec<String>>) -> String {
    let mut runs = None;
    for ip in stack {
        for name in names.entry(*ip).or_insert_with(|| resolve(*ip)) {
            let path = name.trim_start_matches(['<', '&', '(']).trim_start_matches("mut ").trim_start_matches("dyn ");
            if FOR_OTHERS.iter().any(|prefix| path.starts_with(prefix)) {
                continue;
            }
            if !TASKS.iter().any(|prefix| path.starts_with(prefix)) {
                return match runs {
                    Some(runs) => format!("{runs} for {name}"),
                    None => name.clone(),
                };
            }
            runs.get_or_insert_with(|| name.clone());
        }
    }
    runs.unwrap_or_else(|| "?".to_owned())
}

/// The functions at an address: more than one where they are inlined and the build has their lines.
fn resolve(ip: usize) -> Vec<String> {
    let mut names = Vec::new();
    // The address is the one that is returned to, which may belong to the next function.
    backtrace::resolve(std::ptr::without_provenance_mut::<c_void>(ip.saturating_sub(1)), |symbol| {
        names.extend(symbol.name().map(|name| format!("{name:#}")));
    });
    names
}

/// The process: a server on one thread until its standard input ends. It tells its address first. Told `mark`, it begins to note who
/// allocates; told `report`, it says who holds what was allocated since.
///
/// # Errors
/// When it can't listen.
pub fn serve(what: What) -> Result<(), Failure> {
    let (ready, address) = oneshot::channel();
    let (ending, ended) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let say = |line: &dyn std::fmt::Display| writeln!(std::io::stdout(), "{line}");
        if let Ok(address) = address.blocking_recv() {
            let _: std::net::SocketAddr = address;
            let _ = say(&address);
        }
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            // Nobody listens only when the benchmark has ended.
            if line == "mark" {
                start();
                let _ = say(&"marked");
            } else {
                for Holding { bytes, blocks, owner } in stop() {
                    let _ = say(&format_args!("{bytes} {blocks} {owner}"));
                }
                let _ = say(&"end");
            }
        }
        drop(ending);
    });
    crate::runtime()?.block_on(async {
        tokio::select! {
            result = servers::serve(Options::new(what), ready) => result,
            _ = ended => Ok(()),
        }
    })
}
