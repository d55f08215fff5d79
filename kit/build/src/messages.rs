//! The message types, which prost generates.

use std::collections::HashMap;

use prost_build::{Config, Module};

use crate::{error::Error, model::clean, source::Sources, types::Types};

/// The Rust code of each module that has types, unformatted.
pub(crate) fn generate(sources: &Sources, types: &Types, kit: &str) -> Result<HashMap<Vec<String>, String>, Error> {
    let mut config = Config::new();
    config
        .format(false)
        .prost_path(format!("{kit}::codegen::prost"))
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com")
        // The types that come with prost are among the extern paths: prost's own list can't be overridden.
        .compile_well_known_types();
    for (proto, rust) in types.externs() {
        config.extern_path(proto, rust);
    }
    let requests = sources
        .pool
        .files()
        .map(|file| {
            let mut file = file.file_descriptor_proto().clone();
            for location in file.source_code_info.iter_mut().flat_map(|info| &mut info.location) {
                location.leading_detached_comments.clear();
                for text in [&mut location.leading_comments, &mut location.trailing_comments].into_iter().flatten() {
                    *text = clean(text);
                }
            }
            // Services are not prost's business.
            file.service.clear();
            (Module::from_protobuf_package_name(file.package()), file)
        })
        .collect();
    let modules =
        config.generate(requests).map_err(|error| Error::new(format!("generating messages failed: {error}")))?;
    Ok(modules.into_iter().map(|(module, text)| (module.parts().map(str::to_owned).collect(), text)).collect())
}
