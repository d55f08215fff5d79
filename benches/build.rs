//! Generates the kit's services and their peers from the same `.proto` files.

use std::{env, error::Error, fs, path::Path};

use prost::Message as _;
use prost_types::FileDescriptorSet;

fn main() -> Result<(), Box<dyn Error>> {
    kit_build::compile(&["proto/bench.proto", "proto/press.proto"], &["proto"])?;

    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    let descriptors = fs::read(out.join("descriptors.bin"))?;
    let mut files = FileDescriptorSet::decode(descriptors.as_slice())?;
    // The annotations of other packages are nothing for the peers.
    files.file.retain(|file| matches!(file.package(), "bench" | "press"));

    // tonic's code, on the same messages.
    let tonic = out.join("tonic");
    fs::create_dir_all(&tonic)?;
    tonic_prost_build::configure()
        .out_dir(&tonic)
        .extern_path(".bench", "crate::proto::bench")
        .extern_path(".press", "crate::proto::press")
        .compile_fds(files.clone())?;

    // pbjson's code, on messages of its own: it implements serde's traits, and so does the kit.
    let pbjson = out.join("pbjson");
    fs::create_dir_all(&pbjson)?;
    prost_build::Config::new().out_dir(&pbjson).compile_fds(files)?;
    pbjson_build::Builder::new()
        .register_descriptors(&descriptors)?
        .emit_fields()
        .out_dir(&pbjson)
        .build(&[".bench"])?;
    bookinfo(&out.join("bookinfo"))
}

/// tonic's code for the two services of the demo, as they are written by hand here.
fn bookinfo(out: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(out)?;
    // For the descriptors alone, which come without `protoc`.
    kit_build::Builder::new()
        .file("../proto/details.proto")
        .include("../proto")
        .messages_only()
        .out_dir(out)
        .compile()?;
    let mut files = FileDescriptorSet::decode(fs::read(out.join("descriptors.bin"))?.as_slice())?;
    files.file.retain(|file| matches!(file.package(), "comments" | "details"));
    tonic_prost_build::configure().out_dir(out).compile_fds(files)?;
    Ok(())
}
