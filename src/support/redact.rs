//! What a bug report needs of a text, without what identifies people, mails, or the organization.

use std::collections::{BTreeMap, HashSet};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex::{Captures, Regex};
use sekoia::Concealer;
use serde_json::{Map, Value};

/// Shorter values are not looked for: they are parts of ordinary words.
const SHORTEST: usize = 4;

/// Names that are looked for at most; the first count.
const MOST_NAMES: usize = 20_000;

/// Longer words are no words, but tokens, keys, or contents.
const LONGEST_WORD: usize = 80;

/// Members of state files whose values are sentences. Other texts there are dates, ids, hashes and words of
/// the formats.
const SENTENCES: [&str; 5] = ["text", "said", "sentence", "reason", "words"];

/// Takes out of texts what must not leave the organization, and counts it.
pub(super) struct Redactor {
    concealer: Concealer,
    /// Patterns, each with what takes its place.
    rules: Vec<(Regex, &'static str)>,
    /// Texts of the organization: names of the tenant and of the account, and what dead letters hold.
    names: Vec<(String, &'static str)>,
    /// The same in small letters: thousands of dead letters may have one subject.
    known: HashSet<String>,
    /// Finds them; none until it is made for all of them.
    finder: Option<AhoCorasick>,
    quotes: Regex,
    codes: Regex,
    token: Regex,
    counts: BTreeMap<&'static str, u64>,
}

impl Redactor {
    /// One that knows the secrets of the configuration, and no name of the organization yet.
    pub(super) fn new(concealer: Concealer) -> Result<Self, regex::Error> {
        let rules = [
            // The contract wants the key of the intake as a label.
            (r#"intake_key="[^"*][^"]*""#, "intake_key=\"***\""),
            (r"(?i)\b(bearer|basic) [A-Za-z0-9+/=._~-]{8,}", "***"),
            (r"\beyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*", "***"),
            // Without its sign, what is left is no address.
            (r"://[^/\s@]*@", "://<credentials> "),
            // What a row says of itself, where an answer is quoted: `"Subject":"..."`, perhaps cut off.
            (
                r#"(?i)\\*"(message)?(subject|sender|recipient|from|to|sendername|recipientname|\w*address|\w*ip)\\*"\s*:\s*\\*"([^"\\]|\\[^"])*"#,
                "<a part of a row>",
            ),
            (
                r"(?i)[^\s@<>()\[\]{},;:=&?/|]+(@|%40)[^\s@<>()\[\]{}',;=&?/|]*[^\s@<>()\[\]{}',;:.=&?/|]",
                "<address>",
            ),
            (
                r"(?i)\b[a-z0-9-]+(\.[a-z0-9-]+)*\.(partner\.)?onmicrosoft\.(com|us|de|cn)\b",
                "<tenant>",
            ),
        ];
        let rules = rules.into_iter();
        let rules = rules.map(|(pattern, instead)| Ok((Regex::new(pattern)?, instead)));
        Ok(Self {
            concealer,
            rules: rules.collect::<Result<_, regex::Error>>()?,
            names: Vec::new(),
            known: HashSet::new(),
            finder: None,
            // From here on, an entry of the log may quote what a server has said.
            quotes: Regex::new(
                r#"(?s)(\bsays: |\banswers \d{3} [A-Za-z' <>-]{0,40}(?:\(|with ")|\btitled "|\bit is markup \(|\brefuses each event of a request: |\bcannot be delivered \()(.*)$"#,
            )?,
            codes: Regex::new(
                r"\bAADSTS\d+\b|\b[A-Z]{2,}(?:_[A-Z]+)+\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
            )?,
            token: Regex::new(r"^[A-Za-z0-9_.:+/=-]*$")?,
            counts: BTreeMap::new(),
        })
    }

    /// From now on this value is taken out, in whichever case, and also as a part of longer words.
    pub(super) fn hide(&mut self, value: &str, instead: &'static str) {
        let value = value.trim();
        let is_wanted = value.chars().count() >= SHORTEST && self.names.len() < MOST_NAMES;
        if is_wanted && self.known.insert(value.to_ascii_lowercase()) {
            self.names.push((value.to_owned(), instead));
            self.finder = None;
        }
    }

    fn without_names(&mut self, text: String) -> String {
        if self.finder.is_none() {
            let finder = AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .match_kind(MatchKind::LeftmostLongest)
                // A sender chooses the subject: of one letter again and again, a table of all steps takes
                // time by the square of its length, and this one by the length.
                .kind(Some(AhoCorasickKind::NoncontiguousNFA))
                .build(self.names.iter().map(|(name, _)| name));
            self.finder = finder.ok();
        }
        let Some(finder) = &self.finder else {
            // Without it, nothing is certain to be free of them.
            return "<left out>".to_owned();
        };
        let mut found = 0;
        let mut left = String::new();
        finder.replace_all_with(&text, &mut left, |one, _, left| {
            found += 1;
            let instead = self.names.get(one.pattern().as_usize());
            left.push_str(instead.map_or("<name>", |(_, instead)| instead));
            true
        });
        self.count("names of the tenant and the account, and subjects", found);
        left
    }

    /// A text of servers, files or the log as it may leave.
    pub(super) fn text(&mut self, text: &str) -> String {
        let text = self.own(text);
        self.without_long_words(&text)
    }

    /// The same for a text that this program has made, which may have long words.
    pub(super) fn own(&mut self, text: &str) -> String {
        let hidden = self.concealer.apply(text);
        // A secret may have asterisks itself.
        let before = text.matches("***").count();
        let secrets = hidden.matches("***").count().saturating_sub(before);
        self.count("secrets", secrets);
        let mut text = self.without_quotes(&hidden);
        let mut found = 0;
        for (regex, instead) in &self.rules {
            let changed = regex.replace_all(&text, |_: &Captures<'_>| {
                found += 1;
                *instead
            });
            text = changed.into_owned();
        }
        self.count("mail addresses, domains, tokens, and parts of rows", found);
        // After the addresses: without its domain, an address would be no more one.
        self.without_names(text)
    }

    /// What a server has said may repeat what it was sent: only its codes and ids stay.
    fn without_quotes(&mut self, text: &str) -> String {
        let mut found = 0;
        let short = self.quotes.replace_all(text, |quote: &Captures<'_>| {
            let part = |index| quote.get(index).map_or("", |part| part.as_str());
            let (lead, said) = (part(1), part(2));
            let codes: Vec<&str> = self.codes.find_iter(said).map(|one| one.as_str()).collect();
            if codes.join(" ") == said.trim() {
                return format!("{lead}{said}");
            }
            found += 1;
            let codes = codes.join(" ");
            let space = if codes.is_empty() { "" } else { " " };
            let left = said.chars().count();
            format!("{lead}{codes}{space}<{left} characters of the answer left out>")
        });
        let short = short.into_owned();
        self.count(
            "quoted answers of servers, but for their codes and ids",
            found,
        );
        short
    }

    fn without_long_words(&mut self, text: &str) -> String {
        let mut found = 0;
        let words = text.split_inclusive(char::is_whitespace);
        let words = words.map(|part| {
            let (word, blank) = part.split_at(part.trim_end().len());
            if word.len() <= LONGEST_WORD {
                return part.to_owned();
            }
            found += 1;
            format!("<{} bytes left out>{blank}", word.len())
        });
        let short = words.collect();
        self.count("very long words", found);
        short
    }

    /// Each text in a value that this program has made.
    pub(super) fn told(&mut self, value: Value) -> Value {
        self.each("", value, &mut |this, _, text| this.own(&text))
    }

    /// Each text in a file of the state. A person may have written anything there: but for sentences, only
    /// what looks like a date, an id or a word stays.
    pub(super) fn state(&mut self, value: Value) -> Value {
        self.each("", value, &mut |this, key, text| {
            if SENTENCES.contains(&key) || this.token.is_match(&text) {
                return this.text(&text);
            }
            this.count("texts in the state that belong to none of its formats", 1);
            format!("<{} characters left out>", text.chars().count())
        })
    }

    /// Changes each text in a value, by the key that it is found under.
    fn each(
        &mut self,
        key: &str,
        value: Value,
        change: &mut impl FnMut(&mut Self, &str, String) -> String,
    ) -> Value {
        match value {
            Value::String(text) => Value::String(change(self, key, text)),
            Value::Array(values) => {
                let values = values.into_iter();
                values.map(|value| self.each(key, value, change)).collect()
            }
            Value::Object(members) => {
                let mut changed = Map::new();
                for (name, value) in members {
                    let value = self.each(&name, value, change);
                    let name = match self.token.is_match(&name) {
                        true => self.text(&name),
                        false => change(self, "", name),
                    };
                    changed.insert(name, value);
                }
                Value::Object(changed)
            }
            other => other,
        }
    }

    fn count(&mut self, what: &'static str, found: usize) {
        if found > 0 {
            *self.counts.entry(what).or_default() += found as u64;
        }
    }

    /// What was taken out so far, and how often.
    pub(super) fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redactor() -> Redactor {
        let folder = tempfile::tempdir().unwrap();
        let directories = sekoia::Directories {
            config: folder.path().to_owned(),
            data: folder.path().to_owned(),
        };
        let settings = json!({
            "client_secret": "planted~secret",
            "hash_key": "planted***with***stars",
            "tenant_id": "contoso.example",
        });
        std::fs::write(
            folder.path().join("trigger_configuration"),
            settings.to_string(),
        )
        .unwrap();
        let installation = sekoia::Installation {
            registry: &crate::triggers::registry(),
            directories,
            environment: sekoia::Environment::process(),
        };
        let mut redactor = Redactor::new(Concealer::of(&installation)).unwrap();
        redactor.hide("contoso.example", "<tenant>");
        redactor
    }

    #[test]
    fn what_identifies_people_mails_and_the_organization_is_taken_out() {
        for (text, left) in [
            ("a planted~secret b", "a *** b"),
            ("a planted***with***stars b", "a *** b"),
            ("to bob.o'neill@litware.example: no", "to <address>: no"),
            ("a <x.y+z@fabrikam.example>, b", "a <<address>>, b"),
            ("?user=bob%40litware.example&x=1", "?user=<address>&x=1"),
            ("b…@contoso.onmicrosoft.com went", "<address> went"),
            ("to bob@contoso.example", "to <address>"),
            ("*@litware.example is", "<address> is"),
            ("tenant CONTOSO.example of", "tenant <tenant> of"),
            ("fabrikam.onmicrosoft.com is", "<tenant> is"),
            (
                "http://user:word@proxy:3128 is",
                "http://<credentials> proxy:3128 is",
            ),
            (r#"{intake_key="k-1"} 3"#, r#"{intake_key="***"} 3"#),
            ("Bearer abcdefghij.k", "***"),
            (
                "row {\"Subject\":\"Planted words\",\"x\":1}",
                "row {<a part of a row>\",\"x\":1}",
            ),
            (
                "row {\\\"senderAddress\\\": \\\"Planted",
                "row {<a part of a row>",
            ),
            (
                "the intake h answers 422 Unprocessable Entity ({\"error\":\"INTAKE_KEY_ERROR\"\nx}): no",
                "the intake h answers 422 Unprocessable Entity (INTAKE_KEY_ERROR <35 characters of the answer left out>",
            ),
            (
                "the intake h answers 200 OK with \"Planted words\", which",
                "the intake h answers 200 OK with \"<21 characters of the answer left out>",
            ),
            (
                "Graph answered 401 Unauthorized: the tenant lacks it (the answer says: Planted)",
                "Graph answered 401 Unauthorized: the tenant lacks it (the answer says: <8 characters of the answer left out>",
            ),
            (
                "(AADSTS7000215): the client secret is wrong",
                "(AADSTS7000215): the client secret is wrong",
            ),
            (
                "127.0.0.1:8365 answers in 4 ms",
                "127.0.0.1:8365 answers in 4 ms",
            ),
        ] {
            assert_eq!(redactor().text(text), left);
        }
        let mut redactor = redactor();
        let long = redactor.text(&format!("a {} b", "x".repeat(100)));
        assert_eq!(long, "a <100 bytes left out> b");
        redactor.text("x@contoso.example planted~secret");
        assert_eq!(redactor.counts().len(), 3, "{:?}", redactor.counts());
    }

    /// Else a mail with such a subject keeps the archive from being made.
    #[test]
    fn a_subject_of_one_letter_again_and_again_costs_no_more_than_another() {
        let mut redactor = redactor();
        let subject = "S".repeat(260_000);
        redactor.hide(&subject, "<subject>");
        let left = redactor.text(&format!("a {} b", subject.to_ascii_lowercase()));
        assert_eq!(left, "a <subject> b");
        // Only the tables of the other kinds grow with the square of a name's length, in time.
        let kind = redactor.finder.map(|finder| finder.kind());
        assert_eq!(kind, Some(AhoCorasickKind::NoncontiguousNFA));
    }

    /// Else so many of them would be all that is looked for.
    #[test]
    fn a_subject_counts_once() {
        let mut redactor = redactor();
        let before = redactor.names.len();
        for subject in ["Planted", "PLANTED", " planted "] {
            redactor.hide(subject, "<subject>");
        }
        assert_eq!(redactor.names.len(), before + 1);
        assert_eq!(redactor.text("a Planted b"), "a <subject> b");
    }

    #[test]
    fn of_a_state_file_only_what_its_formats_have_stays() {
        let mut redactor = redactor();
        let state = json!({
            "version": 1,
            "from": "2026-11-01T00:00:00Z",
            "phase": "settling",
            "Planted key": true,
            "other": ["Planted words", "bob@litware.example", "contoso.example"],
            "said": "it has ended, says bob@litware.example",
        });
        let left = json!({
            "version": 1,
            "from": "2026-11-01T00:00:00Z",
            "phase": "settling",
            "<11 characters left out>": true,
            "other": ["<13 characters left out>", "<19 characters left out>", "<tenant>"],
            "said": "it has ended, says <address>",
        });
        assert_eq!(redactor.state(state), left);
    }
}
