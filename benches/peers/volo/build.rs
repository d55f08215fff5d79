fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=../proto");
    volo_build::Builder::protobuf()
        .add_service("../proto/press.proto")
        .include_dirs(vec!["../proto".into()])
        .write()?;
    Ok(())
}
