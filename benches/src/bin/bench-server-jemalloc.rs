//! A server of the benchmark over sockets, on jemalloc: see [`benches::servers`].

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Result<(), benches::Failure> {
    benches::servers::main()
}
