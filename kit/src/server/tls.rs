//! Certificates of a server, read again when their files change.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpStream, task::spawn_blocking, time::sleep};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
    server::TlsStream,
};

use super::ServeError;

/// Who a server is, and which clients it takes: files in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// The server's certificate, then those that lead to the authority.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// The authorities of clients: with it a client must show a certificate of theirs (mutual TLS).
    #[serde(default)]
    pub client_authority: Option<PathBuf>,
}

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);

impl ServerTls {
    pub(super) fn acceptor(&self) -> Result<Acceptor, ServeError> {
        // The dates first: what changes between the two is read again.
        let changed = self.changed();
        let current = Arc::new(ArcSwap::new(self.read()?));
        Ok(Acceptor { files: Arc::new(self.clone()), changed, current })
    }

    fn changed(&self) -> Vec<Option<SystemTime>> {
        let files = [Some(&self.certificate), Some(&self.key), self.client_authority.as_ref()];
        files.into_iter().flatten().map(|file| std::fs::metadata(file).and_then(|m| m.modified()).ok()).collect()
    }

    fn read(&self) -> Result<Arc<ServerConfig>, ServeError> {
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|e| unusable(&self.key, e))?;
        // The provider is named: two may be linked, and then rustls would not choose.
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| unusable(&self.certificate, e))?;
        let builder = match &self.client_authority {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(file)? {
                    roots.add(certificate).map_err(|e| unusable(file, e))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|e| unusable(file, e))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|e| unusable(&self.certificate, e))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn read(file: &Path) -> Result<Vec<u8>, ServeError> {
    std::fs::read(file).map_err(|e| unusable(file, e))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let found = CertificateDer::pem_slice_iter(&read(file)?).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|e| unusable(file, e))?;
    if found.is_empty() {
        return Err(unusable(file, io::Error::other("there is no certificate in it")));
    }
    Ok(found)
}

fn unusable(file: &Path, error: impl fmt::Display + Into<crate::error::Source>) -> ServeError {
    ServeError::other(format!("TLS: {} can't be used: {error}", file.display()), error)
}

/// Takes TLS connections by the newest certificates. Cheap to clone.
#[derive(Clone)]
pub(super) struct Acceptor {
    files: Arc<ServerTls>,
    /// The dates of the files that were read at the start.
    changed: Vec<Option<SystemTime>>,
    current: Arc<ArcSwap<ServerConfig>>,
}

impl Acceptor {
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.current.load_full()).accept(stream).await
    }

    /// Reads the files again when they change, until it is dropped. Aside, because files may lie on a mount that hangs: then
    /// the old certificates serve on.
    pub(super) async fn renew(self) {
        let Self { files, changed: mut known, current } = self;
        loop {
            sleep(LOOK).await;
            let (looking, before) = (Arc::clone(&files), known.clone());
            let look = move || {
                let changed = looking.changed();
                (changed != before).then(|| (changed, looking.read()))
            };
            match spawn_blocking(look).await {
                Ok(Some((changed, Ok(config)))) => {
                    tracing::info!(certificate = %files.certificate.display(), "TLS certificates read again");
                    current.store(config);
                    known = changed;
                }
                // A half-written file: the old ones serve on, and the next look tries again.
                Ok(Some((_, Err(error)))) => tracing::warn!(%error, "new TLS certificates are not used"),
                Ok(None) | Err(_) => {}
            }
        }
    }
}
