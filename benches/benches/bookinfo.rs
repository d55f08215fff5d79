//! The demo under load against the same written by hand: how long calls take at 70 % of what is possible.

#[cfg(target_os = "linux")]
mod linux {
    use benches::{
        Failure,
        bookinfo::{
            figures::{self, Scale},
            program,
        },
        measure,
        results::Results,
    };

    // The allocator of the demo's programs, so that the services by hand have it too.
    #[global_allocator]
    static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

    pub(super) fn main() -> Result<(), Failure> {
        if program::play()? {
            return Ok(());
        }
        let scale = if measure::is_test() { Scale::BRIEF } else { Scale::WHOLE };
        let mut results = Results::of("bookinfo");
        figures::compare(&scale, env!("CARGO_BIN_EXE_bench-server").as_ref(), &mut results)?;
        results.write()
    }
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), benches::Failure> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
