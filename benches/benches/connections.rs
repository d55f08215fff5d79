//! What connections take that do nothing, and whether many of them are in the way: memory of each, who holds it, what a call costs
//! on one of many, and calls beside 50,000 of them. Figures of whole processes, and only on Linux, which tells them.
//!
//! Words after `--` choose among the tables (`memory`, `breakdown`, `in-turn`, `many`) and, for the first two, the servers (`kit-grpc`).

#[cfg(target_os = "linux")]
mod linux {
    use benches::{
        Failure,
        idle::{
            census::Census,
            figures::{self, Programs, Scale},
            limits::Limits,
            role,
            subjects::ALL,
        },
        measure,
        results::Results,
    };

    #[global_allocator]
    static ALLOCATOR: Census<std::alloc::System> = Census(std::alloc::System);

    const TABLES: [&str; 4] = ["memory", "breakdown", "in-turn", "many"];

    fn programs() -> Programs {
        [
            ("system", env!("CARGO_BIN_EXE_bench-server")),
            ("mimalloc", env!("CARGO_BIN_EXE_bench-server-mimalloc")),
            ("jemalloc", env!("CARGO_BIN_EXE_bench-server-jemalloc")),
        ]
        .map(|(allocator, program)| (allocator, program.into()))
    }

    pub(super) fn main() -> Result<(), Failure> {
        if role::play()? {
            return Ok(());
        }
        let scale = if measure::is_test() { Scale::BRIEF } else { Scale::WHOLE };
        let limits = Limits::new()?;
        let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
        let is_named = |name: &str| chosen.iter().any(|one| one == name);
        let tables: Vec<_> = TABLES.into_iter().filter(|name| is_named(name)).collect();
        let is_chosen = |table: &str| tables.is_empty() || tables.contains(&table);
        let subjects: Vec<_> = ALL.into_iter().filter(|subject| is_named(subject.name)).collect();
        let subjects = if subjects.is_empty() { ALL.to_vec() } else { subjects };
        let (programs, mut results) = (programs(), Results::of("connections"));
        figures::title(&limits);
        if is_chosen("memory") {
            figures::memory(&scale, &limits, &programs, &subjects, &mut results)?;
        }
        if is_chosen("breakdown") {
            figures::breakdown(&scale, &subjects, &mut results)?;
        }
        if is_chosen("in-turn") {
            figures::in_turn(&scale, &limits, &programs, &mut results)?;
        }
        if is_chosen("many") {
            figures::many(&scale, &limits, &programs, &mut results)?;
        }
        // A part of the tables is not left in the place of all.
        if chosen.is_empty() { results.write() } else { Ok(()) }
    }
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), benches::Failure> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
