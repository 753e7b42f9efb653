//! JSON Web Tokens: those that the emulator issues, and the parts of those that it is given.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The emulator's own key, new on every start.
pub(crate) struct SigningKey(hmac::Key);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    pub(crate) fn new() -> Self {
        let random = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
        let bytes: Vec<u8> = random.iter().flat_map(|one| *one.as_bytes()).collect();
        Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    }

    /// A token with these claims.
    pub(crate) fn issue(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "typ": "JWT", "alg": "HS256" });
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = hmac::sign(&self.0, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The claims of a token that the emulator has issued.
    pub(crate) fn verify(&self, token: &str) -> Option<Value> {
        let token = Token::read(token)?;
        hmac::verify(&self.0, token.signed.as_bytes(), &token.signature).ok()?;
        Some(token.claims)
    }
}

/// A token, taken apart but not verified.
pub(crate) struct Token<'a> {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    /// What the signature is about.
    pub(crate) signed: &'a str,
    pub(crate) signature: Vec<u8>,
}

impl<'a> Token<'a> {
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let object = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).ok();
        Some(Self {
            header: object(header)?,
            claims: object(claims)?,
            signed,
            signature: decode(signature)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_unaltered_tokens_are_accepted() {
        let key = SigningKey::new();
        let token = key.issue(&json!({ "tid": "t" }));
        assert_eq!(key.verify(&token).unwrap()["tid"], "t");
        assert!(SigningKey::new().verify(&token).is_none());
        let (claims, forged) = (URL_SAFE_NO_PAD.encode("{}"), token.split('.'));
        let parts: Vec<_> = forged.collect();
        assert!(
            key.verify(&format!("{}.{claims}.{}", parts[0], parts[2]))
                .is_none()
        );
    }
}
