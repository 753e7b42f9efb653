use bytes::Bytes;
use rows::RowKeyer;

use super::{day::CountedIn, *};
use crate::{
    decide::evidence::SourceTime,
    known::{BatchId, KnownRows},
    testing::{Files, local_time},
};

/// An hour of 2026, and the first one of its day.
const HOUR: u32 = 494_000 / DAY * DAY;

const RETENTION: TimeDelta = TimeDelta::days(30);

fn at(hour: u32) -> DateTime<Utc> {
    window_of(hour).unwrap().start()
}

fn key(row: u32) -> RowKey {
    RowKeyer::new([3; 16]).key(&[row.to_string()], "")
}

/// A collection of whole hours that have one row each, apart from the hours without.
struct Collection {
    files: Files,
    proof: Proof,
    coverage: Coverage,
    known: KnownRows,
}

impl Collection {
    async fn new() -> Self {
        let mut collection = Self {
            files: Files::default(),
            proof: Proof::default(),
            coverage: Coverage::new(at(HOUR)),
            known: KnownRows::default(),
        };
        collection.starts().await;
        collection
    }

    async fn starts(&mut self) {
        self.proof = Proof::open(&self.files).await.unwrap();
        self.proof.set_seed([3; 16]);
        self.proof.begin(&self.coverage, self.coverage.floor());
    }

    fn delivers(&mut self, hour: u32, row: u32) {
        let received = at(hour) + TimeDelta::minutes(row.into());
        self.known
            .admit(key(row), Some(received), received, BatchId(1));
        self.known.arrived(BatchId(1));
    }

    /// A row is journaled, and counts when its hour has a record.
    async fn adds(&mut self, hour: u32, row: u32) {
        let row = [KeyRef {
            hour,
            key: key(row),
        }];
        let found = self.proof.among(&self.files, &row).await.unwrap();
        self.proof.add(found);
    }

    /// Everything before the hour was read for the last time.
    fn finishes(&mut self, hour: u32) {
        let window = Window::new(self.coverage.edge(), at(hour)).unwrap();
        self.coverage.read(window, at(hour), 1);
        self.coverage.settle(TimeDelta::zero(), at(hour));
        let forgotten = self.known.forget_before(at(hour));
        self.proof.fold(&self.coverage, at(hour), forgotten);
    }

    /// A part of the past that is asked for is read for the last time.
    fn reads(&mut self, window: Window, now: u32) {
        self.proof.reopen(&self.coverage, self.coverage.floor());
        self.coverage.read(window, at(now), 1);
        self.coverage.settle(TimeDelta::zero(), at(now));
        let horizon = self.coverage.floor();
        let forgotten = self.known.forget_before(horizon);
        self.proof.fold(&self.coverage, horizon, forgotten);
    }

    async fn keeps(&mut self, now: u32) {
        let position = CountedIn::default();
        let time = local_time(at(now));
        let kept = self.proof.keep(&self.files, &position, time, RETENTION);
        kept.await.unwrap();
    }

    /// Everything before the hour was read for the last time, and the store knows.
    async fn has_kept(&mut self, hour: u32) {
        self.finishes(hour);
        self.keeps(hour).await;
    }

    async fn finds(&mut self, hour: u32) -> Provable {
        let timeline = self.coverage.intervals();
        let found = self.proof.of_hour(&self.files, hour, &timeline);
        found.await.unwrap()
    }

    async fn rows(&mut self, hour: u32) -> u64 {
        match self.finds(hour).await {
            Provable::Yes(record) => record.sums.rows(),
            other => panic!("{other:?}"),
        }
    }
}

fn why(found: Provable) -> String {
    match found {
        Provable::No(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn hours_are_found_again_after_a_start_also_those_without_rows() {
    let mut one = Collection::new().await;
    one.delivers(HOUR + 1, 7);
    one.delivers(HOUR + 30, 8);
    assert_eq!(one.finds(HOUR).await, Provable::Open);
    one.has_kept(HOUR + 40).await;
    one.starts().await;
    let mut rows = Vec::new();
    for hour in HOUR..HOUR + 40 {
        rows.push(one.rows(hour).await);
    }
    let expected = (0..40).map(|hour| u64::from([1, 30].contains(&hour)));
    assert_eq!(rows, expected.collect::<Vec<_>>());
    assert_eq!(one.finds(HOUR + 40).await, Provable::Open);
    let never = why(one.finds(HOUR - 1).await);
    assert_eq!(never, "this module has not collected it");
}

#[tokio::test]
async fn a_row_that_comes_after_its_hour_was_done_is_added() {
    let mut one = Collection::new().await;
    one.delivers(HOUR, 7);
    one.finishes(HOUR + 2);
    for (row, start) in [(8, false), (9, true)] {
        if start {
            one.starts().await;
        }
        one.adds(HOUR, row).await;
        one.keeps(HOUR + 2).await;
    }
    assert_eq!(one.rows(HOUR).await, 3);
    let newest = [KeyRef {
        hour: HOUR + 2,
        key: key(1),
    }];
    assert_eq!(one.proof.among(&one.files, &newest).await.unwrap(), []);
}

#[tokio::test]
async fn a_start_counts_what_the_journal_has_beyond() {
    let mut one = Collection::new().await;
    one.finishes(HOUR + 2);
    one.proof
        .keep(
            &one.files,
            &CountedIn {
                next: 9,
                open: [(8, 3), (7, 1)].into(),
            },
            local_time(at(HOUR + 2)),
            RETENTION,
        )
        .await
        .unwrap();
    one.starts().await;
    let keys: Vec<RowKey> = (0..9).map(key).collect();
    let part = |segment, before, rows: std::ops::Range<usize>| Replayed {
        segment,
        before,
        keys: &keys[rows],
    };
    // Counted: all of an earlier segment, and of the open ones what was there. What was written again
    // as nobody knew whether the disk had it is one row.
    let rows = [part(6, 0, 0..3), part(8, 2, 3..5), part(9, 0, 4..6)];
    one.proof.replay(&one.files, HOUR, &rows).await.unwrap();
    one.keeps(HOUR + 2).await;
    assert_eq!(one.rows(HOUR).await, 2);
}

/// As one that goes on does.
#[tokio::test]
async fn a_start_counts_statuses_in_the_order_in_which_they_were_accepted() {
    let mut one = Collection::new().await;
    one.delivers(HOUR, 1);
    one.has_kept(HOUR + 1).await;
    let keyer = RowKeyer::new([3; 16]);
    let mut keys = ["delivered", "failed"].map(|status| keyer.key(&["7"], status));
    for _ in 0..2 {
        keys.reverse();
        let rows = [Replayed {
            segment: 9,
            before: 0,
            keys: &keys,
        }];
        one.proof.replay(&one.files, HOUR, &rows).await.unwrap();
        let added = one.proof.additions.remove(&HOUR);
        assert_eq!(added, Some(keys.to_vec()));
    }
}

#[tokio::test]
async fn what_is_damaged_is_said_and_not_guessed_at() {
    let mut one = Collection::new().await;
    one.delivers(HOUR + 1, 7);
    one.has_kept(HOUR + 30).await;
    let names = one.files.names();
    let (first, second) = (names[0].clone(), names[1].clone());
    assert!(
        first.starts_with("proof/20") && first.ends_with(".v1"),
        "{names:?}"
    );
    // The record of one hour.
    one.files.change(&first, |text| {
        let line = text.iter().position(|byte| *byte == b'\n').unwrap();
        text[line + 20] ^= 1;
    });
    one.starts().await;
    assert_eq!(
        why(one.finds(HOUR).await),
        format!("{first} is damaged where it was")
    );
    assert_eq!(one.rows(HOUR + 1).await, 1);
    // The known rows of a journal that is still there do not make a record of it.
    one.delivers(HOUR, 8);
    one.has_kept(HOUR + 31).await;
    assert!(why(one.finds(HOUR).await).contains("damaged"));
    // The file.
    one.files.change(&second, |text| text.truncate(3));
    one.starts().await;
    assert_eq!(
        why(one.finds(HOUR + 25).await),
        format!("{second} is damaged")
    );
    one.has_kept(HOUR + 32).await;
    assert!(why(one.finds(HOUR + 25).await).contains("damaged where it was"));
    assert_eq!(
        one.rows(HOUR + 31).await,
        0,
        "what comes later has a record"
    );
    // No file.
    one.files.delete(&first).await.unwrap();
    one.starts().await;
    assert!(why(one.finds(HOUR + 3).await).contains("has no record in"));
    // Other keys.
    one.proof.set_seed([4; 16]);
    let reason = why(one.finds(HOUR + 31).await);
    assert!(
        reason.ends_with("was made with keys that are lost"),
        "{reason}"
    );
}

#[tokio::test]
async fn the_seed_is_found_in_the_newest_day_that_can_be_read() {
    let mut one = Collection::new().await;
    assert_eq!(one.proof.kept_seed(&one.files).await.unwrap(), None);
    one.has_kept(HOUR + 30).await;
    let newest = one.files.names().last().unwrap().clone();
    one.files.change(&newest, Vec::clear);
    one.starts().await;
    assert_eq!(
        one.proof.kept_seed(&one.files).await.unwrap(),
        Some([3; 16])
    );
}

#[tokio::test]
async fn days_that_the_source_has_forgotten_are_deleted_and_few_are_in_memory() {
    let mut one = Collection::new().await;
    one.has_kept(HOUR + 24 * 120).await;
    let days = one.files.names().len() - 1; // and the notes
    assert!((90..=93).contains(&days), "{days}");
    assert_eq!(one.proof.days.values().flatten().count(), AT_HAND);
    assert_eq!(one.rows(HOUR + 24 * 95).await, 0);
    assert_eq!(one.proof.days.values().flatten().count(), AT_HAND);
}

#[tokio::test]
async fn days_are_deleted_when_both_clocks_say_so() {
    let mut one = Collection::new().await;
    one.has_kept(HOUR + 2).await;
    let names = one.files.names();
    let later = at(HOUR + 24 * 120);
    for certain in [None, Some(at(HOUR + 2))] {
        let time = SourceTime {
            certain,
            ..local_time(later)
        };
        let position = CountedIn::default();
        let kept = one.proof.keep(&one.files, &position, time, RETENTION);
        kept.await.unwrap();
        assert_eq!(one.files.names(), names);
    }
    one.keeps(HOUR + 24 * 60).await;
    assert_eq!(one.files.names(), names, "another source may show them");
    one.keeps(HOUR + 24 * 120).await;
    assert_eq!(one.files.names().len(), names.len() - 1);
}

#[tokio::test]
async fn notes_survive_a_stop_and_go_into_the_record() {
    let mut one = Collection::new().await;
    one.proof.note(HOUR, |notes| notes.late += 2);
    one.proof
        .read(Window::new(at(HOUR), at(HOUR + 1)).unwrap(), at(HOUR + 3));
    one.proof.write_notes(&one.files).await.unwrap();
    one.starts().await;
    one.proof
        .read(Window::new(at(HOUR), at(HOUR + 2)).unwrap(), at(HOUR + 4));
    one.finishes(HOUR + 1);
    one.keeps(HOUR + 4).await;
    let Provable::Yes(record) = one.finds(HOUR).await else {
        panic!("a record");
    };
    let expected = Notes {
        late: 2,
        first_read: Some(at(HOUR + 3)),
        last_read: Some(at(HOUR + 4)),
        ..Notes::default()
    };
    assert_eq!(record.notes, expected);
}

#[tokio::test]
async fn an_hour_whose_record_is_taken_away_gets_another() {
    let mut one = Collection::new().await;
    one.delivers(HOUR + 3, 7);
    one.has_kept(HOUR + 5).await;
    let resend = one
        .proof
        .take_away(&one.files, HOUR + 3, CountedIn::default());
    resend.await.unwrap();
    let asked = Window::new(at(HOUR + 3), at(HOUR + 4)).unwrap();
    one.coverage.backfill(asked, true);
    one.proof.reopen(&one.coverage, one.coverage.floor());
    for row in 7..9 {
        one.delivers(HOUR + 3, row);
    }
    one.coverage.read(asked, at(HOUR + 5), 2);
    one.coverage.settle(TimeDelta::zero(), at(HOUR + 5));
    let forgotten = one.known.forget_before(at(HOUR + 5));
    one.proof.fold(&one.coverage, at(HOUR + 5), forgotten);
    one.keeps(HOUR + 5).await;
    assert_eq!((one.rows(HOUR + 3).await, one.rows(HOUR + 2).await), (2, 0));
}

#[tokio::test]
async fn an_hour_that_is_asked_for_before_an_earlier_one_is_folded_gets_a_record() {
    let mut one = Collection::new().await;
    one.has_kept(HOUR + 2).await;
    for hour in [HOUR - 4, HOUR - 2] {
        let asked = Window::new(at(hour), at(hour + 1)).unwrap();
        one.coverage.backfill(asked, true);
        one.proof.reopen(&one.coverage, one.coverage.floor());
        one.delivers(hour, 7);
        one.coverage.read(asked, at(HOUR + 2), 1);
        one.coverage.settle(TimeDelta::zero(), at(HOUR + 2));
    }
    let forgotten = one.known.forget_before(at(HOUR + 2));
    one.proof.fold(&one.coverage, at(HOUR + 2), forgotten);
    one.keeps(HOUR + 2).await;
    assert_eq!((one.rows(HOUR - 4).await, one.rows(HOUR - 2).await), (1, 1));
}

/// Else the rows of that would be told as accepted and not shown.
#[tokio::test]
async fn an_hour_of_which_more_was_read_is_open_until_its_record_says_so() {
    let mut one = Collection::new().await;
    one.has_kept(HOUR + 2).await;
    let half = TimeDelta::minutes(30);
    let [first, second] =
        [at(HOUR - 4), at(HOUR - 4) + half].map(|start| Window::new(start, start + half).unwrap());
    one.coverage.backfill(first, false);
    one.delivers(HOUR - 4, 7);
    one.reads(first, HOUR + 2);
    one.keeps(HOUR + 2).await;
    assert_eq!(one.rows(HOUR - 4).await, 1);
    // An older one of these fails for now.
    let older = Window::new(at(HOUR - 6), at(HOUR - 5)).unwrap();
    one.coverage.backfill(older, false);
    one.coverage.backfill(second, false);
    one.delivers(HOUR - 4, 40);
    one.adds(HOUR - 4, 40).await;
    one.reads(second, HOUR + 2);
    one.keeps(HOUR + 2).await;
    assert_eq!(one.finds(HOUR - 4).await, Provable::Open);
    one.reads(older, HOUR + 2);
    one.keeps(HOUR + 2).await;
    let Provable::Yes(record) = one.finds(HOUR - 4).await else {
        panic!("a record");
    };
    assert_eq!(record.sums.rows(), 2);
    let whole = Window::new(at(HOUR - 4), at(HOUR - 3)).unwrap();
    assert_eq!(record.parts, [whole]);
}

/// Else its rows, which were forgotten, would count twice.
#[tokio::test]
async fn an_hour_all_of_which_is_read_again_has_its_record_made_anew() {
    let mut one = Collection::new().await;
    let rows = [(HOUR, 7), (HOUR, 8), (HOUR + 1, 9)];
    for (hour, row) in rows {
        one.delivers(hour, row);
    }
    one.has_kept(HOUR + 3).await;
    // The position is moved back.
    let back = Window::new(at(HOUR), at(HOUR + 2)).unwrap();
    one.coverage.want(back);
    one.starts().await;
    for (hour, row) in rows {
        one.delivers(hour, row);
        one.adds(hour, row).await;
        if row == 7 {
            one.keeps(HOUR + 3).await;
        }
    }
    assert_eq!(one.finds(HOUR).await, Provable::Open);
    one.reads(back, HOUR + 3);
    one.adds(HOUR + 1, 10).await;
    one.keeps(HOUR + 3).await;
    assert_eq!((one.rows(HOUR).await, one.rows(HOUR + 1).await), (2, 2));
    one.starts().await;
    assert_eq!((one.rows(HOUR).await, one.rows(HOUR + 2).await), (2, 0));
}

#[tokio::test]
async fn what_was_done_and_not_folded_at_a_stop_is_folded_after_the_start() {
    let mut one = Collection::new().await;
    one.has_kept(HOUR + 2).await;
    one.delivers(HOUR + 2, 7);
    // A collection begins later than a backfill has ended: that is done, too, at once.
    one.coverage.reach(at(HOUR + 4));
    let window = Window::new(at(HOUR + 2), at(HOUR + 4)).unwrap();
    one.coverage.read(window, at(HOUR + 4), 1);
    one.coverage.settle(TimeDelta::zero(), at(HOUR + 4));
    one.starts().await;
    one.delivers(HOUR + 4, 8);
    one.has_kept(HOUR + 5).await;
    assert_eq!((one.rows(HOUR + 2).await, one.rows(HOUR + 4).await), (1, 1));
}

#[tokio::test]
async fn what_a_backfill_had_read_counts_although_a_start_gives_it_up() {
    let mut one = Collection::new().await;
    one.has_kept(HOUR + 2).await;
    let asked = [HOUR - 4, HOUR - 2].map(|hour| Window::new(at(hour), at(hour + 1)).unwrap());
    for window in asked {
        one.coverage.backfill(window, true);
    }
    one.proof.reopen(&one.coverage, one.coverage.floor());
    one.delivers(HOUR - 4, 7);
    one.coverage.read(asked[0], at(HOUR + 2), 1);
    one.coverage.settle(TimeDelta::zero(), at(HOUR + 2));
    one.keeps(HOUR + 2).await;
    one.coverage.give_up_backfill(|_| false);
    one.starts().await;
    one.has_kept(HOUR + 3).await;
    assert_eq!(one.rows(HOUR - 4).await, 1);
}

#[tokio::test]
async fn an_hour_that_is_not_sent_again_after_all_gets_no_record_of_what_nobody_has_read() {
    let mut one = Collection::new().await;
    for row in [HOUR, HOUR + 1] {
        one.delivers(row, 7);
    }
    one.has_kept(HOUR + 2).await;
    one.proof.forget_record(&one.files, HOUR).await.unwrap();
    let both = Window::new(at(HOUR), at(HOUR + 2)).unwrap();
    one.coverage.backfill(both, true);
    one.proof.reopen(&one.coverage, one.coverage.floor());
    let given_up = one.coverage.give_up_backfill(|_| false);
    one.proof.close(&given_up);
    one.has_kept(HOUR + 3).await;
    assert!(why(one.finds(HOUR).await).contains("has no record in"));
    assert_eq!(one.rows(HOUR + 1).await, 1);
}

#[tokio::test]
async fn a_start_that_does_not_know_what_was_folded_makes_no_record_of_what_is_forgotten() {
    for text in [None, Some("{")] {
        let mut one = Collection::new().await;
        one.delivers(HOUR + 1, 7);
        one.finishes(HOUR + 4);
        let asked = Window::new(at(HOUR - 4), at(HOUR - 3)).unwrap();
        one.coverage.backfill(asked, false);
        one.files = Files::default();
        if let Some(text) = text {
            let text = Bytes::from_static(text.as_bytes());
            one.files.write(NOTES_FILE, text).await.unwrap();
        }
        one.starts().await;
        assert_eq!(one.proof.damage().is_some(), text.is_some());
        one.delivers(HOUR - 4, 8);
        one.coverage.read(asked, at(HOUR + 4), 1);
        one.coverage.settle(TimeDelta::zero(), at(HOUR + 4));
        one.has_kept(HOUR + 5).await;
        assert!(why(one.finds(HOUR + 1).await).contains("has no record in"));
        let rows = (one.rows(HOUR - 4).await, one.rows(HOUR + 4).await);
        assert_eq!(rows, (1, 0));
    }
}

/// Else a start would take all hours for ones that were never folded.
#[tokio::test]
async fn no_notes_are_kept_before_it_is_known_what_was_folded() {
    let files = Files::default();
    let mut proof = Proof::open(&files).await.unwrap();
    proof.note(HOUR, |notes| notes.late += 1);
    proof.write_notes(&files).await.unwrap();
    assert_eq!(files.names(), Vec::<String>::new());
    proof.begin(&Coverage::new(at(HOUR)), at(HOUR));
    proof.note(HOUR, |notes| notes.late += 1);
    proof.write_notes(&files).await.unwrap();
    assert_eq!(files.names(), [NOTES_FILE]);
}

/// Else a start folds hours anew whose rows are forgotten, and proves nothing of them.
#[tokio::test]
async fn which_hours_were_folded_is_kept_at_once_and_what_was_noticed_a_minute_later() {
    let mut one = Collection::new().await;
    one.has_kept(HOUR + 2).await;
    one.finishes(HOUR + 3);
    one.keeps(HOUR + 2).await;
    one.starts().await;
    assert!(one.proof.was_folded(HOUR + 2) && !one.proof.was_folded(HOUR + 3));
    for now in [HOUR + 3, HOUR + 4] {
        one.proof.note(HOUR + 3, |notes| notes.late += 1);
        one.keeps(now).await;
    }
    one.starts().await;
    assert_eq!(one.proof.open.notes[&(HOUR + 3)].late, 2);
}

/// Else rows that are delivered once more would be missing in them.
#[tokio::test]
async fn a_start_that_knows_of_no_folded_hour_still_finds_their_records() {
    let mut one = Collection::new().await;
    one.has_kept(HOUR + 2).await;
    one.files.delete(NOTES_FILE).await.unwrap();
    one.coverage = Coverage::new(at(HOUR));
    one.starts().await;
    let rows = [HOUR + 1, HOUR + 2].map(|hour| KeyRef { hour, key: key(7) });
    let found = one.proof.among(&one.files, &rows).await.unwrap();
    assert_eq!(found, rows[..1]);
}

/// A segment with such a number would count as counted in.
#[tokio::test]
async fn a_start_knows_how_far_the_journal_had_come_when_hours_were_begun_again() {
    let position = |next| CountedIn {
        next,
        ..CountedIn::default()
    };
    let mut one = Collection::new().await;
    one.has_kept(HOUR + 2).await;
    let resend = one.proof.take_away(&one.files, HOUR, position(9));
    resend.await.unwrap();
    one.keeps(HOUR + 2).await;
    one.starts().await;
    assert_eq!(one.proof.counted_in(), 9);
    one.proof.renews(HOUR + 1, position(11));
    one.keeps(HOUR + 2).await;
    one.starts().await;
    assert_eq!(one.proof.counted_in(), 11);
}

/// Else an order would be carried out twice of which nothing else says that it has ended.
#[test]
fn the_last_orders_that_have_ended_are_known() {
    let id = uuid::Uuid::from_u128;
    let mut proof = Proof::default();
    for number in 0..=8 {
        proof.ends_order(id(number));
    }
    proof.ends_order(id(1));
    assert!(!proof.has_ended(id(0)));
    assert!((1..=8).all(|number| proof.has_ended(id(number))));
    assert!(!proof.has_ended(id(9)));
}

/// Else one that is shown with its date later would seem to be missing in its hour.
#[tokio::test]
async fn rows_that_belong_to_no_hour_are_remembered_for_as_long_as_there_are_records() {
    let mut one = Collection::new().await;
    let messages = [7, 8].map(|row| key(row).message());
    _ = one.known.admit_stray(key(7), at(HOUR + 1), BatchId(1));
    one.delivers(HOUR + 1, 8);
    one.has_kept(HOUR + 1).await;
    assert_eq!(one.proof.delivered_beside(&messages), [], "it is known");
    one.has_kept(HOUR + 2).await;
    assert!(!one.known.knows(key(7)));
    assert_eq!(one.rows(HOUR + 1).await, 1, "it counts in none");
    for _ in 0..2 {
        assert_eq!(one.proof.delivered_beside(&messages), [key(7)]);
        one.starts().await;
    }
    // Its record is as old as it is.
    let days = u32::try_from(RETENTION.max(TimeDelta::days(90)).num_days()).unwrap();
    let end = HOUR + (days + 2) * DAY;
    one.keeps(end).await;
    assert_eq!(one.proof.delivered_beside(&messages), [key(7)]);
    for hour in [end + DAY, end + DAY] {
        one.keeps(hour).await;
    }
    one.starts().await;
    assert_eq!(one.proof.delivered_beside(&messages), []);
}

#[tokio::test]
async fn of_too_many_rows_that_belong_to_no_hour_those_are_remembered_that_were_shown_last() {
    let mut one = Collection::new().await;
    // Half as many again as may be, of which the first was shown once more.
    for row in 0..30 {
        _ = one.known.admit_stray(key(row), at(HOUR + row), BatchId(1));
    }
    one.known.arrived(BatchId(1));
    _ = one.known.admit_stray(key(0), at(HOUR + 29), BatchId(2));
    one.has_kept(HOUR + 30).await;
    one.starts().await;
    let remembered = |row: &u32| {
        !one.proof
            .delivered_beside(&[key(*row).message()])
            .is_empty()
    };
    let remembered: Vec<u32> = (0..30).filter(remembered).collect();
    let expected = [0].into_iter().chain(11..30);
    assert_eq!(remembered, expected.collect::<Vec<_>>());
    // Other keys say nothing of them.
    one.proof.set_seed([4; 16]);
    assert_eq!(one.proof.delivered_beside(&[key(0).message()]), []);
}

/// A flipped bit must not make another row of one.
#[tokio::test]
async fn of_a_damaged_file_no_row_that_belongs_to_no_hour_is_known() {
    let mut one = Collection::new().await;
    _ = one.known.admit_stray(key(7), at(HOUR + 1), BatchId(1));
    one.known.arrived(BatchId(1));
    one.has_kept(HOUR + 2).await;
    let name = "proof/beside.v1";
    let text = one.files.read(name).await.unwrap().unwrap();
    for at in 0..text.len() {
        let mut damaged = text.to_vec();
        damaged[at] ^= 1;
        one.files.write(name, damaged.into()).await.unwrap();
        one.starts().await;
        let found = one.proof.delivered_beside(&[key(7).message()]);
        assert_eq!(found, [], "{at}");
    }
}

/// By that the quiet hours are chosen.
#[tokio::test]
async fn rows_of_the_last_week_are_counted_by_the_hour_of_the_day() {
    let mut one = Collection::new().await;
    // The first of them is older.
    for (hour, row) in [(3, 1), (4 * 24 + 3, 2), (5 * 24 + 3, 3), (10 * 24, 4)] {
        one.delivers(HOUR + hour, row);
    }
    let end = HOUR + 10 * 24 + 1;
    one.has_kept(end).await;
    let counts = one.proof.by_hour_of_day(&one.files, at(end)).await;
    let mut expected = [(7, 0); DAY as usize];
    (expected[0].1, expected[3].1) = (1, 2);
    assert_eq!(counts.unwrap(), expected);
}

/// It may take 2 MiB at a million rows a day, of which a tenth changes its status, while a day settles.
#[test]
fn it_takes_little_memory() {
    let mut proof = Proof::default();
    let (hours, rows) = (25, 1_000_000 / 24 / 10);
    for row in (0..hours * rows).map(key) {
        let hour = HOUR + u32::from(row.to_bytes()[0]) % hours;
        proof.changed(KeyRef { hour, key: row });
    }
    let changed = proof.changed.values();
    let changed: usize = changed.map(|rows| rows.capacity() * RowKey::BYTES).sum();
    let records = AT_HAND * DAY as usize * (Sums::BYTES + size_of::<HourRecord>());
    assert!(changed + records < 2 << 20, "{changed} {records}");
}
