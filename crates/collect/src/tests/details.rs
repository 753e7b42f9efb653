//! Details of a row go with it or not at all, and nothing waits for them for long.

use rows::details::WantedStatuses;

use super::*;

/// Details are wanted of rows with these statuses.
pub(super) fn wish(statuses: &[&str]) -> DetailsWish {
    let statuses: Vec<String> = statuses.iter().map(|&status| status.into()).collect();
    DetailsWish {
        statuses: WantedStatuses::new(naming, &statuses).unwrap(),
        terms: DetailsTerms {
            patience: Duration::from_secs(60),
            calls: 10,
        },
    }
}

/// A source with one row a minute in the last hour, every second of which has changed.
fn world(details: DetailsWish, faults: u32, stalls: bool) -> (Arc<World>, DateTime<Utc>) {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let start = now - TimeDelta::hours(1);
    let row = |minute: i64| {
        let received = start + TimeDelta::minutes(minute);
        Row {
            received,
            visible: received,
            changes: (minute % 2 == 0).then_some(received),
        }
    };
    // Up to the first that is refused.
    let rows = (0..36).map(row).collect();
    let random = StdRng::seed_from_u64(7);
    let clock = Clock::virtual_from(now);
    let world = World::new(rows, Some(details), faults, random, clock);
    (Arc::new(World { stalls, ..world }), start)
}

fn fate(world: &World, fate: DetailsFate) -> usize {
    let fates = world.fates.lock().unwrap();
    fates.get(&fate).copied().unwrap_or(0)
}

fn assert_each_once(world: &World) {
    let accepted = world.accepted.lock().unwrap();
    let events = (0..36).map(|n| if n % 2 == 0 { n + CHANGED } else { n });
    for event in events {
        assert_eq!(accepted.get(&event), Some(&1), "{event}");
    }
    assert_eq!(accepted.len(), 36);
}

#[test]
fn rows_of_a_wanted_status_carry_their_details() {
    on_virtual_time(async {
        let (world, start) = world(wish(&["changed"]), 0, false);
        live(&world, &Arc::default(), start, None).await;
        assert_each_once(&world);
        let detailed = world.detailed.lock().unwrap();
        assert!(detailed.iter().all(|event| *event >= CHANGED));
        assert_eq!(detailed.len(), fate(&world, DetailsFate::Added));
        assert!(detailed.len() > 5, "{detailed:?}");
        // 18 rows come at once, and ten calls are allowed.
        assert_eq!(fate(&world, DetailsFate::Quota), 8);
        let all: usize = world.fates.lock().unwrap().values().sum();
        assert_eq!(all, 18);
    });
}

#[test]
fn a_row_that_cannot_be_asked_for_uses_up_no_call() {
    on_virtual_time(async {
        let (mut world, start) = world(wish(&["changed"]), 0, false);
        Arc::get_mut(&mut world).unwrap().names_nobody = true;
        live(&world, &Arc::default(), start, None).await;
        assert_each_once(&world);
        // Only ten calls are allowed.
        assert_eq!(fate(&world, DetailsFate::Unknown), 18);
        assert!(world.detailed.lock().unwrap().is_empty());
    });
}

/// Killed while rows wait, they come after the next start, once.
#[test]
fn a_kill_while_rows_wait_loses_and_doubles_nothing() {
    on_virtual_time(async {
        let mut wish = wish(&["changed"]);
        wish.terms.calls = 100;
        let (world, start) = world(wish, 0, true);
        let disk = Arc::new(Disk::default());
        let times = |n: usize| {
            let accepted = world.accepted.lock().unwrap();
            accepted.get(&n).copied().unwrap_or(0)
        };
        let changed = || (0..18).map(|n| times(2 * n + CHANGED)).collect::<Vec<_>>();
        // Its pages have come then.
        live(&world, &disk, start, Some(Duration::from_secs(50))).await;
        assert_eq!(changed(), [0; 18]);
        live(&world, &disk, start, None).await;
        assert_eq!(changed(), [1; 18]);
        // Four calls are made at a time; the source is left alone then.
        let fates = [DetailsFate::Late, DetailsFate::Paused].map(|one| fate(&world, one));
        assert_eq!(fates, [4, 14]);
        assert!(world.detailed.lock().unwrap().is_empty());
    });
}

#[test]
fn a_source_that_fails_costs_the_details_alone() {
    on_virtual_time(async {
        let (world, start) = world(wish(&["changed", "new"]), 40, false);
        live(&world, &Arc::default(), start, None).await;
        assert_each_once(&world);
        let refused = [DetailsFate::Failed, DetailsFate::Late, DetailsFate::Paused];
        let refused = refused.map(|one| fate(&world, one));
        assert!(refused.iter().sum::<usize>() > 0, "{:?}", world.fates);
    });
}

/// It was not the source that took so long.
#[test]
fn an_intake_that_takes_long_is_not_taken_for_a_source_that_does_not_answer() {
    on_virtual_time(async {
        let mut wish = wish(&["changed"]);
        wish.terms.calls = 100;
        let (mut world, start) = world(wish, 0, false);
        let slow = Arc::get_mut(&mut world).unwrap();
        slow.is_slow = true;
        // The first row of each page: the others of one of them wait for the intake.
        let has_changed = |n: usize| [35, 28, 19, 12, 5].contains(&n);
        for (n, row) in slow.rows.iter_mut().enumerate() {
            row.changes = has_changed(n).then_some(row.received);
        }
        live(&world, &Arc::default(), start, None).await;
        let accepted = world.accepted.lock().unwrap();
        for n in 0..36 {
            let event = if has_changed(n) { n + CHANGED } else { n };
            assert_eq!(accepted.get(&event), Some(&1), "{event}");
        }
        assert!(fate(&world, DetailsFate::Late) > 0, "{:?}", world.fates);
        assert_eq!(fate(&world, DetailsFate::Paused), 0);
        assert_eq!(world.refusals.load(Ordering::Relaxed), 0);
    });
}
