//! What of rows a person does not want to leave.

use base::Secret;
use microsoft::exposure;
use rows::privacy::{Addresses, KeyedHasher, Privacy, Subjects};
use sekoia::RunError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::words::counted;

/// What a person fills in; bounds and defaults are in the manifests.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Hiding {
    #[serde(flatten)]
    pub(super) hidden: Hidden,
    own_domains: Vec<String>,
    hash_key: Option<Secret>,
}

/// What becomes of subjects and addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hidden {
    subject: Subjects,
    addresses: Address,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Address {
    #[default]
    Keep,
    HashExternal,
    Hash,
}

impl Hiding {
    /// What hides it; none when all stays as it is. An error when the settings do not fit together.
    pub(super) fn privacy(&self) -> Result<Option<Privacy>, RunError> {
        let Hidden { subject, addresses } = self.hidden;
        let hashing = match (subject, addresses) {
            (_, Address::Hash) => Some("`addresses` `hash`"),
            (_, Address::HashExternal) => Some("`addresses` `hash_external`"),
            (Subjects::Hash, Address::Keep) => Some("`subject` `hash`"),
            (Subjects::Keep | Subjects::Drop, Address::Keep) => None,
        };
        if let (Some(hashing), None) = (hashing, &self.hash_key) {
            return Err(RunError::configuration(format!(
                "hash_key is missing, which {hashing} needs: write a secret text of at least 16 characters, \
                 such as `openssl rand -hex 32` makes, the same wherever hashes are to be compared \
                 (docs/privacy.md)"
            )));
        }
        if addresses == Address::HashExternal && self.own_domains.is_empty() {
            return Err(RunError::configuration(
                "own_domains is empty, which `addresses` `hash_external` needs: write the domains of the \
                 organization, whose addresses stay as they are (docs/privacy.md)",
            ));
        }
        let addresses = match addresses {
            Address::Keep => Addresses::Keep,
            Address::HashExternal => Addresses::hash_external(&self.own_domains),
            Address::Hash => Addresses::Hash,
        };
        Ok(Privacy::new(exposure, subject, addresses, self.hasher()))
    }

    fn hasher(&self) -> Option<KeyedHasher> {
        let key = self.hash_key.as_ref()?;
        KeyedHasher::new(key.expose().as_bytes())
    }

    /// What is hidden, for people and for machines; none when all stays as it is.
    pub(super) fn told(&self) -> Option<(String, Value)> {
        if self.hidden.keeps_all() {
            return None;
        }
        let Hidden { subject, addresses } = self.hidden;
        let fingerprint = self.hasher().map(|hasher| hasher.fingerprint());
        let mut text = self.hidden.sentence();
        if addresses == Address::HashExternal {
            let domains = counted(self.own_domains.len() as u64, "own domain");
            text += &format!(" but those of {domains}");
        }
        if let Some(fingerprint) = &fingerprint {
            text += &format!(", with the hash_key of the fingerprint {fingerprint}");
        }
        if subject == Subjects::Keep {
            text += "; an address in a subject leaves with it";
        }
        let facts = json!({
            "subject": subject,
            "addresses": addresses,
            "own_domains": self.own_domains.len(),
            "hash_key_fingerprint": fingerprint,
        });
        Some((text, facts))
    }
}

/// What is hidden, as labels of a metric.
pub(super) type HiddenLabels = [(&'static str, &'static str); 2];

impl Hidden {
    pub(super) fn keeps_all(self) -> bool {
        self == Self::default()
    }

    /// What becomes of subjects, and of addresses: in the word of the setting, and in a sentence.
    fn words(self) -> [(&'static str, &'static str); 2] {
        let subjects = match self.subject {
            Subjects::Keep => ("keep", "subjects stay"),
            Subjects::Drop => ("drop", "subjects are left out"),
            Subjects::Hash => ("hash", "subjects are hashed"),
        };
        let addresses = match self.addresses {
            Address::Keep => ("keep", "addresses stay"),
            Address::HashExternal => ("hash_external", "external addresses are hashed"),
            Address::Hash => ("hash", "addresses are hashed"),
        };
        [subjects, addresses]
    }

    pub(super) fn labels(self) -> HiddenLabels {
        let [(subject, _), (addresses, _)] = self.words();
        [("subject", subject), ("addresses", addresses)]
    }

    pub(super) fn sentence(self) -> String {
        let [(_, subjects), (_, addresses)] = self.words();
        format!("{subjects}, {addresses}")
    }
}

#[cfg(test)]
mod tests {
    use base::http::chain;

    use super::*;

    fn hiding(changes: Value) -> Hiding {
        let mut settings = json!({"subject": "keep", "addresses": "keep", "own_domains": []});
        for (name, value) in changes.as_object().unwrap() {
            settings[name] = value.clone();
        }
        serde_json::from_value(settings).unwrap()
    }

    #[test]
    fn settings_that_do_not_fit_together_say_what_to_do() {
        for (changes, said) in [
            (
                json!({"subject": "hash"}),
                "hash_key is missing, which `subject` `hash` needs",
            ),
            (
                json!({"addresses": "hash"}),
                "hash_key is missing, which `addresses` `hash` needs",
            ),
            (
                json!({"addresses": "hash_external", "hash_key": "0123456789abcdef"}),
                "own_domains is empty",
            ),
        ] {
            let error = hiding(changes).privacy().unwrap_err();
            assert!(chain(&error).contains(said), "{error:?}");
        }
        assert!(hiding(json!({})).privacy().unwrap().is_none());
        assert!(
            hiding(json!({"subject": "drop"}))
                .privacy()
                .unwrap()
                .is_some()
        );
        let both = json!({"addresses": "hash_external", "hash_key": "0123456789abcdef", "own_domains": ["a.test"]});
        assert!(hiding(both).privacy().unwrap().is_some());
    }

    #[test]
    fn what_is_hidden_is_told_without_the_key() {
        assert_eq!(hiding(json!({})).told(), None);
        let secret = "a key that nobody knows";
        let settings = json!({"subject": "hash", "addresses": "hash_external", "hash_key": secret,
            "own_domains": ["contoso.test"]});
        let (text, facts) = hiding(settings).told().unwrap();
        assert!(
            text.starts_with(
                "subjects are hashed, external addresses are hashed but those of 1 own domain, with \
                 the hash_key of the fingerprint "
            ),
            "{text}"
        );
        assert_eq!(facts["hash_key_fingerprint"].as_str().unwrap().len(), 8);
        assert!(!format!("{text}{facts}").contains(secret));
        let (text, _) = hiding(json!({"addresses": "hash", "hash_key": secret}))
            .told()
            .unwrap();
        assert!(text.contains("an address in a subject"), "{text}");
    }
}
