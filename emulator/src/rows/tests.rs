//! Tests of the order and of the pages of rows.

use std::collections::HashSet;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::Backlog;

const NOW: i64 = 1_790_000_000;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(NOW + seconds, 0).unwrap()
}

fn rows(count: u64) -> Rows {
    let backlog = Backlog::rows(TimeDelta::hours(3), count);
    Rows::new(
        Traffic {
            backlog,
            ..Traffic::default()
        },
        at(0),
    )
}

fn everything(offset: u64, limit: usize) -> Selection<'static> {
    Selection {
        offset,
        limit,
        whole_ties: true,
        ..Selection::plain(0, Ticks::MAX)
    }
}

fn order(row: &TraceRow) -> (Reverse<i64>, String) {
    (
        Reverse(row.received.timestamp_millis()),
        row.recipient.to_lowercase(),
    )
}

#[test]
fn pages_by_offset_and_by_key_show_every_row_once_in_order() {
    let mut rows = rows(10_000);
    for second in [-9000, -5000, -20_000, 0] {
        rows.add(NewRow::new(at(second), "Zoe@contoso.example"));
    }
    let now = ticks(at(1));
    let all = rows.select(&everything(0, usize::MAX), now).rows;
    assert_eq!(all.len(), 10_004);
    assert!(all.is_sorted_by_key(|(_, row)| order(row)));
    let (mut by_offset, mut by_key, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = rows
            .select(&everything(by_offset.len() as u64, 777), now)
            .rows;
        let keyed = rows.select(
            &Selection {
                after,
                ..everything(0, 777)
            },
            now,
        );
        let Some((_, last)) = keyed.rows.last() else {
            break;
        };
        let (Reverse(millisecond), recipient) = order(last);
        after = Some(After {
            millisecond,
            recipient,
            included: false,
        });
        by_offset.extend(page);
        by_key.extend(keyed.rows);
    }
    assert!(by_offset == all && by_key == all);
}

#[test]
fn late_rows_appear_and_pauses_have_no_traffic() {
    let mut rows = rows(1000);
    rows.add(NewRow::new(at(-60), "a@b.example").visible_from(at(30)));
    rows.set_traffic(false, ticks(at(-5400)));
    let count = |rows: &mut Rows, now| rows.select(&everything(0, usize::MAX), now).rows.len();
    let before = count(&mut rows, ticks(at(29)));
    assert!((400..600).contains(&before), "{before}");
    assert_eq!(count(&mut rows, ticks(at(30))), before + 1);
}

/// A row by hand: received and visible so many seconds after the start, and for whom.
type Drawn = (i64, i64, u8);

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    prop::collection::vec((0..60_i64, 0..60_i64, 0..5_u8), 1..40)
}

proptest! {
    /// While rows appear between the pages, a traversal by key shows none twice, and all that
    /// were visible when it began.
    #[test]
    fn a_traversal_by_key_is_stable_while_rows_appear(drawn in drawn(), limit in 1..7_usize) {
        let mut rows = rows(30);
        for (second, late, whom) in drawn {
            let row = NewRow::new(at(second - 120), &format!("user{whom}@b.example"));
            rows.add(row.visible_from(at(second - 120 + late)));
        }
        let mut now = -60;
        let before = rows.select(&everything(0, usize::MAX), ticks(at(now))).rows;
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let query = Selection { after, ..everything(0, limit) };
            let page = rows.select(&query, ticks(at(now))).rows;
            let Some((_, last)) = page.last() else { break };
            let (Reverse(millisecond), recipient) = order(last);
            after = Some(After { millisecond, recipient, included: false });
            seen.extend(page.into_iter().map(|(slot, _)| slot));
            now += 1;
        }
        let distinct: HashSet<_> = seen.iter().copied().collect();
        prop_assert_eq!(distinct.len(), seen.len());
        for (slot, _) in before {
            prop_assert!(distinct.contains(&slot));
        }
    }
}
