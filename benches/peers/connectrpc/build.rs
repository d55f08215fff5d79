use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=../proto");
    // By protox, so that no protoc is needed.
    let files = protox::compile(["press.proto"], ["../proto"])?;
    let descriptors = std::path::Path::new(&std::env::var("OUT_DIR")?).join("press.bin");
    std::fs::write(&descriptors, files.encode_to_vec())?;
    connectrpc_build::Config::new()
        .files(&["press.proto"])
        .descriptor_set(descriptors)
        .include_file("_connectrpc.rs")
        .compile()?;
    Ok(())
}
