//! Generates the service from its `.proto` file. What it uses of the comments service is that service's own.

fn main() -> Result<(), kit_build::Error> {
    kit_build::Builder::new()
        .file("../../proto/details.proto")
        .include("../../proto")
        .extern_path(".comments", "::bookcomments::proto::comments")
        .compile()
}
