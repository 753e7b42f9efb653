//! What an intake's answer proves (J-09, J-11, W-02, W-04).
//!
//! Accepted is what the answer says to be accepted: a 2xx whose JSON holds `event_ids`, one for each
//! event, or says for each event what became of it. Anything else with a 2xx proves nothing.

mod fates;

use base::http::Response;
use http::{StatusCode, header::AGE};
use rows::json::Scanner;

pub(super) use self::fates::Fates;
use super::Outcome;

/// What may be the reason that nothing says of any event of a request that it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The intake is down or busy (no answer, 408, 5xx); or something in between breaks off what it does
    /// not like in one event, or what takes too long to arrive.
    Outage,
    /// It asks for patience (425, 429), which no event is the reason of.
    Busy,
    /// The key or the address (401, 404, 422 with [`KEY_ERROR`]), which no event is the reason of.
    Barred,
    /// The key, the address, the way there, or an event of the request.
    Refused,
    /// The size of the request (413), or an event of it.
    TooLarge,
    /// A success proves nothing: events may be accepted.
    Uncertain,
}

/// How much of a foreign text is shown.
const SHOWN: usize = 200;

/// Some servers and gateways put it before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An answer has this when the intake does not know the key (J-11).
pub(super) const KEY_ERROR: &str = "INTAKE_KEY_ERROR";

/// What a gateway says whose request the intake may have taken, and whose answer it has not had: in the words
/// of all, and of a widespread one.
const ANSWERS_LOST: [u16; 4] = [502, 504, 520, 524];

/// Reads an answer to a request with `count` events, which `sent` holds. One that a cache has kept for a
/// while was given to others, and says nothing of these.
pub(super) fn judge(host: &str, answer: &Response, count: usize, sent: &[u8]) -> Outcome {
    let status = answer.status();
    let age = answer.headers().get(AGE).and_then(|age| age.to_str().ok());
    let is_kept = age.is_some_and(|age| age.trim().parse::<u64>().is_ok_and(|age| age > 0));
    if status.is_success() && is_kept {
        return Outcome::uncertain(format!(
            "the intake {host} answers {status} from a cache, which does not say that these events \
             are accepted"
        ));
    }
    verdict(host, status, answer.body(), count, sent)
}

fn verdict(host: &str, status: StatusCode, body: &[u8], count: usize, sent: &[u8]) -> Outcome {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if status.is_success() {
        if identifiers_alone(body) == Some(count) {
            return Outcome::Told(Fates::default());
        }
        return fates::read(body, count).unwrap_or_else(|| {
            Outcome::uncertain(format!(
                "the intake {host} answers {status} {}, which does not say that the events are \
                 accepted",
                shown(body)
            ))
        });
    }
    let (cause, sentence) = refusal(host, status, body, sent);
    Outcome::failed(cause, sentence, ANSWERS_LOST.contains(&status.as_u16()))
}

/// What an answer to what was sent means that is no success, and what to do.
pub(super) fn refusal(host: &str, status: StatusCode, body: &[u8], sent: &[u8]) -> (Cause, String) {
    let said = String::from_utf8_lossy(body);
    let detail = match said.trim() {
        "" => String::new(),
        text => format!(" ({})", first_words(text)),
    };
    let (cause, advice) = advice(status, &said, sent);
    let sentence = format!("the intake {host} answers {status}{detail}{advice}");
    (cause, sentence)
}

fn advice(status: StatusCode, said: &str, sent: &[u8]) -> (Cause, &'static str) {
    // Of an event with this word in its subject, it may be an echo.
    let is_key_error = || {
        let mut words = sent.windows(KEY_ERROR.len());
        said.contains(KEY_ERROR) && !words.any(|word| word == KEY_ERROR.as_bytes())
    };
    let barred_if = |barring: StatusCode| match status == barring {
        true => Cause::Barred,
        false => Cause::Refused,
    };
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => (Cause::TooLarge, ""),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::TOO_EARLY => (Cause::Busy, ""),
        StatusCode::REQUEST_TIMEOUT => (Cause::Outage, ""),
        _ if status.is_server_error() => (Cause::Outage, ""),
        StatusCode::UNPROCESSABLE_ENTITY if is_key_error() => (
            Cause::Barred,
            ": it does not know the intake key. A new intake takes some minutes to be ready; \
             otherwise compare intake_key with the key on the intake's page in Sekoia.io",
        ),
        StatusCode::FORBIDDEN if is_web_page(said) => (
            Cause::Refused,
            ": a web page forbids the request, which a proxy or firewall on the way may have written: \
             have it let the request pass; otherwise compare intake_key with the key on the intake's \
             page in Sekoia.io",
        ),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (
            barred_if(StatusCode::UNAUTHORIZED),
            ": it refuses the intake key: compare intake_key with the key on the intake's page in \
             Sekoia.io, and intake_server with your region",
        ),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE => (
            barred_if(StatusCode::NOT_FOUND),
            ": there is no intake at this address: compare intake_server with the address of your \
             region",
        ),
        _ if status.is_redirection() => (
            Cause::Refused,
            ": compare intake_server with the address of your region",
        ),
        _ => (
            Cause::Refused,
            ": it does not take the request: compare intake_key with the key on the intake's page \
             in Sekoia.io, and if that is right, report this to the maintainers",
        ),
    }
}

/// How many identifiers an answer has that has nothing else, as nearly all have.
fn identifiers_alone(body: &[u8]) -> Option<usize> {
    let mut ids = None;
    let mut scanner = Scanner::new(simdutf8::basic::from_utf8(body).ok()?);
    scanner.object(|scanner, name| {
        let count = scanner.strings().filter(|_| name == "event_ids")?;
        ids.replace(count).is_none().then_some(())
    })?;
    ids.filter(|_| scanner.peek().is_none())
}

/// The identifiers of an answer, as they stand in it; none where it has them in no list.
pub(super) fn identifiers(body: &[u8]) -> Option<Vec<&str>> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let mut ids = Vec::new();
    let mut scanner = Scanner::new(simdutf8::basic::from_utf8(body).ok()?);
    scanner.object(|scanner, name| {
        if name != "event_ids" {
            return scanner.pass_value();
        }
        scanner.array(|scanner| {
            let id = scanner.value()?.json;
            let inside = id.strip_prefix('"').map(|id| id.trim_end_matches('"'));
            if inside.is_some_and(|id| !id.trim().is_empty()) {
                ids.push(id);
            }
            Some(())
        })
    })?;
    Some(ids)
}

/// Whether a text is a web page, which no intake gives.
pub(super) fn is_web_page(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    text.starts_with('<')
}

/// What a body is, for people.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match (text.trim(), title(&text)) {
        ("", _) => "with an empty body".to_owned(),
        (_, Some(title)) => format!("with a web page titled \"{title}\""),
        (text, None) => format!("with \"{}\"", first_words(text)),
    }
}

fn first_words(text: &str) -> String {
    base::text::shorten(text, SHOWN).into_owned()
}

fn title(text: &str) -> Option<String> {
    let small = text.to_ascii_lowercase();
    let open = small.find("<title")?;
    let start = open + small.get(open..)?.find('>')? + 1;
    let end = start + small.get(start..)?.find("</title")?;
    let title = text.get(start..end)?.trim();
    (!title.is_empty()).then(|| first_words(title))
}

#[cfg(test)]
mod tests;
