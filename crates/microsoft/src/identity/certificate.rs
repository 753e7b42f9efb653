//! An app's certificate with its private key, from PEM or PFX text.

use std::fmt;

use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{KeyPair as _, RSA_PSS_SHA256, RsaKeyPair},
};
use base::{Secret, pem};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use chrono::{DateTime, Utc};
use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

/// A certificate and its RSA key. `Debug` shows the thumbprint alone.
pub struct Certificate {
    key: RsaKeyPair,
    thumbprint: String,
    end: Option<DateTime<Utc>>,
}

impl Certificate {
    /// Reads PEM text that holds the certificate and its unencrypted private key, or else a PFX
    /// file in base64, with its password.
    ///
    /// # Errors
    /// When there is no such pair in it.
    pub fn read(text: &Secret, password: Option<&Secret>) -> Result<Self, CertificateError> {
        if text.expose().contains("-----BEGIN") {
            Self::from_pem(text)
        } else {
            Self::from_pfx(text, password)
        }
    }

    fn from_pem(text: &Secret) -> Result<Self, CertificateError> {
        let pem = Secret::new(pem::with_line_ends(text.expose()));
        if pem.expose().contains("ENCRYPTED") {
            return Err(CertificateError::Encrypted);
        }
        let pem = pem.expose().as_bytes();
        let key = match PrivateKeyDer::from_pem_slice(pem) {
            Ok(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            Ok(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            Ok(_) => return Err(CertificateError::NotRsa),
            Err(_) => return Err(CertificateError::NoKey),
        };
        let certificates = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CertificateError::NoCertificate)?;
        Self::new(key, certificates.iter().map(AsRef::as_ref))
    }

    fn from_pfx(text: &Secret, password: Option<&Secret>) -> Result<Self, CertificateError> {
        let text: String = text.expose().split_whitespace().collect();
        let pfx = BASE64_STANDARD
            .decode(text)
            .map_err(|_| CertificateError::Format)?;
        let password = password.map_or("", Secret::expose);
        let store = KeyStore::from_pkcs12(&pfx, password, Pkcs12ImportPolicy::Relaxed)
            .map_err(CertificateError::Pfx)?;
        let (_, chain) = store.private_key_chain().ok_or(CertificateError::NoKey)?;
        let alone = store.entries().filter_map(|(_, entry)| match entry {
            KeyStoreEntry::Certificate(certificate) => Some(certificate),
            _ => None,
        });
        let certificates = chain.certs().iter().chain(alone);
        Self::new(
            RsaKeyPair::from_pkcs8(chain.key().as_der()),
            certificates.map(p12_keystore::Certificate::as_der),
        )
    }

    /// Puts the key and the certificate that belongs to it together.
    fn new<'a>(
        key: Result<RsaKeyPair, aws_lc_rs::error::KeyRejected>,
        certificates: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, CertificateError> {
        let key = key.map_err(|_| CertificateError::NotRsa)?;
        // A certificate holds its public key in the very form in which the key gives it.
        let public = key.public_key().as_ref();
        let mut certificates = certificates.peekable();
        if certificates.peek().is_none() {
            return Err(CertificateError::NoCertificate);
        }
        let own = certificates
            .find(|der| der.windows(public.len()).any(|part| part == public))
            .ok_or(CertificateError::OtherKey)?;
        let thumbprint = digest::digest(&digest::SHA256, own);
        Ok(Self {
            thumbprint: BASE64_URL_SAFE_NO_PAD.encode(thumbprint),
            end: end(own),
            key,
        })
    }

    /// The certificate's SHA-256 in base64url: what `x5t#S256` holds.
    pub(super) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// When it ends; none when it does not say so in a form that is understood.
    pub(super) fn end(&self) -> Option<DateTime<Utc>> {
        self.end
    }

    /// The PS256 signature of a message.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CertificateError> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                &RSA_PSS_SHA256,
                &SystemRandom::new(),
                message,
                &mut signature,
            )
            .map_err(|_| CertificateError::Signing)?;
        Ok(signature)
    }
}

fn end(der: &[u8]) -> Option<DateTime<Utc>> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.thumbprint)
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Neither PEM nor base64.
    #[error("the certificate is neither PEM text nor a PFX file in base64; give one of them")]
    Format,
    /// The PFX file cannot be opened.
    #[error(
        "the PFX file of the certificate cannot be opened: its password is wrong or missing, or \
         the file is damaged"
    )]
    Pfx(#[source] p12_keystore::error::Error),
    /// The private key is encrypted PEM.
    #[error(
        "the private key of the certificate is encrypted; give it unencrypted, or as a PFX file \
         in base64 with its password"
    )]
    Encrypted,
    /// There is no private key.
    #[error("there is no private key beside the certificate; give both in one text")]
    NoKey,
    /// There is no certificate.
    #[error("there is no certificate beside the private key; give both in one text")]
    NoCertificate,
    /// Another kind of key.
    #[error(
        "the private key of the certificate is not an RSA key of 2048 to 8192 bits; Microsoft \
         Entra accepts no other"
    )]
    NotRsa,
    /// Key and certificate do not match.
    #[error("the private key does not belong to the certificate; give the key it was made with")]
    OtherKey,
    /// The signature failed.
    #[error("the private key of the certificate cannot sign; make a new certificate")]
    Signing,
}
