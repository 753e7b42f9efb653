//! Hides secrets in texts before they leave.

use std::{
    borrow::Cow,
    sync::{PoisonError, RwLock},
};

use crate::Secret;

/// Shorter values are not hidden: they would tear ordinary words apart.
const SHORTEST: usize = 4;

/// The values to hide, longest first, so that a value inside another one leaves nothing behind.
#[derive(Default)]
pub(super) struct Masks(RwLock<Vec<Secret>>);

impl Masks {
    /// Hides a value from now on, also in the spellings it has inside JSON and URLs.
    pub(super) fn hide(&self, value: &str) {
        let json = serde_json::Value::from(value).to_string();
        let escaped = json.trim_matches('"');
        let encoded =
            percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
        let form: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let mut hidden = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for spelling in [value, value.trim(), escaped, &encoded.to_string(), &form] {
            let known = hidden.iter().any(|secret| secret.expose() == spelling);
            if spelling.len() >= SHORTEST && !known {
                hidden.push(Secret::new(spelling));
            }
        }
        hidden.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
    }

    /// The text with every hidden value replaced by `***`.
    pub(super) fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let hidden = self.0.read().unwrap_or_else(PoisonError::into_inner);
        hidden.iter().fold(Cow::Borrowed(text), |text, secret| {
            if text.contains(secret.expose()) {
                Cow::Owned(text.replace(secret.expose(), "***"))
            } else {
                text
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_every_spelling() {
        let masks = Masks::default();
        masks.hide("pa\"ss wörd/1");
        masks.hide("pa\"ss");
        masks.hide("key");
        for text in [
            "x pa\"ss wörd/1 y",
            r#"x pa\"ss wörd/1 y"#,
            "x pa%22ss%20w%C3%B6rd%2F1 y",
            "x pa%22ss+w%C3%B6rd%2F1 y",
            "x pa\"ss y",
        ] {
            assert_eq!(masks.apply(text), "x *** y");
        }
        assert_eq!(masks.apply("a monkey"), "a monkey");
    }
}
