//! A certificate for an application, made up on the spot.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};

/// A self-signed certificate with its key, for tests of certificate sign-in.
///
/// `Debug` does not show the key.
#[derive(Clone)]
pub struct TestCertificate {
    /// The certificate, as PEM: what is uploaded to the application's registration.
    pub certificate: String,
    /// Its private key, as PEM (PKCS#8): what the client keeps.
    pub key: String,
}

impl TestCertificate {
    /// A new certificate with an RSA key of 2048 bits.
    ///
    /// # Panics
    ///
    /// When no key can be generated, which does not happen.
    pub fn generate() -> Self {
        Self::with(|_| {})
    }

    /// One that ends at this instant.
    ///
    /// # Panics
    ///
    /// As [`generate`](Self::generate).
    pub fn ending(end: DateTime<Utc>) -> Self {
        Self::with(|parameters| parameters.not_after = SystemTime::from(end).into())
    }

    fn with(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
            .expect("RSA keys can be generated");
        let certificate = CertificateParams::new(vec![String::from("message-trace.example")])
            .and_then(|mut parameters| {
                change(&mut parameters);
                parameters.self_signed(&key)
            })
            .expect("the parameters are valid");
        Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl std::fmt::Debug for TestCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestCertificate")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}
