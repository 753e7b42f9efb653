//! A private certificate authority, made up on the spot.

use std::{fmt, sync::Arc};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig, crypto::aws_lc_rs, server::WebPkiClientVerifier,
};

use crate::TestCertificate;

/// A certificate authority that nobody trusts unless told so.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
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
        // Else it has the name of the certificates that it signs, which then look signed by themselves.
        let name = &mut parameters.distinguished_name;
        name.push(DnType::CommonName, "emulated authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("keys can be generated");
        let signed = parameters
            .self_signed(&key)
            .expect("the parameters are valid");
        Self {
            pem: signed.pem(),
            certificate: signed.into(),
            issuer: Issuer::new(parameters, key),
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

    /// A certificate that a client shows.
    ///
    /// # Panics
    ///
    /// When no key can be generated, which does not happen.
    pub fn client_certificate(&self) -> TestCertificate {
        let (signed, key) = self.issue(&["client.test"], |_| ());
        TestCertificate {
            certificate: signed.pem(),
            key: key.serialize_pem(),
        }
    }

    fn sign(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> ServerCertificate {
        let (signed, key) = self.issue(names, change);
        ServerCertificate {
            chain: vec![signed.into()],
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            asked_for: None,
        }
    }

    fn issue(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Certificate, KeyPair) {
        let names: Vec<_> = names.iter().copied().map(str::to_owned).collect();
        let mut parameters = CertificateParams::new(names).expect("names of hosts");
        change(&mut parameters);
        let key = KeyPair::generate().expect("keys can be generated");
        let signed = parameters
            .signed_by(&key, &self.issuer)
            .expect("the parameters are valid");
        (signed, key)
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
    /// Whose certificates clients must show, when they must.
    asked_for: Option<CertificateDer<'static>>,
}

impl ServerCertificate {
    /// The same for a server whose clients must show a certificate of this authority.
    #[must_use]
    pub fn asking_for(mut self, authority: &Authority) -> Self {
        self.asked_for = Some(authority.certificate.clone());
        self
    }

    pub(super) fn into_config(self) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has usual protocols");
        let builder = match self.asked_for {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority).expect("it is an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build().expect("there is an authority"))
            }
        };
        let mut config = builder
            .with_single_cert(self.chain, self.key)
            .expect("the key belongs to the certificate");
        // Real servers prefer HTTP/2: who offers it must speak it, and these servers do not.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}
