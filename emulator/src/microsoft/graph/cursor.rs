//! `$skiptoken`: base64 of a JSON object that says where the last page ended.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::{
    Engine as _,
    alphabet::STANDARD as ALPHABET,
    engine::{
        DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig,
        general_purpose::{STANDARD, STANDARD_NO_PAD},
    },
};
use serde::{Deserialize, Serialize};

use super::super::{odata, render::fraction};
use crate::time::{Ticks, instant, ticks};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The token's values, all of them text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Cursor {
    start_date: String,
    end_date: String,
    starting_recipient_address: String,
    result_size: String,
    /// Conditions other than the window; where the real token has them is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) filter: Option<String>,
    /// Makes tokens for the same page differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) turn: Option<u32>,
}

/// A token's values, understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Position {
    pub(super) start: Ticks,
    pub(super) end: Ticks,
    pub(super) recipient: String,
    pub(super) size: u32,
}

impl Cursor {
    pub(super) fn new(position: &Position, filter: Option<String>) -> Self {
        let date = |at| fraction(instant(at), true);
        Self {
            start_date: date(position.start),
            end_date: date(position.end),
            starting_recipient_address: position.recipient.clone(),
            result_size: position.size.to_string(),
            filter,
            turn: None,
        }
    }

    /// As it stands in a link.
    pub(super) fn encode(&self, padded: bool) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        if padded {
            STANDARD.encode(json)
        } else {
            STANDARD_NO_PAD.encode(json)
        }
    }

    pub(super) fn decode(text: &str) -> Result<Self, String> {
        LENIENT
            .decode(text)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or_else(|| String::from("|System.ArgumentException|The skip token is not valid."))
    }

    /// The same with each value put in quotes once more.
    pub(super) fn poisoned(&self) -> Self {
        let quoted = |text: &str| format!("\"{text}\"");
        Self {
            start_date: quoted(&self.start_date),
            end_date: quoted(&self.end_date),
            starting_recipient_address: quoted(&self.starting_recipient_address),
            result_size: quoted(&self.result_size),
            filter: self.filter.clone(),
            turn: self.turn,
        }
    }

    /// Whether this is its starting recipient.
    pub(super) fn starts_at(&self, recipient: &str) -> bool {
        self.starting_recipient_address
            .eq_ignore_ascii_case(recipient)
    }

    /// Tells tokens apart, poisoned or not.
    pub(super) fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for value in [
            &self.start_date,
            &self.end_date,
            &self.starting_recipient_address,
        ] {
            value.trim_matches('"').hash(&mut hasher);
        }
        hasher.finish()
    }

    pub(super) fn position(&self) -> Result<Position, String> {
        let date = |name: &str, text: &str| {
            odata::date(text).map(ticks).ok_or_else(|| {
                format!("Cannot process argument transformation on parameter '{name}'.")
            })
        };
        let recipient = &self.starting_recipient_address;
        let known = recipient.is_empty() || recipient.contains('@');
        let start = date("StartDate", &self.start_date)?;
        let end = date("EndDate", &self.end_date)?;
        if !known || recipient.starts_with('"') {
            return Err(refused_recipient());
        }
        Ok(Position {
            start,
            end,
            recipient: recipient.to_lowercase(),
            size: self
                .result_size
                .parse()
                .map_err(|_| String::from("ResultSize is invalid"))?,
        })
    }
}

/// The refusal of a token whose last recipient the service does not like.
pub(super) fn refused_recipient() -> String {
    String::from("|System.ArgumentException|Invalid starting recipient address")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position() -> Position {
        Position {
            start: 0,
            end: 17_904_000_000_580_000,
            recipient: String::from("user@example.com"),
            size: 1000,
        }
    }

    #[test]
    fn tokens_have_the_shape_that_others_have_decoded() {
        let cursor = Cursor::new(&position(), None);
        let json = LENIENT.decode(cursor.encode(true)).unwrap();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            concat!(
                r#"{"StartDate":"1970-01-01T00:00:00.0000000Z","#,
                r#""EndDate":"2026-09-26T05:20:00.0580000Z","#,
                r#""StartingRecipientAddress":"user@example.com","ResultSize":"1000"}"#
            )
        );
        for padded in [true, false] {
            let back = Cursor::decode(&cursor.encode(padded)).unwrap();
            assert_eq!(back.position().unwrap(), position());
        }
    }

    #[test]
    fn poisoned_tokens_are_refused_until_they_are_unwrapped() {
        let poisoned = Cursor::new(&position(), None).poisoned();
        let refusal = poisoned.position().unwrap_err();
        assert!(
            refusal.contains("Cannot process argument transformation on parameter 'StartDate'")
        );
        assert_eq!(
            poisoned.identity(),
            Cursor::new(&position(), None).identity()
        );
        assert!(Cursor::decode("!").is_err());
    }
}
