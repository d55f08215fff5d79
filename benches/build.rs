//! Generates the kit's service and its peers from one `.proto` file.

use std::{env, error::Error, fs, path::Path};

use prost::Message as _;
use prost_types::FileDescriptorSet;

fn main() -> Result<(), Box<dyn Error>> {
    kit_build::compile(&["proto/bench.proto"], &["proto"])?;

    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    let descriptors = fs::read(out.join("descriptors.bin"))?;
    let mut files = FileDescriptorSet::decode(descriptors.as_slice())?;
    // The annotations of other packages are nothing for the peers.
    files.file.retain(|file| file.package() == "bench");

    // tonic's code, on the same messages.
    let tonic = out.join("tonic");
    fs::create_dir_all(&tonic)?;
    tonic_prost_build::configure()
        .out_dir(&tonic)
        .extern_path(".bench", "crate::proto::bench")
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
    Ok(())
}
