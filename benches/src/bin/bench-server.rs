//! A server of the benchmark over sockets, on the system's allocator: see [`benches::servers`].

fn main() -> Result<(), benches::Failure> {
    benches::servers::main()
}
