//! Counts allocations, which are the same on a busy machine as on an idle one.

#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; every call goes to the system's")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Whether it counts: not while time is measured, because two additions cost about as much as an allocation.
static ON: AtomicBool = AtomicBool::new(false);

static COUNT: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counting. A binary makes it its `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

// SAFETY: it forwards every call unchanged to `System`, which keeps the contract; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as in `alloc`.
        unsafe { System.realloc(block, layout, size) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

fn count(size: usize) {
    if !ON.load(Ordering::Relaxed) || IGNORED.get() {
        return;
    }
    COUNT.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(size as u64, Ordering::Relaxed);
}

thread_local! {
    static IGNORED: Cell<bool> = const { Cell::new(false) };
}

/// Whether what this thread allocates is left out: so that a server can be told from its client.
pub fn ignore_this_thread(ignored: bool) {
    IGNORED.set(ignored);
}

/// Allocations (growing a block is one too) and their bytes for one call, of all threads that are not [ignored](ignore_this_thread).
pub fn of_a_call(mut run: impl FnMut(u64)) -> (f64, f64) {
    const CALLS: u64 = 1000;
    // What is made once, such as connections and buffers that stay, is no cost of a call.
    run(CALLS);
    ON.store(true, Ordering::Relaxed);
    let before = (COUNT.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    run(CALLS);
    let after = (COUNT.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    ON.store(false, Ordering::Relaxed);
    ((after.0 - before.0) as f64 / CALLS as f64, (after.1 - before.1) as f64 / CALLS as f64)
}
