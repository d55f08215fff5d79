//! Certificates of a client.

use std::{fmt, sync::Arc};

use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::Error;

/// Whom a client trusts, and who it is: for `grpcs://` and `https://`.
///
/// There are no built-in roots: a service inside a system trusts the system's own authority.
#[derive(Clone, Default)]
pub struct ClientTls {
    authorities: Vec<u8>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    #[cfg(feature = "grpc")]
    server_name: Option<String>,
}

impl ClientTls {
    /// Trusts the authorities of a PEM text.
    pub fn new(authorities: impl Into<Vec<u8>>) -> Self {
        Self { authorities: authorities.into(), ..Self::default() }
    }

    /// Shows this certificate chain, signed with this key (both PEM): mutual TLS.
    #[must_use]
    pub fn with_identity(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some((chain.into(), key.into()));
        self
    }

    /// Expects this name in the certificate of a gRPC service, in the place of the host of the address.
    #[cfg(feature = "grpc")]
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    #[cfg(feature = "grpc")]
    pub(crate) fn to_tonic(&self) -> Result<tonic::transport::ClientTlsConfig, Error> {
        use tonic::transport::{Certificate, ClientTlsConfig, Identity};
        // tonic would find out at the first call only.
        self.to_rustls()?;
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.authorities));
        if let Some((chain, key)) = &self.identity {
            tls = tls.identity(Identity::from_pem(chain, key));
        }
        if let Some(name) = &self.server_name {
            tls = tls.domain_name(name);
        }
        Ok(tls)
    }

    #[cfg_attr(not(any(feature = "http", feature = "grpc")), allow(dead_code, reason = "a transport needs it"))]
    pub(crate) fn to_rustls(&self) -> Result<ClientConfig, Error> {
        let unusable = |what: &str, e: &dyn fmt::Display| Error::invalid_argument(format!("{what} can't be used: {e}"));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&self.authorities) {
            let certificate = certificate.map_err(|e| unusable("the certificate of an authority", &e))?;
            roots.add(certificate).map_err(|e| unusable("the certificate of an authority", &e))?;
        }
        if roots.is_empty() {
            return Err(Error::invalid_argument(
                "there is no authority to trust: give ClientTls the certificate that services are signed with",
            ));
        }
        // The provider is named: two may be linked, and then rustls would not choose.
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| unusable("the TLS settings", &e))?
            .with_root_certificates(roots);
        match &self.identity {
            None => Ok(builder.with_no_client_auth()),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
                let chain = chain.map_err(|e| unusable("the certificate of the client", &e))?;
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| unusable("the key of the client", &e))?;
                builder.with_client_auth_cert(chain, key).map_err(|e| unusable("the identity of the client", &e))
            }
        }
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("identity", &self.identity.is_some()).finish_non_exhaustive()
    }
}
