//! TLS and mutual TLS, with certificates that are made for each test.

use std::path::{Path, PathBuf};

use kit::{
    Code, Context, Error,
    client::{Channel, ClientConfig, ClientTls},
    server::{CoresConfig, RuntimeKind, Server, ServerConfig, ServerTls},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::{
    calls,
    chat::proto::chat::{Chat, ChatClient, CountRequest},
    support::{Log, Running, line, saying, soon},
};

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.join(name);
        std::fs::write(&file, text).unwrap();
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key.
    fn sign(&self, name: &str) -> (rcgen::Certificate, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key.serialize_pem())
    }
}

/// A server that tells the callers how many certificates they showed, and their bytes.
async fn serve(folder: &Folder, authority: &Authority, clients: Option<&Authority>) -> Running {
    serve_on(ServerConfig::default(), folder, authority, clients).await
}

async fn serve_on(
    config: ServerConfig,
    folder: &Folder,
    authority: &Authority,
    clients: Option<&Authority>,
) -> Running {
    let (certificate, key) = authority.sign("localhost");
    let tls = ServerTls {
        certificate: folder.write("server.pem", &certificate.pem()),
        key: folder.write("server.key", &key),
        client_authority: clients.map(|clients| folder.write("clients.pem", &clients.pem())),
    };
    let endpoints = saying(|cx, _| async move { Ok(line(&format!("{:?}", cx.peer().unwrap().certificates))) });
    Running::start(Server::new().config(config).service(&endpoints).tls(tls)).await
}

/// A client for each transport.
fn clients(server: &Running, tls: &ClientTls) -> [ChatClient; 2] {
    ["grpcs", "https"].map(|scheme| {
        let port = if scheme == "grpcs" { server.grpc.port() } else { server.http.port() };
        let config = ClientConfig { tls: Some(tls.clone()), ..ClientConfig::default() };
        ChatClient::new(&Channel::with_config(&format!("{scheme}://localhost:{port}"), &config).unwrap())
    })
}

async fn say(client: &ChatClient) -> Result<String, Error> {
    Ok(soon(client.say(&Context::background(), line(""))).await?.text)
}

#[tokio::test]
async fn both_transports_by_tls() {
    let per_core = ServerConfig {
        runtime: RuntimeKind::ThreadPerCore,
        cores: CoresConfig { threads: 2.try_into().ok(), ..CoresConfig::default() },
        ..ServerConfig::default()
    };
    for config in [ServerConfig::default(), per_core] {
        let (folder, authority) = (Folder::new("both"), Authority::new());
        let server = serve_on(config, &folder, &authority, None).await;
        for client in clients(&server, &ClientTls::new(authority.pem())) {
            assert_eq!(say(&client).await.unwrap(), "[]");
            let mut numbers = client.count(&Context::background(), CountRequest { to: 2 }).await.unwrap();
            assert_eq!(calls::all(&mut numbers).await.unwrap(), ["1", "2"]);
        }
        // Without TLS nothing is answered.
        for url in [server.grpc_url(), server.http_url()] {
            let client = ChatClient::new(&Channel::new(&url).unwrap());
            assert_eq!(say(&client).await.unwrap_err().code(), Code::Unavailable, "{url}");
        }
        soon(server.stopped()).await.unwrap();
    }
}

#[tokio::test]
async fn another_authority_is_not_trusted() {
    let (folder, authority) = (Folder::new("other"), Authority::new());
    let server = serve(&folder, &authority, None).await;
    for client in clients(&server, &ClientTls::new(Authority::new().pem())) {
        let error = say(&client).await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
        assert!(error.to_log().to_string().to_lowercase().contains("certificate"), "{}", error.to_log());
    }
    // The name must fit, too: the certificate is for localhost.
    let tls = ClientTls::new(authority.pem());
    for (scheme, port) in [("grpcs", server.grpc.port()), ("https", server.http.port())] {
        let config = ClientConfig { tls: Some(tls.clone()), ..ClientConfig::default() };
        let channel = Channel::with_config(&format!("{scheme}://127.0.0.1:{port}"), &config).unwrap();
        assert_eq!(say(&ChatClient::new(&channel)).await.unwrap_err().code(), Code::Unavailable, "{scheme}");
    }
    let named = ClientConfig { tls: Some(tls.with_server_name("localhost")), ..ClientConfig::default() };
    let channel = Channel::with_config(&format!("grpcs://127.0.0.1:{}", server.grpc.port()), &named).unwrap();
    assert_eq!(say(&ChatClient::new(&channel)).await.unwrap(), "[]");
}

#[tokio::test]
async fn mutual_tls() {
    let (folder, authority, people) = (Folder::new("mutual"), Authority::new(), Authority::new());
    let server = serve(&folder, &authority, Some(&people)).await;
    let (certificate, key) = people.sign("wu");
    let known = ClientTls::new(authority.pem()).with_identity(certificate.pem(), key);
    for client in clients(&server, &known) {
        assert_eq!(say(&client).await.unwrap(), format!("{:?}", [certificate.der().to_vec()]));
    }
    let (stranger, key) = Authority::new().sign("wu");
    let nobody = ClientTls::new(authority.pem());
    for tls in [nobody.clone(), nobody.with_identity(stranger.pem(), key)] {
        for client in clients(&server, &tls) {
            assert_eq!(say(&client).await.unwrap_err().code(), Code::Unavailable);
        }
    }
    for client in clients(&server, &known) {
        say(&client).await.unwrap();
    }
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_named() {
    let (folder, authority) = (Folder::new("broken"), Authority::new());
    let (certificate, key) = authority.sign("localhost");
    let (_, other_key) = authority.sign("localhost");
    let certificate = folder.write("server.pem", &certificate.pem());
    let key = folder.write("server.key", &key);
    let empty = folder.write("empty.pem", "");
    let broken = folder.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    let missing = folder.0.join("missing.pem");
    let other_key = folder.write("other.key", &other_key);
    for (tls, named) in [
        (ServerTls { certificate: missing.clone(), key: key.clone(), client_authority: None }, "missing.pem"),
        (ServerTls { certificate: empty.clone(), key: key.clone(), client_authority: None }, "empty.pem"),
        (ServerTls { certificate: broken.clone(), key: key.clone(), client_authority: None }, "broken.pem"),
        (ServerTls { certificate: certificate.clone(), key: missing.clone(), client_authority: None }, "missing.pem"),
        (ServerTls { certificate: certificate.clone(), key: empty.clone(), client_authority: None }, "empty.pem"),
        (ServerTls { certificate: certificate.clone(), key: other_key, client_authority: None }, "server.pem"),
        (ServerTls { certificate, key, client_authority: Some(empty) }, "empty.pem"),
    ] {
        let error = Server::new().http("127.0.0.1:0").tls(tls).bind().await.unwrap_err();
        assert!(error.to_string().contains(named), "{error} does not name {named}");
    }
    let client = |tls: ClientTls| {
        let config = ClientConfig { tls: Some(tls), ..ClientConfig::default() };
        ["grpcs://localhost:1", "https://localhost:1"].map(|url| Channel::with_config(url, &config).map(drop))
    };
    let (pem, wrong) = (authority.pem(), "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    for tls in [ClientTls::new(wrong), ClientTls::new(""), ClientTls::new(pem).with_identity("", "")] {
        for result in client(tls) {
            assert_eq!(result.unwrap_err().code(), Code::InvalidArgument);
        }
    }
}

/// New files are used for new connections; while they are broken, the old ones are.
#[tokio::test]
async fn replaced_certificates_are_picked_up() {
    let (folder, old, new) = (Folder::new("replaced"), Authority::new(), Authority::new());
    let server = serve(&folder, &old, None).await;
    let [by_old, _] = clients(&server, &ClientTls::new(old.pem()));
    say(&by_old).await.unwrap();
    let touch = |file: &Path, seconds: u64| {
        // The date says that a file has changed: two writes may be in one tick of a coarse clock.
        let date = std::time::SystemTime::now() + std::time::Duration::from_secs(seconds);
        std::fs::File::options().append(true).open(file).unwrap().set_modified(date).unwrap();
    };
    let log = Log::start();
    let place = folder.0.display().to_string();
    touch(&folder.write("server.pem", "half writ"), 10);
    pass().await;
    log.wait_for("new TLS certificates are not used", &place).await;
    let [still_old, _] = clients(&server, &ClientTls::new(old.pem()));
    say(&still_old).await.unwrap();

    let (certificate, key) = new.sign("localhost");
    touch(&folder.write("server.pem", &certificate.pem()), 20);
    touch(&folder.write("server.key", &key), 20);
    pass().await;
    log.wait_for("TLS certificates read again", &place).await;
    for client in clients(&server, &ClientTls::new(new.pem())) {
        say(&client).await.unwrap();
    }
    for client in clients(&server, &ClientTls::new(old.pem())) {
        assert_eq!(say(&client).await.unwrap_err().code(), Code::Unavailable);
    }
    // The connection that was there stays.
    say(&by_old).await.unwrap();
}

/// Files are looked at every ten seconds. The clock is only stopped for this, because it jumps ahead of sockets.
async fn pass() {
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    tokio::time::resume();
}

/// Certificates may lie on a mount that hangs. They were read on a thread that serves, and it hung with it.
#[tokio::test]
async fn files_that_cannot_be_read_just_now_hold_no_handshake_up() {
    let (folder, authority) = (Folder::new("hangs"), Authority::new());
    let server = serve(&folder, &authority, None).await;
    let pipe = folder.0.join("server.pem");
    std::fs::remove_file(&pipe).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(std::process::Command::new("touch").args(["-d", "1 minute"]).arg(&pipe).status().unwrap().success());
    pass().await;
    // A pipe can be opened for writing when somebody reads from it, and who reads waits until it is closed.
    let writing = tokio::task::spawn_blocking(move || std::fs::File::options().write(true).open(pipe).unwrap());
    let writing = soon(writing).await.unwrap();
    for client in clients(&server, &ClientTls::new(authority.pem())) {
        say(&client).await.unwrap();
    }
    drop(writing);
    soon(server.stopped()).await.unwrap();
}
