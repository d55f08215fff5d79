# The recipes that .ci/run uses; `just ci` is what lands or rejects a change.

export CARGO_TERM_COLOR := env("CARGO_TERM_COLOR", "auto")

# List the recipes.
default:
    @just --list

# Everything that CI checks.
ci:
    .ci/run

# Formatting.
fmt-check:
    cargo fmt --all --check

# Lints, with warnings denied.
clippy:
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# Each feature of kit alone.
features:
    .ci/features

# All tests but those in documentation.
test:
    cargo test --workspace --all-targets --exclude benches

# The examples in documentation.
doctest:
    cargo test --workspace --doc --all-features

# The documentation, with warnings denied.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features

# Rewrite the golden files after a change of the generated code.
bless:
    KIT_BLESS=1 cargo test -p kit-build
    KIT_BLESS=1 cargo test -p kit --test simulation

# Benchmarks: ratios against hand-written tonic and axum.
bench *args:
    cargo bench -p benches {{args}}

# The bars, against other servers: writes benches/RESULTS.md and the picture.
results *benches:
    benches/results {{benches}}

# Both demo services in one process.
demo:
    cargo run --release -p bookinfo

# A service under three times the load that it can do. Seconds of each phase.
overload seconds="5":
    cargo run --release -p kit --example overload -- {{seconds}}

# Profiles under full load: no call may fail. Seconds: ten minutes unless said.
soak seconds="600":
    cargo run --release -p kit --features heap,server,log --example soak -- {{seconds}}
