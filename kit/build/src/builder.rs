//! The settings of a build, and the build itself.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use crate::{
    emit,
    error::Error,
    messages,
    model::{Model, Package, Service, Wanted},
    openapi,
    source::Sources,
    types::Types,
};

/// Settings for the generation of code.
///
/// ```no_run
/// fn main() -> Result<(), kit_build::Error> {
///     kit_build::Builder::new()
///         .file("proto/details.proto")
///         .include("proto")
///         // The messages of this package are generated in a crate of their own.
///         .extern_path(".comments", "::bookcomments::proto::comments")
///         .compile()
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is generated before `compile` is called"]
pub struct Builder {
    files: Vec<PathBuf>,
    includes: Vec<PathBuf>,
    out_dir: Option<PathBuf>,
    externs: Vec<(String, String)>,
    kit: String,
    messages_only: bool,
    walk_externs: bool,
    own: Vec<String>,
    api: Api,
}

/// What OpenAPI documents say of the API.
#[derive(Clone, Debug, Default)]
struct Api {
    title: Option<String>,
    version: Option<String>,
    servers: Vec<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// No files yet, and the settings that [`compile`](crate::compile) uses.
    pub fn new() -> Self {
        Self {
            files: Vec::new(),
            includes: Vec::new(),
            out_dir: None,
            externs: Vec::new(),
            kit: "::kit".to_owned(),
            messages_only: false,
            walk_externs: false,
            own: Vec::new(),
            api: Api::default(),
        }
    }

    /// Adds a file whose services and messages are generated. Relative paths start at the package's folder.
    pub fn file(mut self, file: impl AsRef<Path>) -> Self {
        self.files.push(file.as_ref().to_owned());
        self
    }

    /// Adds a folder in which imports are found, those added first before others. Every file must be in one of them.
    ///
    /// `google/protobuf`, `google/rpc`, `buf/validate` and what services need of `google/api` are always found; a file of the same
    /// name in one of the folders is used instead.
    pub fn include(mut self, folder: impl AsRef<Path>) -> Self {
        self.includes.push(folder.as_ref().to_owned());
        self
    }

    /// Sets the folder to write to. The default is cargo's `OUT_DIR`, where `kit::include_protos!` looks.
    pub fn out_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.out_dir = Some(folder.as_ref().to_owned());
        self
    }

    /// Uses types that exist elsewhere: those of a package (`".comments"`) or one of them (`".comments.Comment"`).
    ///
    /// They must implement `kit::Message`, as those do that `kit_build` generated in another crate.
    ///
    /// ```
    /// let builder = kit_build::Builder::new().extern_path(".comments", "::bookcomments::proto::comments");
    /// # let _ = builder;
    /// ```
    pub fn extern_path(mut self, proto: impl Into<String>, rust: impl Into<String>) -> Self {
        self.externs.push((proto.into(), rust.into()));
        self
    }

    /// Sets the path by which generated code reaches the kit, for crates that re-export it. The default is `::kit`.
    ///
    /// ```
    /// let builder = kit_build::Builder::new().crate_path("::platform::kit");
    /// # let _ = builder;
    /// ```
    pub fn crate_path(mut self, path: impl Into<String>) -> Self {
        self.kit = path.into();
        self
    }

    /// Generates messages and enums only, without services.
    ///
    /// ```
    /// let builder = kit_build::Builder::new().file("proto/types.proto").include("proto").messages_only();
    /// # let _ = builder;
    /// ```
    pub fn messages_only(mut self) -> Self {
        self.messages_only = true;
        self
    }

    /// Sets the title of the OpenAPI documents. The default is the name of the package.
    ///
    /// ```
    /// let builder = kit_build::Builder::new().api_title("Books").api_version("2.1.0").api_server("https://books.example");
    /// # let _ = builder;
    /// ```
    pub fn api_title(mut self, title: impl Into<String>) -> Self {
        self.api.title = Some(title.into());
        self
    }

    /// Sets the version of the API in the OpenAPI documents. The default is the version of the crate.
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api.version = Some(version.into());
        self
    }

    /// Adds a base URL to the OpenAPI documents. Without one, it is where the document was fetched from.
    pub fn api_server(mut self, url: impl Into<String>) -> Self {
        self.api.servers.push(url.into());
        self
    }

    /// Implements `kit::Message` for types of the given files that exist elsewhere; only the kit itself may do that.
    #[doc(hidden)]
    pub fn implement_extern(mut self) -> Self {
        self.walk_externs = true;
        self
    }

    /// Generates types that otherwise come with the kit; only the kit itself may do that.
    #[doc(hidden)]
    pub fn own_types(mut self, proto: impl Into<String>) -> Self {
        self.own.push(proto.into());
        self
    }

    /// Generates.
    ///
    /// # Errors
    /// Everything that is wrong with the files, each with its place.
    pub fn compile(&self) -> Result<(), Error> {
        let out_dir = self.find_out_dir()?;
        let sources = Sources::load(&self.files, &self.includes)?;
        announce(&sources);
        for (name, content) in self.generate(&sources)? {
            write(&out_dir.join(name), &content)?;
        }
        Ok(())
    }

    /// The names and contents of the files to write.
    fn generate(&self, sources: &Sources) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let inside = self.kit == "crate";
        let cx = emit::Context::new(&self.kit, (!inside).then_some(env!("CARGO_PKG_VERSION")))?;
        let types = Types::new(&self.kit, &self.externs, &self.own, &sources.pool)?;
        let wanted = Wanted { messages_only: self.messages_only, externs: self.walk_externs };
        let model = Model::new(sources, types, wanted)?;
        let mut types = messages::generate(sources, &model.types, &self.kit)?;
        let mut files = Vec::new();
        for package in &model.packages {
            let stem = package.file_stem();
            let openapi = format!("{stem}.openapi.json");
            let types = types.remove(&package.module).unwrap_or_default();
            let rest = emit::package(&cx, package, &openapi)?;
            files.push((format!("{stem}.rs"), emit::assemble(package, &types, rest)?.into_bytes()));
            if !package.services.is_empty() {
                files.push((openapi, self.document(package).into_bytes()));
            }
        }
        files.push(("protos.rs".to_owned(), emit::module_tree(&model.packages)?.into_bytes()));
        files.push(("descriptors.bin".to_owned(), sources.encoded.clone()));
        Ok(files)
    }

    fn document(&self, package: &Package) -> String {
        let version = || env::var("CARGO_PKG_VERSION").unwrap_or_else(|_| "0.0.0".to_owned());
        let info = openapi::Info {
            title: self.api.title.clone().unwrap_or_else(|| package.name.clone()),
            version: self.api.version.clone().unwrap_or_else(version),
            description: None,
            servers: self.api.servers.clone(),
        };
        let service = |service: &Service| openapi::Service {
            descriptor: service.descriptor.clone(),
            methods: service.methods.iter().map(|m| (m.descriptor.clone(), m.rules.clone())).collect(),
        };
        let services: Vec<_> = package.services.iter().map(service).collect();
        format!("{:#}\n", openapi::document(&info, &services))
    }

    fn find_out_dir(&self) -> Result<PathBuf, Error> {
        if let Some(folder) = &self.out_dir {
            return Ok(folder.clone());
        }
        env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| {
            Error::new("OUT_DIR is not set: call kit_build in a build script, or say where to write with `out_dir`")
        })
    }
}

/// Tells cargo which files the generated code depends on; only a build script has an `OUT_DIR`.
fn announce(sources: &Sources) {
    if env::var_os("OUT_DIR").is_none() {
        return;
    }
    let mut out = std::io::stdout().lock();
    for path in sources.read() {
        // Cargo that does not listen is no reason to fail.
        let _ = writeln!(out, "cargo:rerun-if-changed={}", path.display());
    }
}

/// Writes a file unless it has that content: a new date would make cargo compile everything behind it.
fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    fs::write(path, content).map_err(|error| Error::new(format!("{}: can't be written: {error}", path.display())))
}
