//! What became of a verification.

use std::{collections::BTreeMap, fmt::Write as _};

use collect::verify::{Finding, Verdict, VerifyOrder, VerifyProgress};
use rows::Window;
use serde_json::{Value, json};

use crate::{
    cli::{order::OrderOutcome, screen::Screen},
    triggers::words::{counted, excluded_then, named},
};

/// The exit code when rows were missing, and are delivered now.
const DELIVERED: u8 = 6;

/// The exit code when of some hours nothing is proven.
const UNPROVEN: u8 = 7;

/// Of how many hours the verdict is lost.
pub(super) fn lost(range: Window, progress: Option<&VerifyProgress>, verdicts: &[Verdict]) -> u64 {
    match progress.is_none_or(VerifyProgress::has_ended) {
        true => hours(range, progress).saturating_sub(verdicts.len() as u64),
        false => 0,
    }
}

/// How many hours a verification is about.
pub(super) fn hours(range: Window, progress: Option<&VerifyProgress>) -> u64 {
    let of_range = || range.span().num_hours().cast_unsigned();
    let begun = progress.map(|progress| progress.counts.hours);
    begun.filter(|hours| *hours > 0).unwrap_or_else(of_range)
}

/// The exit code of a verification, from those that `--help` lists, and its word for machines. Once it is
/// done, its verdicts say how it came out, when none is lost.
pub(super) fn came_out(
    outcome: OrderOutcome,
    lost: u64,
    verdicts: &[Verdict],
) -> (u8, &'static str) {
    let has = |findings: &[Finding]| {
        let mut verdicts = verdicts.iter();
        verdicts.any(|verdict| findings.contains(&verdict.finding))
    };
    if outcome != OrderOutcome::Done {
        (outcome.exit_code(), outcome.word())
    } else if lost > 0
        || has(&[Finding::Many, Finding::Gone, Finding::Unprovable])
        || verdicts.iter().any(Verdict::is_in_doubt)
    {
        (UNPROVEN, "unproven")
    } else if has(&[Finding::Delivered]) {
        (DELIVERED, "delivered")
    } else if has(&[Finding::Resent]) {
        (0, "resent")
    } else if has(&[Finding::Proven]) {
        (0, "proven")
    } else {
        // The collection is not done with any of what was asked for.
        (0, "open")
    }
}

pub(super) fn exit_codes() -> &'static str {
    "Exit codes:\n   0  all hours that are read for the last time are proven (or one was sent again, or it \
     was given up, as asked), or none is final yet\n   1  it could not begin, or it failed\n   2  the dates cannot be used, or \
     another verification is not finished\n   3  it is not finished: the same command goes on with it, and \
     so does the trigger\n   4  Microsoft refuses, and a person must act: what to do is said\n   5  somebody \
     else has given it up\n   6  rows were missing; they are named, and delivered now or with the dead letters\n   \
     7  some hours are not proven: which, and why, is said; or verdicts are lost, since their file is damaged\n  10  the settings do not fit the trigger"
}

/// How many hours there are of each finding, best first.
pub(super) fn counts(verdicts: &[Verdict]) -> BTreeMap<Finding, usize> {
    let mut counts = BTreeMap::new();
    for verdict in verdicts {
        *counts.entry(verdict.finding).or_default() += 1;
    }
    counts
}

/// What hours with a finding are.
pub(super) fn title(finding: Finding) -> &'static str {
    match finding {
        Finding::Proven => "proven",
        Finding::Delivered => {
            "with rows that were missing and are delivered now, or with the dead letters"
        }
        Finding::Gone => {
            "with rows that were missing and that Microsoft does not show any more, or a rule leaves out now"
        }
        Finding::Many => "with more than 40 rows that differ",
        Finding::Resent => "sent again",
        Finding::Open => "not final yet, as the collection is not done with them",
        Finding::Unprovable => "not provable",
    }
}

/// Whether there is no more to say of an hour than its finding.
pub(super) fn is_plain(verdict: &Verdict) -> bool {
    let has_more = verdict.not_shown > 0
        || verdict.statuses_differ == Some(true)
        || verdict.notes.dead_letters > 0
        || !verdict.is_whole();
    verdict.finding == Finding::Proven && !has_more || verdict.finding == Finding::Open
}

fn rows_were(count: u64) -> String {
    format!("{} {}", counted(count, "row"), were(count))
}

pub(super) fn were(count: u64) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

pub(super) fn are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// After a kill there may be more.
fn rows_read(progress: &VerifyProgress) -> String {
    let least = if progress.at_least { "At least " } else { "" };
    format!(" {least}{} read.", rows_were(progress.counts.rows))
}

/// What there is to say of one hour, in one line.
pub(super) fn hour(verdict: &Verdict) -> String {
    let Verdict {
        accepted,
        shown,
        finding,
        ..
    } = verdict;
    let mut text = match finding {
        Finding::Unprovable => {
            let reason = verdict.reason.as_deref().unwrap_or("no reason is known");
            return format!("not provable: {reason}");
        }
        Finding::Open => return "not final yet: the collection is not done with it".to_owned(),
        Finding::Many => format!(
            "more than 40 rows differ: {accepted} were accepted, Microsoft shows {shown}; \
             `message-trace verify --resend {}` sends all of them again, up to {accepted} for the \
             second time",
            verdict.hour.format("%Y-%m-%dT%H:%MZ")
        ),
        Finding::Resent => match verdict.refused {
            0 => format!("sent again: {accepted} rows were accepted"),
            refused => format!(
                "sent again: {} rows were accepted, {refused} became dead letters",
                accepted.saturating_sub(refused)
            ),
        },
        Finding::Proven => format!("proven: {}", counted(*shown, "row")),
        Finding::Gone if verdict.missing.is_empty() => "nothing delivered now".to_owned(),
        Finding::Delivered | Finding::Gone => {
            let missing = rows_were(verdict.missing.len() as u64);
            let delivered = verdict.delivered();
            match verdict.refused {
                0 => format!("{missing} missing, and {} delivered now", are(delivered)),
                refused => format!(
                    "{missing} missing: {delivered} {} delivered now, {refused} became dead letters",
                    are(delivered)
                ),
            }
        }
    };
    if verdict.vanished > 0 {
        _ = write!(
            text,
            "; {} missing that Microsoft does not show any more, or a rule leaves out now",
            rows_were(verdict.vanished)
        );
    }
    if verdict.not_shown > 0 {
        _ = write!(
            text,
            "; {} accepted that Microsoft does not show any more, or a rule leaves out now, or accepted twice",
            rows_were(verdict.not_shown)
        );
    }
    let letters = verdict.notes.dead_letters.saturating_sub(verdict.refused);
    if letters > 0 {
        _ = write!(text, "; {letters} went to the dead letters");
    }
    text.push_str(&excluded_then(verdict));
    if verdict.statuses_differ == Some(true) {
        text.push_str("; some have another status now than the last one that was accepted");
    }
    if let Some(reason) = &verdict.reason {
        _ = write!(text, "; {reason}");
    }
    for part in verdict
        .parts
        .iter()
        .filter(|part| Some(**part) != verdict.window())
    {
        _ = write!(text, "; collected from {part}");
    }
    text
}

/// So many hours are listed for people; all of them are in the answers for machines and in the page.
const LISTED: usize = 50;

/// Prints the summary for people: what is not as it should be, hour by hour, then the figures.
pub(super) fn tell(
    order: &VerifyOrder,
    outcome: OrderOutcome,
    progress: Option<&VerifyProgress>,
    verdicts: &[Verdict],
) -> anyhow::Result<()> {
    let screen = Screen::new();
    let told = verdicts.iter().filter(|verdict| !is_plain(verdict));
    for verdict in told.clone().take(LISTED) {
        let at = verdict.hour.format("%Y-%m-%d %H:00 UTC");
        screen.line("", 0, &format!("{at}  {}", hour(verdict)))?;
        for row in &verdict.missing {
            screen.line("", 0, &format!("    was missing: {}", named(row)))?;
        }
    }
    let others = told.count().saturating_sub(LISTED);
    if others > 0 {
        screen.line(
            "",
            0,
            &format!("{others} more are listed with --json and --csv."),
        )?;
    }
    let mut counts: Vec<String> = counts(verdicts)
        .into_iter()
        .map(|(finding, count)| format!("{count} {}", title(finding)))
        .collect();
    let lost = lost(order.range, progress, verdicts);
    if outcome == OrderOutcome::Done && lost > 0 {
        counts.push(format!("{lost} whose verdict is lost"));
    }
    let rows = progress.map_or_else(String::new, rows_read);
    let text = format!(
        "{}: of the {} from {}, {}.{rows}",
        outcome.head(),
        counted(hours(order.range, progress), "hour"),
        order.range,
        match counts.as_slice() {
            [] => "none has a verdict".to_owned(),
            counts => counts.join(", "),
        }
    );
    screen.line("", 0, &text)
}

pub(super) fn json(
    trigger: &str,
    outcome: OrderOutcome,
    range: Window,
    progress: Option<&VerifyProgress>,
    verdicts: &[Verdict],
) -> Value {
    let counts: BTreeMap<&str, usize> = counts(verdicts)
        .into_iter()
        .map(|(finding, count)| (finding.word(), count))
        .collect();
    let lost = lost(range, progress, verdicts);
    let (exit_code, word) = came_out(outcome, lost, verdicts);
    json!({
        "trigger": trigger,
        "outcome": word,
        "exit_code": exit_code,
        "from": range.start(),
        "to": range.end(),
        "hours": counts,
        "verdicts_lost": if outcome == OrderOutcome::Done { lost } else { 0 },
        "at_least": progress.map(|one| one.at_least),
        "rows_read": progress.map(|one| one.counts.rows),
        "rows_delivered": progress.map(|one| one.counts.delivered),
        "duration_seconds": progress.map(|one| one.worked),
        "verdicts": verdicts,
    })
}

const COLUMNS: &str = "hour,finding,accepted,shown,missing,vanished,not_shown,statuses_differ,late,\
                       excluded,dead_letters,first_read,last_read,digest,message_trace_ids,reason,refused,parts";

pub(super) fn csv(verdicts: &[Verdict]) -> String {
    let mut text = format!("{COLUMNS}\n");
    for verdict in verdicts {
        let ids = verdict.missing.iter();
        let ids = ids.filter_map(|row| row.message_trace_id.as_deref());
        let ids = ids.collect::<Vec<_>>().join(" ");
        let parts = verdict.parts.iter().map(|part| part.to_string());
        let parts = parts.collect::<Vec<_>>().join("; ");
        let notes = &verdict.notes;
        let values = [
            verdict.hour.to_rfc3339(),
            verdict.finding.word().to_owned(),
            verdict.accepted.to_string(),
            verdict.shown.to_string(),
            verdict.missing.len().to_string(),
            verdict.vanished.to_string(),
            verdict.not_shown.to_string(),
            told(verdict.statuses_differ),
            notes.late.to_string(),
            notes.excluded.to_string(),
            notes.dead_letters.to_string(),
            told(notes.first_read.map(|at| at.to_rfc3339())),
            told(notes.last_read.map(|at| at.to_rfc3339())),
            told(verdict.digest.as_ref()),
            ids,
            told(verdict.reason.as_ref()),
            verdict.refused.to_string(),
            parts,
        ];
        text.push_str(&values.map(|value| quoted(&value)).join(","));
        text.push('\n');
    }
    text
}

/// A value that may be unknown.
fn told(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// A value as RFC 4180 has it; what a spreadsheet would take for a formula is not one.
fn quoted(value: &str) -> String {
    let value = match value.starts_with(['=', '+', '-', '@']) {
        true => format!("'{value}"),
        false => value.to_owned(),
    };
    match value.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", value.replace('"', "\"\"")),
        false => value,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use chrono::DateTime;
    use collect::{order::OrderPhase, proof::Notes, verify::VerifyCounts};
    use uuid::Uuid;

    use super::*;

    /// Of an hour in which there is nothing.
    pub(crate) fn verdict(finding: Finding) -> Verdict {
        Verdict {
            order: Uuid::nil(),
            hour: DateTime::UNIX_EPOCH,
            at: DateTime::UNIX_EPOCH,
            finding,
            reason: None,
            parts: Vec::new(),
            accepted: 0,
            shown: 0,
            digest: None,
            missing: Vec::new(),
            vanished: 0,
            not_shown: 0,
            refused: 0,
            statuses_differ: None,
            notes: Notes::default(),
        }
    }

    #[test]
    fn each_exit_code_is_explained() {
        let codes = OrderOutcome::ALL.map(OrderOutcome::exit_code);
        for code in codes.into_iter().chain([DELIVERED, UNPROVEN]) {
            let line = format!("\n   {code}  ");
            assert!(exit_codes().contains(&line), "{code}");
        }
    }

    /// That some rows are delivered now says nothing of those that nobody can read or see.
    #[test]
    fn an_hour_that_stays_in_doubt_is_not_proven_by_what_was_delivered() {
        let mut healed = verdict(Finding::Delivered);
        let code =
            |verdict: &Verdict| came_out(OrderOutcome::Done, 0, std::slice::from_ref(verdict)).0;
        assert_eq!(code(&healed), DELIVERED);
        healed.reason = Some("1 row cannot be read".to_owned());
        assert_eq!(code(&healed), UNPROVEN);
        assert!(hour(&healed).ends_with("; 1 row cannot be read"));
    }

    #[test]
    fn a_verification_whose_verdicts_are_lost_has_proven_nothing() {
        let at = |hours: i64| DateTime::from_timestamp(1_800_000_000 + hours * 3600, 0).unwrap();
        let range = Window::new(at(0), at(3)).unwrap();
        let counts = VerifyCounts {
            hours: 3,
            judged: 3,
            ..VerifyCounts::default()
        };
        let mut progress = VerifyProgress::new(Uuid::nil(), counts, at(3));
        assert_eq!(lost(range, Some(&progress), &[]), 0, "it is not finished");
        progress.phase = OrderPhase::Done;
        assert_eq!(lost(range, Some(&progress), &[]), 3);
        assert_eq!(lost(range, None, &[]), 3);
        let told =
            |outcome| json("t", outcome, range, Some(&progress), &[])["verdicts_lost"].clone();
        assert_eq!(told(OrderOutcome::Done), 3);
        assert_eq!(told(OrderOutcome::Cancelled), 0, "these were never judged");
        let came_out = |lost| came_out(OrderOutcome::Done, lost, &[]);
        assert_eq!((came_out(0), came_out(1)), ((0, "open"), (7, "unproven")));
    }

    /// A rule that is taken away must not look like a loss.
    #[test]
    fn what_a_rule_had_left_out_is_said_of_an_hour_with_missing_rows() {
        let verdict = |finding, excluded| Verdict {
            notes: Notes {
                excluded,
                ..Notes::default()
            },
            ..verdict(finding)
        };
        let said = |finding, excluded| {
            hour(&verdict(finding, excluded)).contains("; rules left out about 3 rows of it")
        };
        for finding in [Finding::Delivered, Finding::Many, Finding::Gone] {
            assert!(said(finding, 3) && !said(finding, 0), "{finding:?}");
        }
        assert!(!said(Finding::Proven, 3));
    }

    #[test]
    fn a_row_that_was_refused_when_its_hour_was_sent_again_is_not_told_as_accepted() {
        let verdict = Verdict {
            accepted: 9,
            refused: 2,
            notes: Notes {
                dead_letters: 2,
                ..Notes::default()
            },
            ..verdict(Finding::Resent)
        };
        assert_eq!(
            hour(&verdict),
            "sent again: 7 rows were accepted, 2 became dead letters"
        );
    }

    #[test]
    fn of_an_hour_of_which_nothing_could_be_delivered_nothing_is_said_to_be() {
        let verdict = Verdict {
            vanished: 1,
            ..verdict(Finding::Gone)
        };
        let said = hour(&verdict);
        assert_eq!(
            said,
            "nothing delivered now; 1 row was missing that Microsoft does not show any more, or a rule leaves \
             out now"
        );
    }

    /// Else an hour of which a minute was collected is one of many that are proven.
    #[test]
    fn an_hour_of_which_a_part_is_proven_is_told_with_that_part() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let part = |minutes| Window::new(start, start + chrono::TimeDelta::minutes(minutes));
        let verdict = |minutes, dead_letters| Verdict {
            hour: start,
            parts: part(minutes).into_iter().collect(),
            accepted: 1,
            shown: 1,
            statuses_differ: Some(false),
            notes: Notes {
                dead_letters,
                ..Notes::default()
            },
            ..verdict(Finding::Proven)
        };
        assert!(is_plain(&verdict(60, 0)));
        assert!(!is_plain(&verdict(60, 1)));
        let in_part = verdict(1, 0);
        assert!(!is_plain(&in_part));
        let said = hour(&in_part);
        assert!(said.starts_with("proven: 1 row; collected from "), "{said}");
    }

    /// Else an hour of which a minute was compared looks like a whole one, and a dead letter like a delivery.
    #[test]
    fn a_line_of_values_tells_what_was_compared_and_what_was_refused() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let part = |from, to| {
            let at = |minutes| start + chrono::TimeDelta::minutes(minutes);
            Window::new(at(from), at(to)).unwrap()
        };
        let verdict = Verdict {
            hour: start,
            parts: vec![part(0, 1), part(30, 60)],
            refused: 2,
            ..verdict(Finding::Delivered)
        };
        let text = csv(&[verdict]);
        let line = text.lines().nth(1).unwrap();
        let end = ",2,2027-01-15T08:00:00Z to 2027-01-15T08:01:00Z; \
                   2027-01-15T08:30:00Z to 2027-01-15T09:00:00Z";
        assert!(line.ends_with(end), "{line}");
        assert_eq!(line.split(',').count(), COLUMNS.split(',').count());
    }

    #[test]
    fn values_are_quoted_and_no_formula() {
        assert_eq!(quoted("a"), "a");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quoted("=cmd()"), "'=cmd()");
    }
}
