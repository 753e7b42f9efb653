//! Any scenario ends with every final hour proven, but for the rows that were really missing, which a
//! verification delivers.

use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use collect::{
    OUTSIDE_FILE,
    order::{OrderFile as _, OrderPhase},
    verify::{Finding, VERDICTS_FILE, Verdict, VerifyOrder, VerifyProgress, VerifyWork},
};
use emulator::{Action, Ending, NewRow, StatePart};
use proptest::prelude::*;
use rows::Window;
use uuid::Uuid;

use super::{
    ACCOUNT, GRAPH, OAUTH,
    draw::{Drawn, scenario},
    property::config,
    site::{IN_FLIGHT, Site, is_of_intake, life},
    troubles::failing,
};

/// Rows that Microsoft shows only after their hours were final: so many minutes before the start of the
/// scenario each was received.
fn late() -> BoxedStrategy<Vec<i64>> {
    prop::collection::vec(1_i64..100, 0..4).boxed()
}

/// The end of the first life in which there is a verification, which then goes on with it.
#[derive(Clone, Debug)]
struct BreakOff {
    /// After how many seconds.
    seconds: u64,
    end: Ending,
    /// What goes wrong until then.
    troubles: Vec<Action>,
}

fn break_off(graph: bool) -> BoxedStrategy<Option<BreakOff>> {
    let end = prop_oneof![Just(Ending::Stop), Just(Ending::Kill)];
    let troubles = prop::collection::vec(failing(graph), 0..3);
    let broken_off = (1_u64..300, end, troubles);
    let broken_off = broken_off.prop_map(|(seconds, end, troubles)| BreakOff {
        seconds,
        end,
        troubles,
    });
    prop_oneof![1 => Just(None), 2 => broken_off.prop_map(Some)].boxed()
}

fn order(site: &Site, start: DateTime<Utc>) -> VerifyOrder {
    let range = Window::new(start, site.emulator.clock().now()).unwrap();
    let words = (String::new(), String::new());
    let order = VerifyOrder::new(Uuid::new_v4(), range, words, VerifyWork { resend: false });
    site.leave(&order);
    order
}

fn verdicts(site: &Site) -> Vec<Verdict> {
    let text = fs::read_to_string(site.path(VERDICTS_FILE)).unwrap();
    let lines = text.lines();
    // Other lines tell of rows that were found missing.
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Until when rows are looked out for that were not asked for, if any were shown: for so long, what was
/// delivered is remembered for two days longer than else, and only then makes the record of its hour.
fn lookout(site: &Site) -> Option<DateTime<Utc>> {
    let kept = site.file(OUTSIDE_FILE)?;
    kept["until"].as_str()?.parse().ok()
}

/// Leads a trigger through a scenario, has rows of final hours added, and everything verified.
fn check(
    trigger: &'static str,
    Drawn(scenario): &Drawn,
    late: &[i64],
    broken_off: Option<BreakOff>,
) -> Result<(), TestCaseError> {
    let start = scenario.start.unwrap();
    let site = Site::led_through(trigger, scenario);
    let fail = |what: &str| TestCaseError::fail(format!("{what}\n{}", site.output()));
    let memories = [StatePart::KnownRows, StatePart::Timeline];
    let mut damages = scenario.lives.iter().filter_map(|life| life.damage);
    let remembers = !damages.any(|damage| memories.contains(&damage.to));
    // Of what was received before, nothing is collected.
    let hours = scenario.trigger["start_time"].as_i64().unwrap();
    for (number, minutes) in late.iter().enumerate() {
        let recipient = format!("late-{number}@contoso.example");
        let minutes = TimeDelta::minutes(*minutes % (60 * hours));
        site.emulator
            .add_row(NewRow::new(start - minutes, &recipient));
    }
    let before = site.verdict();
    let order = order(&site, start - TimeDelta::hours(hours));
    let mut may_double = 0;
    if let Some(BreakOff {
        seconds,
        end,
        troubles,
    }) = broken_off
    {
        let short = life(seconds, end, 0);
        let is_intake_well = !troubles.iter().any(is_of_intake);
        for trouble in troubles {
            site.emulator.act(trouble);
        }
        site.live(short);
        site.emulator.act(Action::ClearAll);
        may_double = match end {
            Ending::Kill if !is_intake_well => IN_FLIGHT,
            _ => site.excused(&short, &[]),
        };
    }
    site.live_hours(3);
    let after = site.verdict();
    let progress = site.file(VerifyProgress::NAME);
    let progress: VerifyProgress = serde_json::from_value(progress.unwrap_or_default()).unwrap();
    if (progress.id, progress.phase) != (order.id, OrderPhase::Done) {
        // A second may have more rows than pages without a link that is refused each time.
        if site.emulator.settings().graph.poisoned_tokens > 0.0 {
            return Ok(());
        }
        return Err(fail(&format!("{order:?} is not done: {progress:?}")));
    }
    if let Some(leak) = site.leak() {
        return Err(fail(&format!("`{leak}` is told")));
    }
    let verdicts = verdicts(&site);
    let is = |finding: &[Finding]| {
        let found = verdicts.iter();
        found.filter(|one| finding.contains(&one.finding)).count()
    };
    if !remembers {
        // What was accepted is not known any more, or not that it was: some comes twice.
        return Ok(());
    }
    if before.missing.count > late.len() as u64 {
        return Err(fail(&format!("more than the late rows: {before}")));
    }
    if after.doubled.count > before.doubled.count + may_double {
        return Err(fail(&format!("it was not missing: {after}")));
    }
    let named: usize = verdicts.iter().map(|verdict| verdict.missing.len()).sum();
    let delivered = before.missing.count - after.missing.count;
    // The collection is not done with an open hour; all others were compared.
    let is_open = |received: DateTime<Utc>| {
        let mut open = verdicts.iter().filter(|one| one.finding == Finding::Open);
        open.any(|one| one.hour <= received && received < one.hour + TimeDelta::hours(1))
    };
    let mut missing = after.missing.examples.iter();
    if missing.any(|row| !is_open(row.received)) || named as u64 != delivered {
        return Err(fail(&format!(
            "{named} rows are named: {before}, then {after}"
        )));
    }
    let bad = is(&[Finding::Gone, Finding::Many, Finding::Unprovable]);
    let settle_time = scenario.trigger["settle_time"].as_i64().unwrap();
    // The last reading comes a little after the settle time, and a record is of a whole hour.
    let longest = TimeDelta::hours(settle_time + 3) + TimeDelta::days(2);
    let lookout = lookout(&site);
    let is_remembered = |one: &Verdict| {
        let is_watched = lookout.is_some_and(|until| one.at < until + TimeDelta::hours(1));
        is_watched && one.at - one.hour < longest
    };
    let may_all_be_open = !verdicts.is_empty() && verdicts.iter().all(is_remembered);
    if bad > 0 || is(&[Finding::Proven, Finding::Delivered]) == 0 && !may_all_be_open {
        return Err(fail(&format!("{verdicts:#?}")));
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_graph_has_shown_is_proven(scenario in scenario(true), late in late(), end in break_off(true)) {
        check(GRAPH, &scenario, &late, end)?;
    }

    #[test]
    fn what_oauth_has_shown_is_proven(scenario in scenario(false), late in late(), end in break_off(false)) {
        check(OAUTH, &scenario, &late, end)?;
    }

    #[test]
    fn what_the_account_trigger_has_shown_is_proven(scenario in scenario(false), late in late(), end in break_off(false)) {
        check(ACCOUNT, &scenario, &late, end)?;
    }
}
