//! Generates the service from its `.proto` file.

fn main() -> Result<(), kit_build::Error> {
    kit_build::compile(&["../../proto/comments.proto"], &["../../proto"])
}
