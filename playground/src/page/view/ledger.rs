//! The ledger's verdict.

use maud::{Markup, html};

use super::words;
use crate::page::{
    state::{Life, State},
    verdict::Judgement,
};

/// The verdict in one line, always in sight.
pub(crate) fn chip(state: &State) -> Markup {
    let Some(found) = state.judgement.as_ref().filter(|found| !found.is_empty()) else {
        return html! { a.verdict #to-ledger href="#ledger" { span { "ledger: nothing to judge yet" } } };
    };
    let (symbol, class) = mark(found);
    html! {
        a #to-ledger class=(format!("verdict {class}")) href="#ledger" {
            (words::icon(symbol, ""))
            span {
                b { (words::number(found.verdict.accepted)) } " delivered, "
                b { (words::number(found.missing)) } " missing, "
                b { (words::number(found.verdict.doubled.count)) } " doubled"
            }
        }
    }
}

fn mark(found: &Judgement) -> (&'static str, &'static str) {
    if !found.is_clean() {
        ("bad", "bad")
    } else if found.verdict.doubled.count > 0 {
        ("warn", "warn")
    } else {
        ("pass", "ok")
    }
}

/// What it means, in a sentence.
pub(crate) fn meaning(found: &Judgement) -> String {
    let Some(checkpoint) = found.checkpoint else {
        return "It has not read a window of time to its end.".to_owned();
    };
    if found.is_empty() {
        return "No row was delivered: there is nothing to judge.".to_owned();
    }
    let until = words::clock(checkpoint);
    if found.missing > 0 || found.verdict.unasked.count > 0 {
        return "The ledger has found what should not be: see its numbers.".to_owned();
    }
    if found.unexcused > 0 {
        return "Rows came twice.".to_owned();
    }
    match found.verdict.rejected.count {
        0 => {}
        1 => return "One row did not come: the intake has refused it.".to_owned(),
        count => return format!("{count} rows did not come: the intake has refused them."),
    }
    match found.verdict.doubled.count {
        0 if found.awaited > 0 => format!(
            "Every row that was shown of the time before {until} was delivered, and none twice; {} {} \
             surfaced since, and would be read next.",
            found.awaited,
            if found.awaited == 1 { "has" } else { "have" }
        ),
        0 => format!("Every row received before {until} was delivered, and none twice."),
        count => format!(
            "Every row received before {until} was delivered. {count} came twice: a kill came before \
             the module could note that they were accepted."
        ),
    }
}

/// The same for the terminal.
pub(crate) fn sentence(found: &Judgement) -> String {
    let claims = found.checkpoint.is_some() && !found.is_empty();
    let word = match (claims, found.is_clean()) {
        (_, false) => "NOT CLEAN",
        (true, true) => "clean",
        (false, true) => "nothing to judge",
    };
    format!("verdict: {word}. {}", meaning(found))
}

/// All numbers.
pub(crate) fn body(state: &State) -> Markup {
    let empty = Judgement::default();
    let found = state.judgement.as_ref().unwrap_or(&empty);
    let (symbol, class) = mark(found);
    let verdict = &found.verdict;
    let mut rows = vec![
        ("Delivered", verdict.accepted, "", ""),
        (
            "Missing",
            found.missing,
            "should have come, and did not",
            if found.missing > 0 { "bad" } else { "" },
        ),
        (
            "Doubled",
            verdict.doubled.count,
            if found.kills > 0 { "after a kill" } else { "" },
            if found.unexcused > 0 { "bad" } else { "" },
        ),
        (
            "Unasked",
            verdict.unasked.count,
            "unknown or altered events",
            if verdict.unasked.count > 0 { "bad" } else { "" },
        ),
    ];
    for (name, count, text, class) in [
        (
            "Refused",
            verdict.rejected.count,
            "by the intake, and did not come",
            "bad",
        ),
        (
            "Awaited",
            found.awaited,
            "surfaced since their time was read last",
            "",
        ),
        (
            "Superseded",
            verdict.superseded,
            "a status that another followed",
            "",
        ),
        (
            "Repeated",
            verdict.doubled_unacknowledged.count,
            "since the first answer got lost",
            "",
        ),
    ] {
        if count > 0 {
            rows.push((name, count, text, class));
        }
    }
    let first = verdict
        .missing
        .examples
        .iter()
        .chain(&verdict.rejected.examples)
        .chain(&verdict.doubled.examples)
        .next()
        .filter(|_| !found.is_clean());
    html! {
        div.head {
            h2 #h-le { "Ledger" }
            @if found.is_empty() { span.tag { "nothing yet" } }
            @else {
                span class=(format!("tag {class}")) {
                    (words::icon(symbol, "")) @if found.is_clean() { "clean" } @else { "not clean" }
                }
            }
        }
        p.s.sum { "What the emulated organization showed, against what its intake accepted." }
        @if matches!(state.life, Life::Ended { .. }) && !found.is_empty() {
            p class=(format!("says {class}")) { (meaning(found)) }
        }
        dl.tbl {
            @for (name, count, text, class) in rows {
                div class=(class) { dt { (name) @if !text.is_empty() { small { (text) } } } dd { (words::number(count)) } }
            }
        }
        @if let Some(version) = first {
            p.s.sum { "The first: " code { (version.recipient) } ", received " (words::clock(version.received)) ", " (version.status) "." }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn rows_that_the_intake_has_refused_are_no_clean_verdict() {
        let mut found = Judgement {
            checkpoint: DateTime::from_timestamp(1_795_000_000, 0),
            ..Judgement::default()
        };
        found.verdict.accepted = 5;
        assert!(found.passes());
        assert!(sentence(&found).starts_with("verdict: clean. Every row"));
        found.verdict.rejected.count = 2;
        assert!(!found.passes());
        let said = sentence(&found);
        assert_eq!(
            said,
            "verdict: NOT CLEAN. 2 rows did not come: the intake has refused them."
        );
        // Where nothing else came, there is something to judge all the same.
        found.verdict.accepted = 0;
        assert_eq!(sentence(&found), said);
    }
}
