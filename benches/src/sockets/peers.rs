use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Subject, profile_folder};
use crate::{Failure, measure::is_test};

/// The servers that are not of this crate, as far as they are there. What is missing is left out, with a message.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    /// volo-grpc.
    pub volo: Option<Subject>,
    /// connectrpc.
    pub connectrpc: Option<Subject>,
    /// go-kit over gRPC.
    pub gokit_grpc: Option<Subject>,
    /// go-kit over HTTP.
    pub gokit_http: Option<Subject>,
    /// grpc-gateway in front of grpc-go.
    pub gateway: Option<Subject>,
}

impl Peers {
    /// Builds them; with `-- --test` takes those that were built before, so that it is quick and needs no network.
    ///
    /// # Errors
    /// When this program was not built by cargo.
    pub fn build() -> Result<Self, Failure> {
        let profile = profile_folder()?;
        let target = profile.parent().unwrap_or(&profile);
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let rust = |peer: &str| in_rust(&sources.join(peer), &target.join("peers"), peer);
        let go = in_go(&sources.join("go"), &target.join("peers-go"));
        let documented = "multi-thread, system allocator, as documented";
        Ok(Self {
            volo: rust("volo").map(|program| subject("volo-grpc", documented, program, &[], "grpc")),
            connectrpc: rust("connectrpc").map(|program| subject("connectrpc", documented, program, &[], "grpc")),
            gokit_grpc: go.as_ref().map(|folder| {
                subject("go-kit", "limiter, breaker, Prometheus", folder.join("gokit"), &["grpc"], "grpc")
            }),
            gokit_http: go.as_ref().map(|folder| {
                subject("go-kit", "limiter, breaker, Prometheus", folder.join("gokit"), &["http"], "http")
            }),
            gateway: go
                .as_ref()
                .map(|folder| subject("grpc-gateway", "and grpc-go, one process", folder.join("gateway"), &[], "http")),
        })
    }
}

fn subject(name: &str, configuration: &str, program: PathBuf, arguments: &[&str], scheme: &'static str) -> Subject {
    Subject {
        name: name.to_owned(),
        configuration: configuration.to_owned(),
        program,
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        scheme,
    }
}

fn in_rust(source: &Path, target: &Path, peer: &str) -> Option<PathBuf> {
    let program = target.join("release").join(format!("peer-{peer}"));
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.args(["build", "--quiet", "--release", "--manifest-path"]).arg(source.join("Cargo.toml"));
    command.arg("--target-dir").arg(target);
    built(peer, &mut command, &program).then_some(program)
}

fn in_go(source: &Path, target: &Path) -> Option<PathBuf> {
    let mut command = Command::new(source.join("build"));
    command.arg(target);
    built("go-kit and grpc-gateway", &mut command, &target.join("gateway")).then(|| target.to_path_buf())
}

fn built(peer: &str, command: &mut Command, program: &Path) -> bool {
    if is_test() {
        if !program.exists() {
            println!("left out: {peer}, which was not built yet");
        }
        return program.exists();
    }
    let output = command.stdin(Stdio::null()).output();
    let why = match output {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    println!("left out: {peer}, which does not build: {why}");
    false
}
