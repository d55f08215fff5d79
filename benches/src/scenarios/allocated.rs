//! Bytes that a server allocates for a call over a socket, and how often.

use std::net::SocketAddr;

use crate::{
    Failure,
    allocations::{ignore_this_thread, of_a_call},
    must,
    proto::press::Note,
    results::{Results, Row, Table, Unit},
    runtime,
    serve::ServerThread,
    servers::{self, Options, What, note},
};

/// Servers on threads of their own, called by tonic's client one call after the other; what the client's thread allocates does not
/// count. For a program whose allocator is [`Counting`](crate::allocations::Counting).
///
/// # Errors
/// When a server does not start.
pub fn run() -> Result<Results, Failure> {
    println!("\nallocations of the server for a call over a socket");
    let mut results = Results::of("sockets-allocations");
    let found = [
        ("tonic", of_server(What::Tonic)?),
        ("kit bare", of_server(What::KitGrpcBare)?),
        ("kit, full chain", of_server(What::KitGrpc)?),
    ];
    let mut table = Table {
        title: "Allocations of a gRPC call, server side".to_owned(),
        columns: ["server", "allocations", "bytes"].map(str::to_owned).to_vec(),
        rows: Vec::new(),
    };
    for (name, (count, bytes)) in found {
        println!("{name:16} {count:>6.1} {bytes:>8.0} bytes");
        table.rows.push(vec![name.to_owned(), format!("{count:.1}"), format!("{bytes:.0}")]);
    }
    results.table(table);
    let [(_, tonic), _, (_, kit)] = found;
    let title = "gRPC unary, one call at a time: kit, full chain";
    let configuration = "one thread, warm connection, release build";
    results.record(
        Row::new(title, "against tonic, bytes allocated by the server", kit.1 / tonic.1, Unit::Ratio)
            .at_most(0.30)
            .measured_in(configuration),
    );
    results.record(
        Row::new(title, "against tonic, allocations of the server", kit.0 / tonic.0, Unit::Ratio)
            .measured_in(configuration),
    );
    Ok(results)
}

fn of_server(what: What) -> Result<(f64, f64), Failure> {
    let server = ServerThread::spawn(move |ready| servers::serve(Options::new(what), ready))?;
    let address: SocketAddr = server.address();
    let runtime = runtime()?;
    // The client's tasks run on this thread: its runtime has no other.
    ignore_this_thread(true);
    let client = runtime.block_on(Client::connect(address));
    let found = client.map(|client| of_a_call(|count| must(runtime.block_on(client.echo(count)))));
    ignore_this_thread(false);
    found
}

struct Client(servers::PressClient);

impl Client {
    async fn connect(address: SocketAddr) -> Result<Self, Failure> {
        Ok(Self(servers::connect(address).await?))
    }

    async fn echo(&self, count: u64) -> Result<(), Failure> {
        let mut client = self.0.clone();
        for _ in 0..count {
            let answer: Note = client.echo(note()).await?.into_inner();
            if answer.id != note().id {
                return Err("another note came back".into());
            }
        }
        Ok(())
    }
}
