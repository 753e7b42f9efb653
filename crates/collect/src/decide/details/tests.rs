use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn queue(calls: u32) -> DetailsQueue<u32> {
    DetailsQueue::new(DetailsTerms {
        patience: PATIENCE,
        calls,
    })
}

fn received(second: u32) -> Option<DateTime<Utc>> {
    Some(DateTime::UNIX_EPOCH + TimeDelta::seconds(second.into()))
}

/// The row `n` waits, of a message that was received at this second.
fn add(queue: &mut DetailsQueue<u32>, n: u32, second: u32, now: Instant) {
    assert_eq!(queue.turned_away(10, now), None);
    queue.add(BatchId(n), received(second), 10, n, now);
}

fn asked(queue: &mut DetailsQueue<u32>, now: Instant) -> Vec<u32> {
    let mut asked = Vec::new();
    while let Some((_, row)) = queue.next_question(now) {
        asked.push(*row);
    }
    asked
}

fn released(queue: &mut DetailsQueue<u32>, now: Instant) -> Vec<(u32, DetailsFate)> {
    let mut all = Vec::new();
    while let Some((released, _)) = queue.next_released(now) {
        let is_added = released.fate == DetailsFate::Added;
        assert_eq!(released.details.is_some(), is_added);
        all.push((released.row, released.fate));
    }
    all
}

fn after(now: Instant, seconds: u64) -> Instant {
    now + Duration::from_secs(seconds)
}

#[test]
fn the_newest_are_asked_first_and_the_oldest_do_not_wait_in_vain() {
    let now = Instant::now();
    let mut queue = queue(6);
    for (n, second) in [
        (1, 50),
        (2, 10),
        (3, 70),
        (4, 60),
        (5, 20),
        (6, 30),
        (7, 40),
    ] {
        add(&mut queue, n, second, now);
    }
    assert_eq!(queue.due_in(now), Some(Duration::ZERO));
    assert_eq!(released(&mut queue, now), [(2, DetailsFate::Quota)]);
    assert_eq!(asked(&mut queue, now), [3, 4, 1, 7], "four at a time");
    assert_eq!(queue.due_in(now), Some(PATIENCE));
    assert!(!queue.answered(BatchId(4), Some("[]".to_owned())));
    assert!(!queue.answered(BatchId(3), None));
    assert_eq!(
        released(&mut queue, now),
        [(4, DetailsFate::Added), (3, DetailsFate::Unknown)]
    );
    assert_eq!(asked(&mut queue, now), [6, 5]);
    for n in [1, 5, 6, 7] {
        assert!(!queue.answered(BatchId(n), None));
    }
    // The quota is used up until the first call is five minutes old.
    add(&mut queue, 8, 80, after(now, 1));
    let later = after(now, 1);
    let fates = released(&mut queue, later);
    assert_eq!(fates.last(), Some(&(8, DetailsFate::Quota)));
    let later = after(now, 245);
    add(&mut queue, 9, 90, later);
    assert_eq!(asked(&mut queue, later), [0_u32; 0]);
    assert_eq!(queue.due_in(later), Some(Duration::from_secs(55)));
    assert_eq!(asked(&mut queue, after(now, 300)), [9]);
}

#[test]
fn a_row_waits_no_longer_than_it_may() {
    let now = Instant::now();
    let mut queue = queue(10);
    add(&mut queue, 1, 1, now);
    assert_eq!(asked(&mut queue, now), [1]);
    assert_eq!(queue.next_released(after(now, 59)), None);
    let due = after(now, 60);
    let (late, pause) = queue.next_released(due).unwrap();
    assert_eq!(
        (late.row, late.fate, late.is_asked),
        (1, DetailsFate::Late, true)
    );
    assert!(
        pause.is_some(),
        "a source that does not answer is left alone"
    );
    // What comes later is not sent.
    queue.answered(BatchId(1), Some("[]".to_owned()));
    assert_eq!(queue.next_released(due), None);
    assert_eq!(queue.due_in(due), None);
}

/// Nobody may have looked after it for a while, as the intake took nothing.
#[test]
fn a_row_whose_time_is_over_is_not_asked_for() {
    let now = Instant::now();
    let mut queue = queue(10);
    add(&mut queue, 1, 1, now);
    add(&mut queue, 2, 2, after(now, 30));
    let due = after(now, 60);
    assert_eq!(asked(&mut queue, due), [2]);
    let (late, pause) = queue.next_released(due).unwrap();
    assert_eq!(
        (late.row, late.fate, late.is_asked),
        (1, DetailsFate::Late, false)
    );
    assert_eq!(pause, None, "the source was not asked");
    assert_eq!(queue.next_released(due), None);
}

#[test]
fn a_source_that_refuses_is_left_alone_longer_and_longer() {
    let now = Instant::now();
    let mut queue = queue(100);
    for n in 1..4 {
        add(&mut queue, n, n, now);
    }
    assert_eq!(asked(&mut queue, now), [3, 2, 1]);
    let pause = queue.failed(BatchId(3), None, now).unwrap();
    assert!((60..=120).contains(&pause.as_secs()), "{pause:?}");
    assert_eq!(queue.failed(BatchId(2), None, now), None, "it has begun");
    assert_eq!(queue.failed(BatchId(1), None, now), None);
    assert_eq!(released(&mut queue, now).len(), 3);
    assert_eq!(queue.turned_away(1, now), Some(DetailsFate::Paused));
    let over = now + pause;
    // It is over before the row must go.
    add(&mut queue, 4, 4, over - Duration::from_secs(1));
    add(&mut queue, 5, 5, over - Duration::from_secs(1));
    assert!(asked(&mut queue, over - Duration::from_secs(1)).is_empty());
    assert_eq!(
        queue.due_in(over - Duration::from_secs(1)),
        Some(Duration::from_secs(1))
    );
    assert_eq!(asked(&mut queue, over), [5], "one alone tries");
    let longer = queue.failed(BatchId(5), None, over).unwrap();
    assert!(longer >= Duration::from_secs(120), "{longer:?}");
    let mut now = over;
    for n in 6..20 {
        now += Duration::from_secs(4000);
        released(&mut queue, now);
        add(&mut queue, n, n, now);
        assert_eq!(asked(&mut queue, now), [n]);
        let pause = queue.failed(BatchId(n), None, now).unwrap();
        assert!(pause <= Duration::from_secs(3600), "{pause:?}");
    }
    now += Duration::from_secs(4000);
    released(&mut queue, now);
    add(&mut queue, 20, 20, now);
    add(&mut queue, 21, 21, now);
    assert_eq!(asked(&mut queue, now), [21]);
    assert!(queue.answered(BatchId(21), None), "it had refused before");
    assert_eq!(asked(&mut queue, now), [20]);
    let asked_for = Duration::from_secs(240);
    let pause = queue.failed(BatchId(20), Some(asked_for), now);
    assert_eq!(pause, Some(asked_for));
}

/// They would wait in vain: the source is asked again after they must go.
#[test]
fn rows_that_can_get_no_turn_after_a_refusal_go_at_once() {
    let now = Instant::now();
    let mut refused = queue(100);
    for n in 1..7 {
        add(&mut refused, n, n, now);
    }
    assert_eq!(asked(&mut refused, now), [6, 5, 4, 3]);
    let long = Some(Duration::from_secs(200));
    assert_eq!(refused.failed(BatchId(5), long, now), long);
    let gone = [
        (5, DetailsFate::Failed),
        (1, DetailsFate::Paused),
        (2, DetailsFate::Paused),
    ];
    assert_eq!(released(&mut refused, now), gone);
    // Those of which it is being asked may still be answered.
    assert!(refused.answered(BatchId(6), Some("[]".to_owned())));
    assert_eq!(released(&mut refused, now), [(6, DetailsFate::Added)]);

    // So it is when there is no answer in time.
    let mut silent = queue(100);
    for n in 1..6 {
        add(&mut silent, n, n, now);
    }
    add(&mut silent, 6, 0, after(now, 5));
    assert_eq!(asked(&mut silent, now), [5, 4, 3, 2]);
    let gone = [
        (1, DetailsFate::Late),
        (2, DetailsFate::Late),
        (6, DetailsFate::Paused),
        (3, DetailsFate::Late),
        (4, DetailsFate::Late),
        (5, DetailsFate::Late),
    ];
    assert_eq!(released(&mut silent, after(now, 60)), gone);
}

#[test]
fn what_waits_is_bounded() {
    let now = Instant::now();
    let mut queue = queue(u32::MAX);
    for n in 0..1000 {
        add(&mut queue, n, n, now);
    }
    assert_eq!(queue.turned_away(1, now), Some(DetailsFate::Crowded));
    let mut queue = self::queue(100);
    assert_eq!(queue.turned_away(9 << 20, now), Some(DetailsFate::Crowded));
    queue.add(BatchId(1), None, 5 << 20, 1, now);
    assert_eq!(queue.turned_away(4 << 20, now), Some(DetailsFate::Crowded));
    assert_eq!(released(&mut queue, after(now, 60)).len(), 1);
    assert_eq!(queue.turned_away(4 << 20, after(now, 60)), None);
    // What has come waits, too, as long as the intake accepts nothing.
    let mut queue = self::queue(100);
    let long = || Some("x".repeat(3 << 20));
    for n in 1..4 {
        add(&mut queue, n, n, now);
    }
    assert_eq!(asked(&mut queue, now), [3, 2, 1]);
    for n in [3, 2, 1] {
        queue.answered(BatchId(n), long());
    }
    let fates = [
        (3, DetailsFate::Added),
        (2, DetailsFate::Added),
        (1, DetailsFate::Crowded),
    ];
    assert_eq!(released(&mut queue, now), fates);
    add(&mut queue, 4, 4, now);
    assert_eq!(asked(&mut queue, now), [4]);
    queue.answered(BatchId(4), long());
    assert_eq!(released(&mut queue, now), [(4, DetailsFate::Added)]);
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Add(u32),
    Pass(u64),
    Answer(usize, bool),
    Fail(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0_u32..1000).prop_map(Act::Add),
        2 => (0_u64..100).prop_map(Act::Pass),
        3 => (0_usize..4, any::<bool>()).prop_map(|(which, has)| Act::Answer(which, has)),
        1 => (0_usize..4).prop_map(Act::Fail),
    ]
}

proptest! {
    /// Each row is released once and in time, and no more calls are made than are allowed.
    #[test]
    fn each_row_goes_once_and_in_time(calls in 1_u32..12, acts in prop::collection::vec(act(), 0..200)) {
        let start = Instant::now();
        let mut now = start;
        let mut queue = queue(calls);
        let mut since = BTreeMap::new();
        let (mut under_way, mut made) = (Vec::new(), Vec::new());
        for (n, act) in (0..).zip(acts) {
            match act {
                Act::Add(second) => {
                    if queue.turned_away(10, now).is_none() {
                        queue.add(BatchId(n), received(second), 10, n, now);
                        since.insert(n, now);
                    }
                }
                Act::Pass(seconds) => now = after(now, seconds),
                Act::Answer(which, has) if which < under_way.len() => {
                    queue.answered(BatchId(under_way.remove(which)), has.then(String::new));
                }
                Act::Fail(which) if which < under_way.len() => {
                    queue.failed(BatchId(under_way.remove(which)), None, now);
                }
                Act::Answer(..) | Act::Fail(_) => {}
            }
            while let Some((released, _)) = queue.next_released(now) {
                prop_assert!(since.remove(&released.row).is_some(), "once");
                under_way.retain(|row| *row != released.row);
            }
            while let Some((_, row)) = queue.next_question(now) {
                under_way.push(*row);
                made.push(now);
            }
            prop_assert!(under_way.len() <= MOST_CALLS);
            prop_assert!(since.values().all(|at| now < *at + PATIENCE), "in time");
            let lately = made.iter().filter(|at| **at + PERIOD > now).count();
            prop_assert!(lately <= calls as usize);
            prop_assert_eq!(queue.due_in(now).is_some(), !since.is_empty());
            if let Some(due) = queue.due_in(now) {
                prop_assert!(!due.is_zero(), "all that is due was done");
            }
        }
    }
}
