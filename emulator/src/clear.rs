//! What was to be hidden, and stands somewhere in clear.

use std::collections::HashSet;

use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::{Discretion, Emulator, TraceRow, time::Ticks};

/// Shorter subjects stand in any text.
const TELLING: usize = 8;

/// So many subjects are looked for: each is looked for in all of a text.
const SUBJECTS: usize = 40;

impl Emulator {
    /// An address, message id or subject of a row that stands in this text although the module was told to
    /// hide it; none when there is none. Of the subjects only some are looked for.
    pub fn in_clear(&self, text: &str) -> Option<String> {
        let now = self.ticks();
        let world = &mut *self.world();
        let discretion = &world.settings.discretion;
        if discretion.hides_nothing() {
            return None;
        }
        let mut slots = Vec::new();
        let oldest = Ticks::MIN / 2;
        world.rows.lives(oldest, now, |life| slots.push(life.slot));
        let mut hidden = Forbidden::default();
        for slot in slots {
            if let Some((_, row)) = world.rows.at(slot, now) {
                hidden.add(&row, discretion);
            }
        }
        hidden.first_in(text)
    }
}

/// What must not stand in a text.
#[derive(Default)]
struct Forbidden {
    /// In lower case.
    addresses: HashSet<String>,
    subjects: HashSet<String>,
}

impl Forbidden {
    fn add(&mut self, row: &TraceRow, discretion: &Discretion) {
        let shown = discretion.hidden(row.clone());
        let ids = [&row.message_id, &shown.message_id].map(|id| id.as_deref().unwrap_or_default());
        let inside = |id: &str| id.trim_matches(['<', '>']).to_lowercase();
        let pairs = [
            (row.sender.to_lowercase(), shown.sender.to_lowercase()),
            (row.recipient.to_lowercase(), shown.recipient.to_lowercase()),
            (inside(ids[0]), inside(ids[1])),
        ];
        let hidden = pairs.into_iter().filter(|(own, shown)| own != shown);
        self.addresses.extend(hidden.map(|(own, _)| own));
        let subject = row.subject.as_ref().filter(|own| own.len() >= TELLING);
        if let Some(own) = subject
            && shown.subject.as_ref() != Some(own)
            && self.subjects.len() < SUBJECTS
        {
            self.subjects.insert(own.clone());
        }
    }

    fn first_in(&self, text: &str) -> Option<String> {
        // As a link has it, and as a link in a link does.
        let linked = |text: &str| {
            percent_decode_str(text)
                .decode_utf8_lossy()
                .replace("''", "'")
        };
        let once = linked(text);
        let twice = linked(&once);
        let mut texts = [text, once.as_str(), twice.as_str()].into_iter();
        let address = texts.find_map(|text| self.address_in(text));
        let is_in = |own: &str| text.contains(own) || text.contains(&escaped(own));
        let mut subjects = self.subjects.iter();
        address.or_else(|| subjects.find(|own| is_in(own)).cloned())
    }

    fn address_in(&self, text: &str) -> Option<String> {
        let is_of_address = |letter: char| letter.is_alphanumeric() || ".-_+='".contains(letter);
        let parts = text.split(|letter: char| letter != '@' && !is_of_address(letter));
        let mut addresses = parts.filter(|part| part.contains('@')).flat_map(|part| {
            let bare = |part: &str| part.trim_matches(['\'', '.']).to_lowercase();
            // `name=address` is one, and so is an address with `=` in it.
            let value = part.rsplit('=').next().unwrap_or_default();
            [bare(part), bare(value)]
        });
        addresses.find(|address| self.addresses.contains(address))
    }
}

/// A text as it stands inside of a JSON string.
fn escaped(text: &str) -> String {
    json!(text).to_string().trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::{HiddenAddresses, HiddenSubject, NewRow, Options};

    #[test]
    fn what_was_to_be_hidden_is_found_in_any_text() {
        let emulator = Emulator::new(Options::default());
        let mut new = NewRow::new(DateTime::UNIX_EPOCH, "ada.o'neil1@fabrikam.example");
        new.row.sender = String::from("Bounce+5f=user@northwind.example");
        new.row.subject = Some(String::from("Invoice \"5551\""));
        emulator.add_row(new);
        let text = r#"{"to": "ada.o'neil1@fabrikam.example"}"#;
        assert_eq!(emulator.in_clear(text), None);
        emulator.configure(|settings| {
            settings.discretion.addresses = HiddenAddresses::HashExternal;
            settings.discretion.subject = HiddenSubject::Drop;
            settings.discretion.own_domains = vec![String::from("northwind.example")];
        });
        let found = |text: &str| emulator.in_clear(text);
        assert_eq!(found(text).as_deref(), Some("ada.o'neil1@fabrikam.example"));
        assert!(found("to=ADA.O'Neil1@fabrikam.example, and so on").is_some());
        assert!(found("to='ada.o'neil1@fabrikam.example'.").is_some());
        // In links: Graph's to the details of a row, and one that is part of another.
        assert!(
            found("getDetailsByRecipient(recipientAddress='ada.o''neil1%40fabrikam.example')")
                .is_some()
        );
        assert!(
            found(
                "RecipientAddress%2520eq%2520%2527ada.o%2527%2527neil1%2540fabrikam.example%2527"
            )
            .is_some()
        );
        assert!(found("about Invoice \"5551\".").is_some());
        assert!(found(r#"{"subject":"Re: Invoice \"5551\""}"#).is_some());
        assert_eq!(
            found("bounce+5f=user@northwind.example and other@fabrikam.example"),
            None
        );
    }
}
