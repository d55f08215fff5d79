//! A server of the benchmark over sockets, on mimalloc: see [`benches::servers`].

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), benches::Failure> {
    benches::servers::main()
}
