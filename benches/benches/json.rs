//! JSON of a message against serde's derive, reflection and pbjson; an HTTP request in memory against an axum handler.

use benches::{
    Failure, http1,
    measure::{Side, Table, calls, criterion, side},
    must, peer,
    proto::bench::{Book, SHELF},
    runtime, serve, shelf,
};
use bytes::Bytes;
use kit::{
    json::{self, Options},
    transport::http::{Body, HttpConfig, HttpTransport},
};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use tower::{Service, ServiceExt as _};

fn main() -> Result<(), Failure> {
    let mut criterion = criterion();
    let mut table = Table::new("json", &mut criterion);
    let pool = DescriptorPool::decode(SHELF.descriptors)?;
    let reflected = pool.get_message_by_name("bench.Book").ok_or("the message is not there")?;
    for (size, chapters) in [("small", serve::CHAPTERS), ("large", 100)] {
        compare_messages(&mut table, size, &shelf::book(chapters), &reflected)?;
    }
    compare_requests(&mut table)?;
    table.finish();
    criterion.final_summary();
    Ok(())
}

fn compare_messages(
    table: &mut Table<'_>,
    size: &str,
    book: &Book,
    reflected: &MessageDescriptor,
) -> Result<(), Failure> {
    let options = Options::default();
    let text = json::to_vec(book, &options)?;
    let derived: peer::json::Book = serde_json::from_slice(&text)?;
    let dynamic = read_dynamic(reflected, &text)?;
    let pbjson: peer::pbjson::Book = serde_json::from_slice(&text)?;
    // Every side says the same.
    let tree: serde_json::Value = serde_json::from_slice(&text)?;
    for other in [serde_json::to_vec(&derived)?, write_dynamic(&dynamic)?, serde_json::to_vec(&pbjson)?] {
        if serde_json::from_slice::<serde_json::Value>(&other)? != tree {
            return Err(format!("the JSON differs: {}", String::from_utf8_lossy(&other)).into());
        }
    }

    let kit = || calls("kit", || must(json::to_vec(book, &options)));
    let name = |what: &str| format!("{what}, {size}, {} bytes", text.len());
    let derive = || calls("derive", || must(serde_json::to_vec(&derived)));
    table.compare(name("derive, twice (noise), encode"), derive(), derive());
    table.compare(name("encode"), derive(), kit());
    table.compare(name("encode"), calls("reflection", || must(write_dynamic(&dynamic))), kit());
    table.compare(name("encode"), calls("pbjson", || must(serde_json::to_vec(&pbjson))), kit());

    let kit = || calls("kit", || must(json::from_slice::<Book>(&text, &options)));
    let derive = calls("derive", || must(serde_json::from_slice::<peer::json::Book>(&text)));
    table.compare(name("decode"), derive, kit());
    table.compare(name("decode"), calls("reflection", || must(read_dynamic(reflected, &text))), kit());
    let pbjson = calls("pbjson", || must(serde_json::from_slice::<peer::pbjson::Book>(&text)));
    table.compare(name("decode"), pbjson, kit());
    Ok(())
}

fn write_dynamic(message: &DynamicMessage) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(128);
    let options = SerializeOptions::new().skip_default_fields(false);
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut out), &options)?;
    Ok(out)
}

fn read_dynamic(descriptor: &MessageDescriptor, text: &[u8]) -> Result<DynamicMessage, serde_json::Error> {
    DynamicMessage::deserialize(descriptor.clone(), &mut serde_json::Deserializer::from_slice(text))
}

/// Requests without sockets: routing, path, query, body, answer.
fn compare_requests(table: &mut Table<'_>) -> Result<(), Failure> {
    let axum = peer::axum::router(serve::peer_book()?);
    let bare = HttpTransport::new(serve::plain()).service(&serve::bare()).build()?;
    let standard = HttpTransport::new(HttpConfig::default()).service(&serve::standard()).build()?;
    let runtime = &runtime()?;
    let stored = Bytes::from(json::to_vec(&shelf::book(serve::CHAPTERS), &Options::default())?);

    let find = || must(http1::find());
    let store = || must(http1::store(&stored));
    for (ours, theirs) in [(find(), find()), (store(), store())] {
        let ours = runtime.block_on(async { http1::in_memory(bare.clone().oneshot(ours).await).await })?;
        let theirs = runtime.block_on(async { http1::in_memory(axum.clone().oneshot(theirs).await).await })?;
        if serde_json::from_slice::<serde_json::Value>(&ours)? != serde_json::from_slice::<serde_json::Value>(&theirs)?
        {
            return Err("the answers differ".into());
        }
    }
    table.compare(
        "GET path and query, bare",
        answer("axum", runtime, &axum, find),
        answer("kit", runtime, &bare, find),
    );
    let kit = answer("kit", runtime, &standard, find);
    table.compare("GET path and query, as it comes", answer("axum", runtime, &axum, find), kit);
    table.compare("POST body, bare", answer("axum", runtime, &axum, store), answer("kit", runtime, &bare, store));
    let kit = answer("kit", runtime, &standard, store);
    table.compare("POST body, as it comes", answer("axum", runtime, &axum, store), kit);
    Ok(())
}

fn answer<'a, S>(
    name: &'static str,
    runtime: &'a tokio::runtime::Runtime,
    service: &'a S,
    request: impl Fn() -> http::Request<Body> + 'a,
) -> Side<impl FnMut(u64) + 'a>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = std::convert::Infallible> + Clone,
{
    side(name, move |count| {
        runtime.block_on(async {
            for _ in 0..count {
                std::hint::black_box(must(http1::in_memory(service.clone().oneshot(request()).await).await));
            }
        });
    })
}
