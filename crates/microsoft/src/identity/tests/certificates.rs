use aws_lc_rs::{
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PSS_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::Value;

use super::*;

const CERTIFICATE: &str = include_str!("cert.pem");
const OTHER: &str = include_str!("other.pem");
const KEY: &str = include_str!("key.pem");
const KEY_PKCS1: &str = include_str!("key-pkcs1.pem");

/// By `openssl dgst -sha256`.
const THUMBPRINT: &str = "PrhTkrcojBVRi5W9PryDjCBHjbI-SUKMimUzpFhXP4M";

fn read(text: &str, password: Option<&str>) -> Result<Certificate, CertificateError> {
    Certificate::read(&Secret::new(text), password.map(Secret::new).as_ref())
}

#[test]
fn reads_pem_in_any_order() {
    for text in [
        format!("{CERTIFICATE}{KEY}"),
        format!("{KEY_PKCS1}{CERTIFICATE}"),
        format!("{KEY}{OTHER}{CERTIFICATE}"),
        format!("{CERTIFICATE}{KEY}").replace('\n', "\\n"),
    ] {
        assert_eq!(read(&text, None).unwrap().thumbprint(), THUMBPRINT);
    }
}

#[test]
fn reads_pfx_of_either_generation() {
    for text in [
        include_str!("modern.pfx.b64"),
        include_str!("legacy.pfx.b64"),
    ] {
        assert_eq!(
            read(text, Some("hunter2")).unwrap().thumbprint(),
            THUMBPRINT
        );
        for password in [None, Some("wrong")] {
            let error = read(text, password).unwrap_err();
            assert!(matches!(error, CertificateError::Pfx(_)), "{error}");
        }
    }
}

#[test]
fn says_what_is_wrong() {
    type Check = fn(&CertificateError) -> bool;
    let short = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let encrypted = KEY.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let cases: [(String, Check); 7] = [
        ("not a certificate!".to_owned(), |e| {
            matches!(e, CertificateError::Format)
        }),
        ("AAAA".to_owned(), |e| matches!(e, CertificateError::Pfx(_))),
        (CERTIFICATE.to_owned(), |e| {
            matches!(e, CertificateError::NoKey)
        }),
        (KEY.to_owned(), |e| {
            matches!(e, CertificateError::NoCertificate)
        }),
        (format!("{KEY}{OTHER}"), |e| {
            matches!(e, CertificateError::OtherKey)
        }),
        (format!("{short}{CERTIFICATE}"), |e| {
            matches!(e, CertificateError::NotRsa)
        }),
        (format!("{encrypted}{CERTIFICATE}"), |e| {
            matches!(e, CertificateError::Encrypted)
        }),
    ];
    for (text, expected) in cases {
        let error = read(&text, None).unwrap_err();
        assert!(expected(&error), "{error:?}");
    }
}

#[test]
fn is_not_printed() {
    let certificate = read(&format!("{CERTIFICATE}{KEY}"), None).unwrap();
    assert_eq!(
        format!("{certificate:?}"),
        format!("Certificate({THUMBPRINT})")
    );
}

#[tokio::test(start_paused = true)]
async fn the_assertion_is_signed_for_the_endpoint() {
    let certificate = read(&format!("{CERTIFICATE}{KEY}"), None).unwrap();
    let fake = Fake::default();
    give(&fake, 3600, "1");
    let identity = app(Credential::Certificate(Box::new(certificate)));
    cache(&fake, identity).token().await.unwrap();
    let (name, assertion) = form(&fake.requests()[0]).pop().unwrap();
    assert_eq!(name, "client_assertion");

    let (content, signature) = assertion.rsplit_once('.').unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let der = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let own = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let verify = |key: &RsaKeyPair| {
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key.public_key().as_ref())
            .verify(content.as_bytes(), &signature)
    };
    assert!(verify(&own).is_ok());
    assert!(verify(&RsaKeyPair::generate(KeySize::Rsa2048).unwrap()).is_err());

    let part = |part: &str| -> Value {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let (header, claims) = content.split_once('.').unwrap();
    let header = part(header);
    assert_eq!(
        (&header["alg"], &header["typ"]),
        (&"PS256".into(), &"JWT".into())
    );
    assert_eq!(header["x5t#S256"], THUMBPRINT);
    let claims = part(claims);
    assert_eq!(
        claims["aud"],
        format!("https://login.test/{TENANT}/oauth2/v2.0/token")
    );
    assert_eq!(
        (&claims["iss"], &claims["sub"]),
        (&"app-id".into(), &"app-id".into())
    );
    assert_eq!(claims["nbf"], now().timestamp());
    assert_eq!(claims["exp"], now().timestamp() + 600);
    assert!(uuid::Uuid::parse_str(claims["jti"].as_str().unwrap()).is_ok());
}
