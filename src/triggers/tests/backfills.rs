//! Any scenario with backfills in its midst ends with every row delivered once.

use chrono::{DateTime, TimeDelta, Utc};
use collect::{
    backfill::{BackfillOrder, BackfillProgress, BackfillWork},
    order::OrderFile as _,
};
use emulator::StatePart;
use proptest::prelude::*;
use rows::Window;
use serde_json::json;
use uuid::Uuid;

use super::{
    ACCOUNT, GRAPH,
    draw::{Drawn, scenario},
    property::config,
    site::Site,
};

/// From how many hours before the scenario's start, for how many hours, and whether what was asked
/// for before is given up instead.
type Wish = (i64, i64, bool);

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    prop::collection::vec((0_i64..80, 1_i64..80, prop::bool::weighted(0.3)), 4)
}

fn unfinished(site: &Site) -> Option<BackfillOrder> {
    let order: BackfillOrder = serde_json::from_value(site.file(BackfillOrder::NAME)?).unwrap();
    let progress = site.file(BackfillProgress::NAME);
    let progress = progress.map(|told| serde_json::from_value::<BackfillProgress>(told).unwrap());
    (!order.has_ended(progress.as_ref())).then_some(order)
}

fn order(start: DateTime<Utc>, end: DateTime<Utc>) -> BackfillOrder {
    let range = Window::new(start, end).unwrap();
    let words = (String::new(), String::new());
    let work = BackfillWork { again: false };
    BackfillOrder::new(Uuid::new_v4(), range, words, work)
}

/// Leads a trigger that begins an hour ago through a scenario, with an order before each life, and
/// in the end one for everything older.
fn check(
    trigger: &'static str,
    Drawn(mut scenario): Drawn,
    wishes: &[Wish],
) -> Result<(), TestCaseError> {
    let span = scenario.traffic.backlog.span + TimeDelta::hours(1);
    scenario.trigger.insert("start_time".to_owned(), json!(1));
    let start = scenario.start.unwrap();
    let site = Site::new(trigger, &scenario);
    let (last, lives) = scenario.lives.split_last().unwrap();
    let mut may_double = 0;
    for (life, (from, hours, cancel)) in lives.iter().zip(wishes) {
        match unfinished(&site) {
            Some(mut order) if *cancel => {
                order.cancelled = true;
                site.leave(&order);
            }
            Some(_) => {}
            None => {
                let from = start - TimeDelta::hours(*from);
                let until = (from + TimeDelta::hours(*hours)).min(start);
                if from < until {
                    site.leave(&order(from, until));
                }
            }
        }
        site.live(*life);
        // Only the timeline knows what backfills have delivered long ago.
        may_double += site.excused(life, &[StatePart::KnownRows, StatePart::Timeline]);
        let verdict = site.verdict();
        prop_assert!(
            verdict.doubled.count <= may_double,
            "{verdict}\n{}",
            site.output()
        );
    }
    site.leave(&order(start - span, start));
    site.live(*last);
    let verdict = site.verdict();
    let is_damaged = |part| {
        let mut damages = lives.iter().filter_map(|life| life.damage);
        damages.any(|damage| damage.to == part)
    };
    // When nothing tells how far the collection had come, it begins an hour ago, and says so.
    let is_unknown = is_damaged(StatePart::Positions) && is_damaged(StatePart::Timeline);
    let missing = if is_unknown { 0 } else { verdict.missing.count };
    let bad = missing + verdict.rejected.count + verdict.unasked.count;
    prop_assert!(
        bad == 0 && verdict.doubled.count <= may_double,
        "{verdict}\n{}",
        site.output()
    );
    prop_assert_eq!(site.leak(), None, "{}", site.output());
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn backfills_of_graph_lose_and_double_nothing(
        scenario in scenario(true),
        wishes in wishes(),
    ) {
        check(GRAPH, scenario, &wishes)?;
    }

    #[test]
    fn backfills_with_an_account_lose_and_double_nothing(
        scenario in scenario(false),
        wishes in wishes(),
    ) {
        check(ACCOUNT, scenario, &wishes)?;
    }
}
