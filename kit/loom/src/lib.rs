//! Nothing but tests: `cargo test -p kit-loom --release` tries every order in which threads can run what `kit` shares without
//! locks. Each test compiles one file of `kit` by its path, with loom's atomics as `crate::sync`.
