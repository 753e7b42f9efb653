//! The report: one page with a picture of all hours, which needs nothing else to be looked at.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, SecondsFormat, Timelike as _, Utc};
use collect::verify::{Finding, Verdict};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use rows::Window;

use super::outcome::{self, are, were};
use crate::triggers::words::counted;

/// The place of an hour in the picture, in its own units.
const CELL: u32 = 26;

/// The place of the dates beside the hours, and of the hours above the days.
const LEFT: u32 = 92;
const TOP: u32 = 24;

/// The smallest and the largest square of an hour.
const SQUARES: (f64, f64) = (5.0, 22.0);

/// Colours that differ in lightness, too, so that they are told apart without seeing colour, and on paper.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6675; --ground: #ffffff; --line: #d8dde4;
  --proven: #2e8b57; --delivered: #1f6fd0; --resent: #7a5cc0; --open: #aab4c0; --gone: #d97a00;
  --many: #c62f2f; --unprovable: #1d2430; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa6b5; --ground: #14181f;
  --line: #333b47; --proven: #4fbf85; --delivered: #5aa5ff; --resent: #ad94f0; --open: #566070;
  --gone: #ffab3d; --many: #ff6b6b; --unprovable: #e6eaf0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground);
  max-width: 62rem; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.lead { color: var(--soft); margin: 0 0 1rem; } .answer { font-size: 1.2rem; font-weight: 600; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 11px; }
.scroll { overflow-x: auto; } .scroll svg { min-width: 44rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top;
  padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
code { font-size: .85em; overflow-wrap: anywhere; }
.key { display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: 2px; }
.proven { fill: var(--proven); background: var(--proven); }
.delivered { fill: var(--delivered); background: var(--delivered); }
.resent { fill: var(--resent); background: var(--resent); }
.open { fill: var(--open); background: var(--open); }
.gone { fill: var(--gone); background: var(--gone); }
.many { fill: var(--many); background: var(--many); }
.unprovable { fill: none; stroke: var(--unprovable); stroke-width: 1.5; background: none;
  border: 1.5px solid var(--unprovable); box-sizing: border-box; }
@media print { body { margin: 0; max-width: none; } }
";

/// The page of a verification that is about so many hours, of which some may have no verdict.
pub(super) fn page(
    trigger: &str,
    range: Window,
    hours: u64,
    verdicts: &[Verdict],
    now: DateTime<Utc>,
) -> Markup {
    let date = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Verification of " (date(range.start())) " to " (date(range.end())) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Is every message trace there?" }
                p.lead {
                    "Rows received from " (date(range.start())) " to " (date(range.end()))
                    ", collected by the trigger " code { (trigger) } ". Written at " (date(now)) "."
                }
                p.answer { (answer(hours, verdicts)) }
                h2 { "Every hour" }
                p.lead {
                    "Days down, hours (UTC) across. The larger a square, the more rows Microsoft shows of that \
                     hour. An hour without a square has no verdict."
                }
                div.scroll { (picture(verdicts)) }
                p { @for finding in Finding::ALL {
                    span style="white-space: nowrap; margin-right: 1.2em" {
                        span class={ "key " (finding.word()) } {}
                        (finding.word())
                    }
                } }
                (figures(verdicts))
                (found(verdicts))
                (method())
                (digests(verdicts))
            }
        }
    }
}

/// How many hours there are of each finding, and how many rows.
fn figures(verdicts: &[Verdict]) -> Markup {
    let sum = |of: fn(&Verdict) -> u64| verdicts.iter().map(of).sum::<u64>();
    html! {
        h2 { "Figures" }
        table {
            tr { th { "Finding" } th.n { "Hours" } }
            @for (finding, count) in outcome::counts(verdicts) {
                tr {
                    td { span class={ "key " (finding.word()) } {} (outcome::title(finding)) }
                    td.n { (count) }
                }
            }
        }
        table {
            tr { th { "Rows" } th.n { "" } }
            tr { td { "that Microsoft shows now" } td.n { (sum(|one| one.shown)) } }
            tr { td { "that were accepted, or went to the dead letters" } td.n { (sum(|one| one.accepted)) } }
            tr { td { "that were missing and are delivered now" } td.n { (sum(Verdict::delivered)) } }
            tr { td { "that were missing and became dead letters" } td.n { (sum(|one| one.refused)) } }
            tr { td { "that were missing and are not shown any more, or left out by a rule now" } td.n { (sum(|one| one.vanished)) } }
            tr { td { "that were accepted and are not shown any more, or left out by a rule now" } td.n { (sum(|one| one.not_shown)) } }
            tr { td { "that surfaced late, when their time had been read before" } td.n { (sum(|one| one.notes.late)) } }
            tr { td { "that a setting excludes" } td.n { (sum(|one| one.notes.excluded)) } }
            tr { td { "that went to the dead letters" } td.n { (sum(|one| one.notes.dead_letters)) } }
        }
    }
}

/// Hours that are not plainly proven; nothing when all are.
fn found(verdicts: &[Verdict]) -> Markup {
    let remarkable = verdicts.iter().filter(|one| !outcome::is_plain(one));
    let remarkable: Vec<&Verdict> = remarkable.collect();
    html! {
        @if !remarkable.is_empty() {
            h2 { "What was found" }
            table {
                tr { th { "Hour (UTC)" } th { "What" } }
                @for verdict in &remarkable {
                    tr {
                        td style="white-space: nowrap" { (verdict.hour.format("%Y-%m-%d %H:00")) }
                        td {
                            span class={ "key " (verdict.finding.word()) } {}
                            (outcome::hour(verdict))
                            @for row in &verdict.missing {
                                br;
                                code { (row.message_trace_id.as_deref().unwrap_or("unknown")) }
                                " to "
                                code { (row.recipient.as_deref().unwrap_or("unknown")) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn digests(verdicts: &[Verdict]) -> Markup {
    html! {
        h2 { "The digests" }
        p.lead { "Of the rows that were accepted, hour by hour: the same set of rows has the same digest." }
        details {
            summary { (verdicts.iter().filter(|one| one.digest.is_some()).count()) " hours" }
            table {
                tr { th { "Hour (UTC)" } th.n { "Rows" } th { "Digest" } }
                @for verdict in verdicts {
                    @if let Some(digest) = &verdict.digest {
                        tr {
                            td { (verdict.hour.format("%Y-%m-%d %H:00")) }
                            td.n { (verdict.accepted) }
                            td { code { (digest) } }
                        }
                    }
                }
            }
        }
    }
}

/// The answer in a sentence. What was sent again was not compared, and what has no verdict is not proven.
fn answer(hours: u64, verdicts: &[Verdict]) -> String {
    let counts = outcome::counts(verdicts);
    let count = |finding| counts.get(&finding).copied().unwrap_or(0) as u64;
    let in_doubt = verdicts.iter().filter(|verdict| verdict.is_in_doubt());
    let in_doubt = in_doubt.count() as u64;
    let delivered = count(Finding::Delivered).saturating_sub(in_doubt);
    let proven = count(Finding::Proven) + delivered;
    let mut text = format!("{} {} proven", counted(proven, "hour"), are(proven));
    if delivered > 0 {
        text += &format!(
            ", {delivered} of them since rows that were missing were delivered now, or went to the dead letters"
        );
    }
    let in_part = verdicts.iter().filter(|verdict| {
        let is_proven = matches!(verdict.finding, Finding::Proven | Finding::Delivered);
        is_proven && !verdict.is_in_doubt() && !verdict.is_whole()
    });
    let in_part = in_part.count();
    if in_part > 0 {
        text += &format!(", {in_part} of them as far as they were collected");
    }
    let resent = count(Finding::Resent);
    if resent > 0 {
        text += &format!(
            "; {resent} {} sent again, and not compared since",
            were(resent)
        );
    }
    let doubtful = [Finding::Gone, Finding::Many, Finding::Unprovable].map(count);
    let doubtful = doubtful.iter().sum::<u64>() + in_doubt;
    if doubtful > 0 {
        text += &format!("; {doubtful} {} not", are(doubtful));
    }
    let open = count(Finding::Open);
    if open > 0 {
        text += &format!("; {open} {} not final yet", are(open));
    }
    let without = hours.saturating_sub(verdicts.len() as u64);
    if without > 0 {
        text += &format!(
            "; {without} of {hours} have no verdict: the verification is not finished, or what it found of them \
             is lost"
        );
    }
    text + "."
}

fn picture(verdicts: &[Verdict]) -> Markup {
    let mut days: BTreeMap<NaiveDate, Vec<&Verdict>> = BTreeMap::new();
    for verdict in verdicts {
        days.entry(verdict.hour.date_naive())
            .or_default()
            .push(verdict);
    }
    let most = verdicts.iter().map(rows).max().unwrap_or(0);
    let height = TOP + CELL * u32::try_from(days.len()).unwrap_or(0) + 4;
    let width = LEFT + CELL * 24 + 4;
    html! {
        svg viewBox={ "0 0 " (width) " " (height) } role="img" aria-label="Every hour and what was found out" {
            @for hour in (0..24_u32).step_by(3) {
                text x=(LEFT + CELL * hour + CELL / 2) y=(TOP - 9) text-anchor="middle" {
                    (format!("{hour:02}"))
                }
            }
            @for ((day, verdicts), line) in days.iter().zip(0_u32..) {
                text x=(LEFT - 10) y=(TOP + CELL * line + CELL / 2 + 4) text-anchor="end" { (day) }
                @for verdict in verdicts {
                    (square(verdict, line, most))
                }
            }
        }
    }
}

/// The rows that an hour is drawn by.
fn rows(verdict: &Verdict) -> u64 {
    verdict.shown.max(verdict.accepted)
}

fn square(verdict: &Verdict, line: u32, most: u64) -> Markup {
    #[allow(clippy::cast_precision_loss, reason = "the size of a square")]
    let share = (rows(verdict) as f64 / most.max(1) as f64).sqrt();
    let (smallest, largest) = SQUARES;
    let side = smallest + (largest - smallest) * share;
    let middle = |cells: u32, from: u32| f64::from(from + CELL * cells + CELL / 2) - side / 2.0;
    let place = |at: f64| format!("{at:.1}");
    html! {
        rect class=(verdict.finding.word()) rx="2"
            x=(place(middle(verdict.hour.hour(), LEFT))) y=(place(middle(line, TOP)))
            width=(place(side)) height=(place(side)) {
            title { (verdict.hour.format("%Y-%m-%d %H:00 UTC")) ": " (outcome::hour(verdict)) }
        }
    }
}

/// How it was found out, and what it does not show.
fn method() -> Markup {
    html! {
        h2 { "How it was found out" }
        p {
            "While rows are collected, the module keeps for every hour of reception what the rows that the \
             intake has accepted add up to: their count, an order-independent sum of a keyed 72-bit hash of \
             message trace id and recipient, the same with the last status, and a sketch from which up to 40 \
             rows that differ are found exactly. For this report Microsoft was asked for every hour once more, \
             and the same was made of what it shows now. Where both agree, the two sets of rows are the same. \
             Where rows were missing, they were read again, delivered, and are named."
        }
        h2 { "What it does not show" }
        ul {
            li { "Hours before this module collected them, and hours whose record is lost: they are not provable." }
            li { "Hours that are not final: the collection is not done with them." }
            li { "Statuses that changed after the last reading of an hour: only that some did is said." }
            li {
                "Two different sets of rows with the same sums. Nobody can choose addresses that bring this \
                 about; what remains is chance, with a probability of less than 2" sup { "−72" } " for an hour."
            }
            li { "The rest of an hour that was collected in part: the part that was compared is named." }
            li { "Rows that a rule of the settings leaves out: they are not sent, and not missing." }
            li { "What cannot be read as a row, and rows without a readable date: no hour counts them." }
            li { "What the intake has lost after it had given an id for the event, which cannot be seen from here." }
            li { "Rows that Microsoft itself does not show." }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use collect::verify::RowName;

    use super::*;
    use crate::cli::verify::outcome::tests as outcome;

    fn verdict(hours: i64, finding: Finding, rows: u64) -> Verdict {
        let start: DateTime<Utc> = "2026-11-27T00:00:00Z".parse().unwrap();
        let hour = start + TimeDelta::hours(hours);
        let whole = Window::new(hour, hour + TimeDelta::hours(1));
        Verdict {
            hour,
            at: start,
            reason: (finding == Finding::Unprovable).then(|| "<its> record is gone".to_owned()),
            parts: whole.into_iter().collect(),
            accepted: rows,
            shown: rows,
            digest: Some("0f".to_owned()),
            ..outcome::verdict(finding)
        }
    }

    #[test]
    fn the_page_has_a_square_for_every_hour_and_loads_nothing() {
        let mut verdicts: Vec<Verdict> = (0..30)
            .map(|hour| verdict(hour, Finding::Proven, 9))
            .collect();
        verdicts.push(verdict(30, Finding::Unprovable, 0));
        let mut healed = verdict(31, Finding::Delivered, 7);
        healed.missing.push(RowName {
            message_trace_id: Some("id-1".to_owned()),
            recipient: Some("a&b@contoso.example".to_owned()),
        });
        verdicts.push(healed);
        let (first, last) = (verdicts[0].hour, verdicts[31].hour);
        let page = page(
            "message_trace",
            Window::new(first, last).unwrap(),
            32,
            &verdicts,
            last,
        );
        let text = page.into_string();
        assert_eq!(text.matches("<rect").count(), 32);
        assert_eq!(text.matches("class=\"proven\"").count(), 30);
        assert!(
            text.contains("31 hours are proven, 1 of them since"),
            "{text}"
        );
        assert!(text.contains("&lt;its&gt; record is gone"));
        assert!(text.contains("id-1") && text.contains("a&amp;b@contoso.example"));
        for outside in ["http://", "https://", "<script", "<link", "@import", "url("] {
            assert!(!text.contains(outside), "{outside}");
        }
    }

    /// What nobody has compared is not to be called proven before an auditor.
    #[test]
    fn hours_that_were_sent_again_or_have_no_verdict_are_not_called_proven() {
        let mut refused = verdict(1, Finding::Delivered, 7);
        refused.missing = vec![RowName::default(); 3];
        refused.refused = 1;
        let verdicts = [
            verdict(0, Finding::Proven, 9),
            refused,
            verdict(2, Finding::Resent, 9),
            verdict(3, Finding::Open, 0),
            verdict(4, Finding::Many, 9),
        ];
        let said = answer(9, &verdicts);
        assert_eq!(
            said,
            "2 hours are proven, 1 of them since rows that were missing were delivered now, or went to the \
             dead letters; 1 was sent again, and not compared since; 1 is not; 1 is not final yet; 4 of 9 have \
             no verdict: the verification is not finished, or what it found of them is lost."
        );
        assert_eq!(answer(1, &verdicts[..1]), "1 hour is proven.");
        let mut healed = verdict(1, Finding::Delivered, 7);
        healed.reason = Some("1 row cannot be read".to_owned());
        assert_eq!(answer(1, &[healed]), "0 hours are proven; 1 is not.");
        let mut in_part = verdict(1, Finding::Proven, 7);
        in_part.parts =
            vec![Window::new(in_part.hour, in_part.hour + TimeDelta::minutes(1)).unwrap()];
        assert_eq!(
            answer(1, &[in_part]),
            "1 hour is proven, 1 of them as far as they were collected."
        );
        let hour = verdicts[0].window().unwrap();
        let text = page("message_trace", hour, 9, &verdicts, hour.end()).into_string();
        for (what, rows) in [("are delivered now", 2), ("became dead letters", 1)] {
            let figure = format!("that were missing and {what}</td><td class=\"n\">{rows}</td>");
            assert!(text.contains(&figure), "{text}");
        }
    }
}
