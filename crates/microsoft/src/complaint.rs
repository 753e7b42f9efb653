//! What the body of an answer without rows says, for people: short, in one line.

use std::{borrow::Cow, fmt};

use serde_json::Value;

/// The most characters of an answer's text that appear in a message.
const MAX_CHARS: usize = 300;

/// The most bytes of a body that are looked at.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// What is in an address, as it is and as it is written in an address of the web, once or twice.
const AT: [&str; 3] = ["@", "%40", "%2540"];

/// What may stand after an address in a sentence.
const STOPS: [char; 5] = ['.', ',', ';', ':', ')'];

/// The complaint of the service in its own words; both parts may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) code: String,
    pub(super) text: String,
}

impl Complaint {
    /// Reads either error envelope of the Reporting Web Service, that of Graph, the title of a
    /// page of markup, or else takes the text as it is. `secrets`, which the service may have
    /// echoed, and addresses are blotted out.
    pub(super) fn read(body: &[u8], secrets: &[&str]) -> Self {
        let body = without_mark(body);
        let bytes = body.len();
        let body = body.get(..MAX_BODY).unwrap_or(body);
        if let Ok(json) = serde_json::from_slice::<Value>(body) {
            return Self::of_json(&json, secrets);
        }
        let text = String::from_utf8_lossy(body);
        let is_json = text.trim_ascii_start().starts_with(['{', '[']);
        let text = match title(&text, secrets) {
            Some(title) if !is_json => title,
            // A token that cannot be read, as the answer was cut off or has more after it, say.
            _ if text.contains("_token") => format!("{bytes} bytes about a token"),
            // Rows may stand in it.
            _ if is_json => format!("{bytes} bytes of JSON"),
            _ => one_line(&text, secrets),
        };
        Self {
            code: String::new(),
            text,
        }
    }

    /// Of the member of an answer that reports an error.
    pub(super) fn of_member(json: &str, secrets: &[&str]) -> Self {
        Self::read(format!("{{\"error\":{json}}}").as_bytes(), secrets)
    }

    fn of_json(json: &Value, secrets: &[&str]) -> Self {
        let first = |paths: &[&str]| {
            paths
                .iter()
                .find_map(|path| json.pointer(path)?.as_str())
                .map(|text| one_line(text, secrets))
                .unwrap_or_default()
        };
        Self {
            code: first(&["/odata.error/code", "/error/code", "/ErrorCode"]),
            text: first(&[
                "/odata.error/message/value",
                "/error/message/value",
                "/error/message",
                "/Message",
            ]),
        }
    }

    /// The complaint as the end of a sentence; nothing when there is none.
    pub(super) fn quoted(&self) -> String {
        match self.to_string() {
            said if said.is_empty() => said,
            said => format!(" (the answer says: {said})"),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.text.as_str()) {
            ("", text) => f.write_str(text),
            (code, "") => f.write_str(code),
            (code, text) => write!(f, "{code}: {text}"),
        }
    }
}

/// Whether a body is a web page or feed.
pub(super) fn is_markup(body: &[u8]) -> bool {
    without_mark(body).trim_ascii_start().starts_with(b"<")
}

/// A text without the byte order mark that some servers put before it.
pub(super) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// The title of an HTML page or Atom feed.
pub(super) fn title(text: &str, secrets: &[&str]) -> Option<String> {
    let text = text.get(..text.floor_char_boundary(MAX_BODY))?;
    let lower = text.to_ascii_lowercase();
    let open = lower.find("<title")?;
    let start = open + lower.get(open..)?.find('>')? + 1;
    let length = lower.get(start..)?.find("</title")?;
    let title = one_line(text.get(start..start + length)?, secrets);
    (!title.is_empty()).then_some(title)
}

/// The text without secrets and addresses, with its white space and control characters folded into
/// single blanks, and cut.
pub(super) fn one_line(text: &str, secrets: &[&str]) -> String {
    let mut text = Cow::Borrowed(text);
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        // As it is, and as it is sent in a form.
        let sent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        for spelling in [*secret, &sent] {
            text = text.replace(spelling, "***").into();
        }
    }
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words = words.filter(|word| !word.is_empty()).map(without_address);
    let line = Vec::from_iter(words).join(" ");
    base::text::shorten(&line, MAX_CHARS).into_owned()
}

/// The word, unless it may be somebody's address: people are not to be found in a log.
fn without_address(word: &str) -> Cow<'_, str> {
    if !AT.iter().any(|at| word.contains(at)) {
        return Cow::Borrowed(word);
    }
    let inside = word.trim_end_matches(STOPS);
    format!("…{}", word.get(inside.len()..).unwrap_or_default()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> String {
        Complaint::read(body.as_bytes(), &["hunter2"]).to_string()
    }

    #[test]
    fn reads_every_envelope() {
        for (body, said) in [
            (
                r#"{"odata.error":{"code":"UnknownError","message":{"lang":"","value":"An error."}}}"#,
                "UnknownError: An error.",
            ),
            (
                r#"{"error":{"code":"","message":{"lang":"en-US","value":"No property."}}}"#,
                "No property.",
            ),
            (
                r#"{"error":{"code":"BadRequest","message":"No."}}"#,
                "BadRequest: No.",
            ),
            (
                r#"{"ErrorCode":"","Message":"No permission."}"#,
                "No permission.",
            ),
            (
                "<html>\r\n<TITLE>401 -\r\n Unauthorized</TITLE><h1>x</h1>",
                "401 - Unauthorized",
            ),
            ("plain\n\ttext\u{1b}[31m", "plain text [31m"),
            ("\u{feff}{\"Message\":\"Marked.\"}", "Marked."),
            ("{}", ""),
            ("", ""),
        ] {
            assert_eq!(read(body), said, "{body}");
        }
    }

    #[test]
    fn is_short_and_without_secrets() {
        let long = read(&"no hunter2 ".repeat(MAX_CHARS));
        assert!(long.ends_with("no ***…") || long.ends_with("no…"), "{long}");
        assert!(
            long.chars().count() <= MAX_CHARS + 1 && !long.contains("hun"),
            "{long}"
        );
        // What is not English has fewer characters than bytes.
        let whole = ["é"; 140].join(" ");
        assert_eq!(read(&whole), whole);
        let sent = Complaint::read(b"client_secret=a%7Eb+c&x", &["a~b c"]).to_string();
        assert_eq!(sent, "client_secret=***&x");
        for token in [
            r#"{"token_type":"Bearer","access_token":"eyJ0eXAi"#,
            r#"{"access_token":"eyJ0eXAi"} and more"#,
        ] {
            assert_eq!(read(token), format!("{} bytes about a token", token.len()));
        }
        assert_eq!(read(r#"{"Message":"bad hunter\u0032"}"#), "bad ***");
    }

    #[test]
    fn json_that_cannot_be_read_is_not_quoted() {
        let row = r#"{"senderAddress":"ada@a.test","subject":"<title>The offer</title>"},"#;
        for page in [
            format!("{{\"value\":[{row}"),
            format!("\u{feff} [{row}"),
            format!("{{\"value\":[{}{{}}]}}", row.repeat(2000)),
        ] {
            let bytes = page.trim_start_matches('\u{feff}').len();
            assert_eq!(read(&page), format!("{bytes} bytes of JSON"));
        }
        let member = Complaint::of_member(r#"{"code":"Late","message":{"value":"No."}}"#, &[]);
        assert_eq!(member.to_string(), "Late: No.");
        let long = format!("{{\"message\":\"{}\"}}", "x".repeat(MAX_BODY));
        let said = Complaint::of_member(&long, &[]).to_string();
        assert!(said.ends_with(" bytes of JSON"), "{said}");
    }

    #[test]
    fn nobody_is_named() {
        for (text, said) in [
            ("No mail for Ada@a.test.", "No mail for …."),
            ("'ada%40a.test' is unknown", "… is unknown"),
            ("at /x(a='o''neil%2B1%2540a.test'): no", "at …): no"),
            ("\u{feff}<title>ada@a.test</title>", "…"),
            ("{\"Message\":\"ada\\u0040a.test, no\"}", "…, no"),
            ("at 40 % of it", "at 40 % of it"),
        ] {
            assert_eq!(read(text), said, "{text}");
        }
    }
}
