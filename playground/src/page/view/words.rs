//! Times, lengths and numbers as the page says them.

use chrono::{DateTime, TimeDelta, Utc};
use indicatif::HumanCount;
use maud::{Markup, PreEscaped, html};

/// `48 231`, with narrow spaces.
pub(crate) fn number(count: u64) -> String {
    HumanCount(count).to_string().replace(',', "\u{202f}")
}

/// A length of time, as short as it may be.
pub(crate) fn span(length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0);
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) if seconds % 60 == 0 => format!("{minutes} min"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// `14:02:31`.
pub(crate) fn clock(at: DateTime<Utc>) -> String {
    at.format("%H:%M:%S").to_string()
}

/// A symbol of the page's own set.
pub(crate) fn icon(name: &str, class: &str) -> Markup {
    html! { svg class=(format!("g {class}")) aria-hidden="true" { use href=(format!("#{name}")) {} } }
}

/// A symbol that says something.
pub(crate) fn sign(name: &str, class: &str, label: &str) -> Markup {
    html! {
        svg class=(format!("g {class}")) role="img" aria-label=(label) {
            use href=(format!("#{name}")) {}
        }
    }
}

/// The letter of a switch.
pub(crate) fn letter(letter: char, title: &str) -> Markup {
    html! { span class="let" title=(title) { span class="sr" { "switch " } (letter) } }
}

/// A text in which what stands between backticks is code.
pub(crate) fn marked(text: &str) -> Markup {
    let mut parts = String::new();
    for (index, part) in text.split('`').enumerate() {
        let part = html! { (part) }.into_string();
        match index % 2 {
            0 => parts.push_str(&part),
            _ => parts.push_str(&format!("<code>{part}</code>")),
        }
    }
    PreEscaped(parts)
}

/// Percent with two digits, for a place in a picture.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.2}%", share.clamp(0.0, 1.0) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_numbers_are_for_people() {
        let said = |seconds| span(TimeDelta::seconds(seconds));
        assert_eq!(
            [
                said(-1),
                said(59),
                said(60),
                said(61),
                said(3600),
                said(90_000)
            ],
            ["0 s", "59 s", "1 min", "1 min 1 s", "1 h", "1 d 1 h"]
        );
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(marked("a `b<` c").into_string(), "a <code>b&lt;</code> c");
    }
}
