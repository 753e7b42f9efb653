//! Rows that are not wanted: by sender, by recipient or by status.
//!
//! Whether a row is wanted is decided anew each time that it is read, from its text alone: a rule that is
//! taken away leaves nothing behind that would keep a row from being sent.

use std::{collections::HashMap, fmt};

use crate::{
    json::Scanner,
    reader::{Field, Known, Naming},
};

/// A list of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum List {
    /// By who has sent the message.
    Senders,
    /// By who gets it.
    Recipients,
    /// By what became of it.
    Statuses,
}

/// A rule: its list, and its place there, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// The list.
    pub list: List,
    /// The place.
    pub number: u16,
}

/// The rules that say which rows are not wanted; there is at least one.
///
/// `Debug` does not show them: they hold addresses.
#[derive(Clone)]
pub struct Exclusions {
    naming: Naming,
    senders: Addresses,
    recipients: Addresses,
    statuses: Vec<String>,
}

impl Exclusions {
    /// The rules for rows whose fields have such names; none when all lists are empty.
    ///
    /// `senders` and `recipients` hold addresses, or `*@` and a domain for all addresses of that domain, not
    /// of those below it. All is compared without regard to letter case.
    pub fn new(
        naming: Naming,
        senders: &[String],
        recipients: &[String],
        statuses: &[String],
    ) -> Option<Self> {
        let is_empty = senders.is_empty() && recipients.is_empty() && statuses.is_empty();
        (!is_empty).then(|| Self {
            naming,
            senders: Addresses::new(senders),
            recipients: Addresses::new(recipients),
            statuses: statuses.to_vec(),
        })
    }

    /// The first rule that a row falls under, in the order of the lists; none when it is wanted, or cannot
    /// be read.
    pub fn rule(&self, row: &[u8]) -> Option<Rule> {
        let text = str::from_utf8(row).ok()?;
        let mut first = None;
        Scanner::new(text).object(|scanner, name| {
            let value = scanner.value()?;
            let Field::Known(field) = (self.naming)(name) else {
                return Some(());
            };
            let find = |list, find: &dyn Fn(&str) -> Option<u16>| {
                let number = find(&value.text()?)?;
                Some(Rule { list, number })
            };
            let rule = match field {
                Known::Sender => find(List::Senders, &|text| self.senders.find(text)),
                Known::Recipient => find(List::Recipients, &|text| self.recipients.find(text)),
                Known::Status => find(List::Statuses, &|text| self.status(text)),
                _ => None,
            };
            first = [first, rule].into_iter().flatten().min();
            Some(())
        })?;
        first
    }

    /// Whether there are rules about statuses, which a row has for a while only.
    pub fn has_statuses(&self) -> bool {
        !self.statuses.is_empty()
    }

    /// The same rules in the same order have the same text, and others have another.
    pub fn text(&self) -> String {
        let Self {
            senders,
            recipients,
            statuses,
            ..
        } = self;
        format!("{:?}", (&senders.rules, &recipients.rules, statuses))
    }

    fn status(&self, text: &str) -> Option<u16> {
        let mut statuses = self.statuses.iter();
        let place = statuses.position(|status| status.eq_ignore_ascii_case(text))?;
        u16::try_from(place + 1).ok()
    }
}

impl fmt::Debug for Exclusions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exclusions")
            .field("senders", &self.senders.rules.len())
            .field("recipients", &self.recipients.rules.len())
            .field("statuses", &self.statuses)
            .finish_non_exhaustive()
    }
}

/// Rules about addresses, in lower case, found by what they are about.
#[derive(Clone, Default)]
struct Addresses {
    rules: Vec<String>,
    exact: HashMap<String, u16>,
    domains: HashMap<String, u16>,
}

impl Addresses {
    fn new(rules: &[String]) -> Self {
        let mut addresses = Self {
            rules: rules.iter().map(|rule| rule.to_lowercase()).collect(),
            ..Self::default()
        };
        for (number, rule) in (1..).zip(&addresses.rules) {
            // Of two equal rules the first counts.
            match rule.strip_prefix("*@") {
                Some(domain) => addresses.domains.entry(domain.to_owned()),
                None => addresses.exact.entry(rule.clone()),
            }
            .or_insert(number);
        }
        addresses
    }

    /// The first rule that an address falls under.
    fn find(&self, address: &str) -> Option<u16> {
        if self.rules.is_empty() {
            return None;
        }
        let address = address.to_lowercase();
        let domain = address.rsplit_once('@').map(|(_, domain)| domain);
        let exact = self.exact.get(&address);
        let by_domain = domain.and_then(|domain| self.domains.get(domain));
        exact.into_iter().chain(by_domain).min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(name: &str) -> Field {
        Field::Known(match name {
            "from" => Known::Sender,
            "to" => Known::Recipient,
            "status" => Known::Status,
            _ => return Field::Other,
        })
    }

    fn exclusions(senders: &[&str], recipients: &[&str], statuses: &[&str]) -> Option<Exclusions> {
        let owned =
            |texts: &[&str]| -> Vec<String> { texts.iter().map(|&text| text.into()).collect() };
        Exclusions::new(
            naming,
            &owned(senders),
            &owned(recipients),
            &owned(statuses),
        )
    }

    fn rule(exclusions: &Exclusions, row: &str) -> Option<(List, u16)> {
        let rule = exclusions.rule(row.as_bytes())?;
        Some((rule.list, rule.number))
    }

    #[test]
    fn addresses_domains_and_statuses_are_told_without_regard_to_case() {
        assert!(exclusions(&[], &[], &[]).is_none());
        let rules = exclusions(
            &["News@A.test", "*@b.test", "*@É.test"],
            &["*@lists.test", "bob@c.test"],
            &["delivered", "filteredAsSpam"],
        );
        let rules = rules.unwrap();
        for (row, expected) in [
            (r#"{"from":"news@a.TEST"}"#, Some((List::Senders, 1))),
            (r#"{"from":"other@a.test"}"#, None),
            (r#"{"from":"any.one@B.test"}"#, Some((List::Senders, 2))),
            (r#"{"from":"a@below.b.test"}"#, None),
            (r#"{"from":"a@notb.test"}"#, None),
            (r#"{"from":"b.test"}"#, None),
            (r#"{"from":"\"a@x\"@b.test"}"#, Some((List::Senders, 2))),
            (r#"{"from":"a\u0040\u00e9.test"}"#, Some((List::Senders, 3))),
            (r#"{"fr\u006fm":"a@b.test"}"#, Some((List::Senders, 2))),
            (
                r#"{"other":[{}],"to":"x@LISTS.test"}"#,
                Some((List::Recipients, 1)),
            ),
            (r#"{"to":"bob@c.test"}"#, Some((List::Recipients, 2))),
            (r#"{"from":"bob@c.test","to":"news@a.test"}"#, None),
            (r#"{"status":"Delivered"}"#, Some((List::Statuses, 1))),
            (
                r#"{"status":"FilteredAsSpam","to":"bob@c.test"}"#,
                Some((List::Recipients, 2)),
            ),
            (r#"{"status":"Failed"}"#, None),
            (r#"{"status":null,"from":null,"to":7}"#, None),
            ("{}", None),
            ("[]", None),
            (r#"{"from":"a@b.test""#, None),
        ] {
            assert_eq!(rule(&rules, row), expected, "{row}");
        }
        assert!(rules.has_statuses());
    }

    #[test]
    fn other_rules_have_another_text_and_none_is_shown() {
        let text = |senders: &[&str], recipients: &[&str]| {
            exclusions(senders, recipients, &[]).unwrap().text()
        };
        assert_eq!(text(&["A@x.test"], &[]), text(&["a@X.test"], &[]));
        assert_ne!(text(&["a@x.test"], &[]), text(&[], &["a@x.test"]));
        assert_ne!(
            text(&["a@x.test", "b@x.test"], &[]),
            text(&["a@x.test"], &["b@x.test"])
        );
        let rules = exclusions(&["a@x.test"], &["*@x.test"], &[]).unwrap();
        assert!(!rules.has_statuses());
        assert!(!format!("{rules:?}").contains("x.test"));
    }
}
