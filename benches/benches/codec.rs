//! The message of the benchmark over sockets: protobuf by prost, JSON by the kit and by serde.

use std::hint::black_box;

use benches::{
    Failure,
    added::{Costs, Way, way},
    allocations::Counting,
    measure::criterion,
    must, peer,
    proto::press::Note,
    results::{Results, Row, Unit},
    servers,
};
use bytes::BytesMut;
use kit::json::{self, Options};
use prost::Message as _;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> Result<(), Failure> {
    let mut criterion = criterion();
    let mut costs = Costs::new("codec", &mut criterion);
    let mut results = Results::of("codec");
    let note = servers::note();
    let (bytes, text, options) = (note.encode_to_vec(), servers::json().as_bytes(), Options::default());
    let serde: peer::json::Note = serde_json::from_slice(text)?;
    let mut buffer = BytesMut::with_capacity(1024);

    let mut found = Vec::new();
    let name = format!("protobuf, decode {} bytes", bytes.len());
    found.push((
        name.clone(),
        costs.compare(name, nothing(), calls("prost", || must(Note::decode(bytes.as_slice()))), []),
    ));
    let name = format!("protobuf, encode {} bytes", bytes.len());
    let encode = calls("prost", || {
        buffer.clear();
        must(note.encode(&mut buffer))
    });
    found.push((name.clone(), costs.compare(name, nothing(), encode, [])));
    let name = format!("JSON, decode {} bytes", text.len());
    let peer = calls("serde derive", || must(serde_json::from_slice::<peer::json::Note>(text)));
    let kit = calls("kit", || must(json::from_slice::<Note>(text, &options)));
    found.push((name.clone(), costs.compare(name, nothing(), kit, [peer])));
    let name = format!("JSON, encode {} bytes", text.len());
    let peer = calls("serde derive", || must(serde_json::to_vec(&serde)));
    let kit = calls("kit", || must(json::to_vec(&note, &options)));
    found.push((name.clone(), costs.compare(name, nothing(), kit, [peer])));

    costs.finish();
    for (name, cost) in found {
        let row = Row::new(name, "the message of the calls over sockets", cost.added, Unit::Nanoseconds);
        results.record(row.spread(cost.spread.0, cost.spread.1).measured_in("in process, system allocator"));
    }
    results.write()?;
    criterion.final_summary();
    Ok(())
}

fn nothing() -> Way<'static> {
    calls("nothing", || ())
}

fn calls<'a, T>(name: &'static str, mut call: impl FnMut() -> T + 'a) -> Way<'a> {
    way(name, move |count| (0..count).for_each(|_| _ = black_box(call())))
}
