//! The forms of texts in words, and what is odd about a text that does not have its form.

use serde_json::Value;

/// The manifests' patterns, and what they ask for.
const FORMS: [(&str, Form, &str); 4] = [
    (
        r"^[0-9A-Za-z.-]+$",
        Form::Name,
        "a text of letters, digits, hyphens and dots, such as a GUID",
    ),
    (
        r"^(https://[^\s/?#@]+|http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?)(/[^\s?#]*)?$",
        Form::Address,
        "an address that begins with https:// (or with http:// on this machine itself), without a blank, \
         `@`, `?` and `#`",
    ),
    (
        r"^[^\s*@,;<>]+$",
        Form::Domain,
        "a domain such as example.org, without `@` and `*`",
    ),
    (
        r"^(\*|[^\s*@,;<>]+)@[^\s*@,;<>]+$",
        Form::Mailbox,
        "an address such as name@example.org, or *@example.org for all addresses of a domain",
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Name,
    Address,
    Domain,
    /// A mail address, or all of a domain.
    Mailbox,
    Number,
    Choice,
    /// Anything, such as a key.
    Free,
}

impl Form {
    pub(super) fn of(property: &Value) -> Self {
        let kind = property.get("type").and_then(Value::as_str);
        if property.get("enum").is_some() {
            return Self::Choice;
        }
        if matches!(kind, Some("integer" | "number")) {
            return Self::Number;
        }
        let pattern = property.get("pattern").and_then(Value::as_str);
        let known = FORMS.iter().find(|(known, ..)| Some(*known) == pattern);
        known.map_or(Self::Free, |(_, form, _)| *form)
    }
}

/// A pattern in words. What no form is known for has its description.
pub(super) fn of_pattern(pattern: &str, property: &Value) -> String {
    let known = FORMS.iter().find(|(known, ..)| *known == pattern);
    let described = || property.get("description").and_then(Value::as_str);
    match (known, described()) {
        (Some((.., words)), _) => (*words).to_owned(),
        (None, Some(description)) => format!("a text with this meaning: {description}"),
        (None, None) => "a text of another form".to_owned(),
    }
}

/// What is odd about a text, as a person can see and mend it.
pub(super) fn oddity(text: &str, form: Form, options: &[&str]) -> Option<String> {
    let odd = |what: &str| Some(what.to_owned());
    if text.contains(['\n', '\r']) {
        return odd("there is a line end in it");
    }
    if text.contains(is_smart_quote) {
        return odd("there are typographic quotation marks in it: write it without them");
    }
    if is_between(text, &[("\"", "\""), ("'", "'"), ("`", "`")]) {
        return odd("it stands in quotation marks: write it without them");
    }
    let braces = [("{", "}"), ("${", "}"), ("<", ">"), ("[", "]"), ("(", ")")];
    if form != Form::Choice && is_between(text, &braces) {
        return odd("it stands in brackets: write it without them");
    }
    match form {
        Form::Number if text.starts_with(|c: char| c.is_ascii_digit()) => {
            odd("write the number alone, without a unit and without a comma")
        }
        Form::Choice => nearest(text, options.iter().copied())
            .map(|option| format!("did you mean \"{option}\"?")),
        Form::Address => of_address(text).map(str::to_owned),
        Form::Mailbox if !text.contains('@') => {
            odd("it lacks an `@`: for all addresses of a domain write `*@` before the domain")
        }
        Form::Mailbox if text.starts_with('@') => {
            odd("nothing stands before the `@`: for all addresses of a domain write `*@`")
        }
        Form::Name | Form::Free if text.contains(char::is_whitespace) => {
            odd("there is a blank in it")
        }
        _ => None,
    }
}

fn of_address(text: &str) -> Option<&'static str> {
    if text.contains(char::is_whitespace) {
        return Some("there is a blank in it");
    }
    match text.split_once("://") {
        None => Some("it lacks https:// at its beginning"),
        Some((_, rest)) if rest.contains('@') => {
            Some("no user and no password belong into an address")
        }
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => {
            Some("http:// is not encrypted: write https://")
        }
        Some(("https", rest)) if rest.contains(['?', '#']) => {
            Some("it ends with what belongs to a single page: write it without `?` and `#`")
        }
        Some(("https", _)) => None,
        Some(_) => Some("its beginning is not https://"),
    }
}

fn is_smart_quote(c: char) -> bool {
    matches!(
        c,
        '“' | '”' | '„' | '‟' | '‘' | '’' | '‚' | '‛' | '«' | '»' | '‹' | '›'
    )
}

fn is_between(text: &str, pairs: &[(&str, &str)]) -> bool {
    let is = |(first, last): &(&str, &str)| {
        let rest = text.strip_prefix(first);
        rest.is_some_and(|rest| rest.ends_with(last))
    };
    pairs.iter().any(is)
}

/// The name that is nearest to a misspelt one; none when none is near.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR: f64 = 0.7;
    let spelt = name.to_lowercase().replace(['-', ' '], "_");
    let likeness = |other: &str| strsim::normalized_damerau_levenshtein(&spelt, other);
    let scored = names.map(|other| (likeness(other), other));
    let best = scored.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(likeness, _)| *likeness >= NEAR)
        .map(|(_, other)| other)
}

/// Whether a text that does not have its form may be shown: only when it is what people make of that
/// form. Anything else may be a secret in the wrong place.
pub(super) fn may_be_shown(value: &str, form: Form, options: &[&str]) -> bool {
    const LONG: usize = 80;
    const NUMBER: usize = 12;
    let bare = value.trim_matches(|c: char| {
        c.is_whitespace() || is_smart_quote(c) || "{}<>[]()\"'`".contains(c)
    });
    let is_like_guid = bare.matches('-').count() > 2
        && bare
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let is_domain = bare.contains('.')
        && bare.chars().all(|c| {
            c.is_alphanumeric() || ".-".contains(c) || c.is_whitespace() || is_smart_quote(c)
        });
    let is_short = value.chars().count() <= LONG;
    match form {
        Form::Number => {
            value.len() <= NUMBER && bare.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        }
        Form::Choice => nearest(bare, options.iter().copied()).is_some(),
        Form::Address => is_short && !value.contains('@') && (is_domain || value.contains("://")),
        Form::Name => is_short && (is_like_guid || is_domain),
        Form::Mailbox | Form::Domain => is_short && is_domain,
        Form::Free => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_odd_is_said() {
        for (text, form, said) in [
            ("a\nb", Form::Free, "line end"),
            ("“a”", Form::Name, "typographic quotation marks"),
            ("'a'", Form::Free, "in quotation marks"),
            ("{a}", Form::Name, "in brackets"),
            ("60s", Form::Number, "the number alone"),
            ("1,000", Form::Number, "the number alone"),
            ("a b", Form::Name, "a blank"),
            ("intake.sekoia.io", Form::Address, "lacks https://"),
            ("http://h", Form::Address, "not encrypted"),
            ("htps://h", Form::Address, "beginning is not https://"),
            ("https://u:p@h", Form::Address, "no user and no password"),
            ("https://h/?a=b", Form::Address, "without `?`"),
            ("https://h /", Form::Address, "a blank"),
            ("example.org", Form::Mailbox, "write `*@` before the domain"),
            (
                "@example.org",
                Form::Mailbox,
                "nothing stands before the `@`",
            ),
            ("Graph", Form::Choice, "did you mean \"graph\"?"),
            ("reportng", Form::Choice, "did you mean \"reporting\"?"),
        ] {
            let found = oddity(text, form, &["graph", "reporting"]);
            assert!(
                found.as_ref().is_some_and(|found| found.contains(said)),
                "{text}: {found:?}"
            );
        }
        for (text, form) in [
            ("soon", Form::Number),
            ("xml", Form::Choice),
            ("a_b", Form::Name),
        ] {
            assert_eq!(oddity(text, form, &["graph", "reporting"]), None, "{text}");
        }
    }

    /// Each pattern of a manifest has its words here.
    #[test]
    fn every_pattern_of_the_manifests_has_words() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let mut patterns = 0;
        for entry in std::fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !name.starts_with("trigger_") && !name.starts_with("connector_") {
                continue;
            }
            let manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let properties = manifest["arguments"]["properties"].as_object().unwrap();
            for (setting, property) in properties {
                let of_items = property["items"]["pattern"].as_str();
                let Some(pattern) = property["pattern"].as_str().or(of_items) else {
                    continue;
                };
                patterns += 1;
                let known = FORMS.iter().any(|(known, ..)| *known == pattern);
                assert!(known, "{name}: {setting} has the pattern {pattern}");
            }
        }
        assert!(patterns > 10);
    }

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_none() {
        let names = ["event_format", "settle_time", "client_id", "quota"];
        for (name, nearest_one) in [
            ("event_fromat", Some("event_format")),
            ("setle_time", Some("settle_time")),
            ("Client-ID", Some("client_id")),
            ("account_name", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, names.into_iter()), nearest_one, "{name}");
        }
    }

    #[test]
    fn only_what_people_make_of_a_form_is_shown() {
        let options = ["graph", "reporting"];
        for (text, form) in [
            ("abc8Q~0123456789abcdefghijklmnopqrstuvwx", Form::Name),
            ("correct horse battery staple", Form::Name),
            ("planted-password-7e1f", Form::Number),
            ("planted-password-7e1f", Form::Address),
            ("planted-password-7e1f", Form::Choice),
            ("planted-password-7e1f", Form::Free),
            ("https://user:password@host", Form::Address),
            (&"a.".repeat(60), Form::Name),
        ] {
            assert!(!may_be_shown(text, form, &options), "{text}");
        }
        for (text, form) in [
            ("{7f1d5a3c-2b8e-4c60-9d14-0a6be35c8f21}", Form::Name),
            ("7f1d5a3c-2b8e-4c60-9d14-0a6be35c8f2", Form::Name),
            ("“contoso.onmicrosoft.com”", Form::Name),
            ("contoso .example", Form::Name),
            ("http://intake.sekoia.io/some/path", Form::Address),
            ("intake.sekoia.io", Form::Address),
            ("60s", Form::Number),
            ("-5", Form::Number),
            ("Graph", Form::Choice),
        ] {
            assert!(may_be_shown(text, form, &options), "{text}");
        }
    }
}
