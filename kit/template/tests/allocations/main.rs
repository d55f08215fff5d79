//! Routing is on the way of every request: these tests hold it to the allocations it needs.
//!
//! A binary of its own, because it replaces the allocator.
#![allow(unsafe_code, reason = "an allocator can't be counted without implementing one")]
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use kit_template::{Found, Router, Template};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting touches a thread-local without a destructor,
// which neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn router() -> Router<u32> {
    let mut router = Router::new();
    let texts = ["/v1/books", "/v1/books/new", "/v1/books/{id}", "/v1/books/{id}:archive", "/v1/{name=**}/pages"];
    for (text, value) in texts.into_iter().zip(0..) {
        router.insert("GET", Template::parse(text).unwrap(), value).unwrap();
    }
    router
}

fn allocations(router: &Router<u32>, path: &str, route: Option<u32>) -> usize {
    let before = COUNT.get();
    let found = router.find("GET", path);
    let count = COUNT.get() - before;
    let value = if let Found::Match(found) = &found { Some(*found.value) } else { None };
    assert_eq!(value, route, "{path}: {found:?}");
    count
}

#[test]
fn a_path_without_variables_allocates_nothing() {
    let router = router();
    assert_eq!(allocations(&router, "/v1/books", Some(0)), 0);
    assert_eq!(allocations(&router, "/v1/books/new", Some(1)), 0);
    assert_eq!(allocations(&router, "/v2/unknown", None), 0);
}

#[test]
fn variables_allocate_their_list_and_what_is_escaped() {
    let router = router();
    assert_eq!(allocations(&router, "/v1/books/7", Some(2)), 1);
    assert_eq!(allocations(&router, "/v1/books/7:archive", Some(3)), 1);
    assert_eq!(allocations(&router, "/v1/a/b/pages", Some(4)), 1);
}
