//! Which servers are believed to be who they say.

use std::path::PathBuf;

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, version};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::SetupError;
use crate::{Secret, pem};

/// Files of authorities in the place of the system's, as for the Python module (contract C).
const BUNDLES: [&str; 2] = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

/// A certificate that is shown to servers, with its private key, as PEM text.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) certificate: String,
    pub(super) key: Secret,
}

/// Which certificate authorities are trusted, and who we say we are.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    pub(super) shown: Option<Shown>,
    /// PEM text of authorities that are trusted beside the others.
    ca_cert: Option<String>,
    /// A file with the others, and the variable that names it.
    bundle: Option<(&'static str, PathBuf)>,
}

impl Shown {
    fn parse(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), SetupError> {
        let certificate = pem::with_line_ends(&self.certificate);
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
        let chain = chain.collect::<Result<_, _>>();
        let key = Secret::new(pem::with_line_ends(self.key.expose()));
        let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes());
        match (chain, key) {
            (Ok(chain), Ok(key)) => Ok((chain, key)),
            _ => Err(SetupError::Shown),
        }
    }
}

impl Trust {
    /// The contract's `ca_cert`, and what the environment says of a bundle.
    pub(super) fn read<'a>(
        ca_cert: Option<String>,
        variable: impl Fn(&str) -> Option<&'a str>,
    ) -> Self {
        let bundle = BUNDLES
            .into_iter()
            .find_map(|name| Some((name, variable(name)?.into())));
        Self {
            shown: None,
            ca_cert: ca_cert.filter(|text| !text.trim().is_empty()),
            bundle,
        }
    }

    /// A TLS configuration with these authorities. It speaks TLS 1.2 and 1.3.
    pub(super) fn config(&self) -> Result<ClientConfig, SetupError> {
        let provider = aws_lc_rs::default_provider().into();
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(SetupError::Tls)?
            .with_root_certificates(self.roots()?);
        let mut config = match &self.shown {
            None => builder.with_no_client_auth(),
            Some(shown) => {
                let (chain, key) = shown.parse()?;
                let shown = builder.with_client_auth_cert(chain, key);
                shown.map_err(|_| SetupError::Shown)?
            }
        };
        // HTTP/2 must not be offered: this client is built without it, as pages and batches come one
        // after the other anyway.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn roots(&self) -> Result<RootCertStore, SetupError> {
        let mut roots = RootCertStore::empty();
        if let Some(text) = &self.ca_cert {
            let text = pem::with_line_ends(text);
            for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
                let certificate = certificate.map_err(|_| SetupError::Authority)?;
                roots.add(certificate).map_err(|_| SetupError::Authority)?;
            }
            if roots.is_empty() {
                return Err(SetupError::Authority);
            }
        }
        roots.add_parsable_certificates(self.others()?);
        Ok(roots)
    }

    /// A named bundle, or else the system's, or else those that come with the program.
    fn others(&self) -> Result<Vec<CertificateDer<'static>>, SetupError> {
        if let Some((variable, path)) = &self.bundle {
            let unusable = |source| SetupError::Bundle { variable, source };
            let certificates = CertificateDer::pem_file_iter(path).map_err(unusable)?;
            return certificates.collect::<Result<_, _>>().map_err(unusable);
        }
        Ok(or_bundled(rustls_native_certs::load_native_certs().certs))
    }
}

/// The system's authorities, or Mozilla's where the system, such as a bare image, has none.
fn or_bundled(system: Vec<CertificateDer<'static>>) -> Vec<CertificateDer<'static>> {
    if system.is_empty() {
        webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec()
    } else {
        system
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = include_str!("tests/cert.pem");

    fn trust(ca_cert: &str, bundle: Option<&str>) -> Trust {
        Trust::read(Some(ca_cert.to_owned()), |name| {
            bundle.filter(|_| name == "CURL_CA_BUNDLE")
        })
    }

    #[test]
    fn ca_cert_is_trusted_beside_the_others() {
        let others = trust("", None).roots().unwrap().len();
        assert!(others > 0);
        assert_eq!(trust(PEM, None).roots().unwrap().len(), others + 1);
    }

    #[test]
    fn a_system_without_authorities_gets_the_bundled_ones() {
        assert!(or_bundled(Vec::new()).len() > 50);
        let own: Vec<_> = CertificateDer::pem_slice_iter(PEM.as_bytes())
            .map(Result::unwrap)
            .collect();
        assert_eq!(or_bundled(own.clone()), own);
    }

    #[test]
    fn a_bundle_stands_in_the_place_of_the_others() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), PEM).unwrap();
        let bundle = file.path().to_str();
        assert_eq!(trust("\n", bundle).roots().unwrap().len(), 1);
        let error = trust("", Some("/no/such/file")).config().unwrap_err();
        assert!(
            error.to_string().starts_with("CURL_CA_BUNDLE must name"),
            "{error}"
        );
    }

    #[test]
    fn text_without_a_certificate_is_refused() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in ["hunter2", broken, &PEM.replace("-----END", "-----")] {
            let error = trust(text, None).config().unwrap_err();
            assert!(
                error.to_string().starts_with("ca_cert holds no usable"),
                "{error}"
            );
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
