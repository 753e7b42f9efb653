//! A private certificate authority, made up on the spot.

use std::{fmt, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto::aws_lc_rs};

/// A certificate authority that nobody trusts unless told so.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// A new authority with a key of its own.
    ///
    /// # Panics
    ///
    /// When no key can be generated, which does not happen.
    pub fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("keys can be generated");
        let pem = parameters
            .self_signed(&key)
            .expect("the parameters are valid")
            .pem();
        Self {
            issuer: Issuer::new(parameters, key),
            pem,
        }
    }

    /// The authority's own certificate, as PEM: what clients are to trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a server with these names.
    ///
    /// # Panics
    ///
    /// When one is no name of a host.
    pub fn certificate(&self, names: &[&str]) -> ServerCertificate {
        self.sign(names, |_| ())
    }

    /// The same, but of a time long past.
    ///
    /// # Panics
    ///
    /// When one is no name of a host.
    pub fn expired_certificate(&self, names: &[&str]) -> ServerCertificate {
        self.sign(names, |parameters| {
            parameters.not_before = date_time_ymd(2001, 1, 1);
            parameters.not_after = date_time_ymd(2002, 1, 1);
        })
    }

    fn sign(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> ServerCertificate {
        let names: Vec<_> = names.iter().copied().map(str::to_owned).collect();
        let mut parameters = CertificateParams::new(names).expect("names of hosts");
        change(&mut parameters);
        let key = KeyPair::generate().expect("keys can be generated");
        let signed = parameters
            .signed_by(&key, &self.issuer)
            .expect("the parameters are valid");
        ServerCertificate {
            chain: vec![signed.der().clone()],
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("pem", &self.pem)
            .finish_non_exhaustive()
    }
}

/// What a server shows its clients, and the key to it.
#[derive(Debug)]
pub struct ServerCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl ServerCertificate {
    pub(super) fn into_config(self) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("the provider has usual protocols")
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)
            .expect("the key belongs to the certificate");
        Arc::new(config)
    }
}
