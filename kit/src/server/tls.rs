//! Certificates of a server, read again when their files change.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use tokio::{net::TcpStream, time::Instant};
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

/// Files are looked at this often at most, when connections come.
const LOOK: Duration = Duration::from_secs(10);

impl ServerTls {
    pub(super) fn acceptor(&self) -> Result<Acceptor, ServeError> {
        let current = Current { config: self.read()?, changed: self.changed(), looked: Instant::now() };
        Ok(Acceptor { files: Arc::new(self.clone()), current: Arc::new(Mutex::new(current)) })
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

struct Current {
    config: Arc<ServerConfig>,
    changed: Vec<Option<SystemTime>>,
    looked: Instant,
}

/// Takes TLS connections by the newest certificates. Cheap to clone.
#[derive(Clone)]
pub(super) struct Acceptor {
    files: Arc<ServerTls>,
    // Held for a look at three files at most every ten seconds, never across an await.
    current: Arc<Mutex<Current>>,
}

impl Acceptor {
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.config()).accept(stream).await
    }

    fn config(&self) -> Arc<ServerConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed() >= LOOK {
            current.looked = Instant::now();
            let changed = self.files.changed();
            if changed != current.changed {
                match self.files.read() {
                    Ok(config) => {
                        tracing::info!(certificate = %self.files.certificate.display(), "TLS certificates read again");
                        (current.config, current.changed) = (config, changed);
                    }
                    // A half-written file: the old ones serve on, and the next look tries again.
                    Err(error) => tracing::warn!(%error, "new TLS certificates are not used"),
                }
            }
        }
        Arc::clone(&current.config)
    }
}
