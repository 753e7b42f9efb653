use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::{
    known::{BatchId, DedupDecision},
    testing::Files,
};

impl Journal {
    /// Finds what `store` remembers, which is no less than `expected`, and reads all of it;
    /// `fresh_seed` is used when it remembers nothing.
    pub(crate) async fn open(
        store: &impl Store,
        fresh_seed: [u8; 16],
        expected: &Inventory,
    ) -> io::Result<Remembered> {
        let files = JournalFiles::find(store, fresh_seed, expected, None).await?;
        files.read(store).await
    }
}

impl Files {
    fn segments(&self) -> Vec<String> {
        let mut names = self.names();
        names.retain(|name| name.ends_with(".keys"));
        names
    }

    /// Reading this file fails like this from now on.
    fn fails(&self, name: &str, kind: io::ErrorKind) {
        let mut unreadable = self.unreadable.lock().unwrap();
        unreadable.insert(name.to_owned(), kind);
    }
}

/// The files answer at once, so nothing ever waits.
fn now<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

const SEED_OF_TESTS: [u8; 16] = [1; 16];

/// How many rows are known, once all hours were looked at: before that a row counts as often as it is
/// in the journal.
fn looked_through(files: &Files) -> usize {
    let mut known = open(files).known;
    assert!(!known.knows(row(255, 9, 0).key));
    known.len()
}

fn open(files: &Files) -> Remembered {
    now(Journal::open(files, SEED_OF_TESTS, &Inventory::new())).unwrap()
}

fn at(hour: u32) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::hours(hour.into())
}

fn row(message: u8, status: u8, hour: u32) -> KeyRef {
    let key = RowKeyer::new(SEED_OF_TESTS).key(&[&message.to_string()], &status.to_string());
    KeyRef { hour, key }
}

fn append(journal: &mut Journal, files: &Files, rows: &[KeyRef]) {
    now(journal.append(files, &mut rows.to_vec())).unwrap();
}

#[test]
fn a_torn_segment_costs_only_its_last_frame() {
    let files = Files::default();
    let mut journal = open(&files).journal;
    for n in 0..3 {
        append(&mut journal, &files, &[row(n, 0, 50)]);
    }
    let [name] = <[String; 1]>::try_from(files.segments()).unwrap();
    files.change(&name, |content| _ = content.pop());
    let mut again = open(&files);
    assert_eq!(again.known.len(), 2);
    assert_eq!(
        again.damage,
        ["known-rows/0000000000.keys: 23 of 71 bytes are damaged"]
    );
    assert!(open(&files).damage.is_empty(), "it is said once");
    // What is written from now on lies in a segment of its own.
    append(&mut again.journal, &files, &[row(2, 0, 50)]);
    assert_eq!(open(&files).known.len(), 3);
    assert_eq!(files.segments().len(), 2);
}

#[test]
fn what_another_store_remembers_is_taken_over_once() {
    let (one, other) = (Files::default(), Files::default());
    append(&mut open(&one).journal, &one, &[row(1, 0, 50)]);
    *other.content.lock().unwrap() = one.content.lock().unwrap().clone();
    // Both go on, each in a segment of its own that has the same name.
    append(&mut open(&one).journal, &one, &[row(2, 0, 51)]);
    append(&mut open(&other).journal, &other, &[row(3, 0, 51)]);
    assert_eq!(one.segments(), other.segments());
    for expected in [1, 0] {
        assert_eq!(now(take_over(&one, &other)).unwrap(), expected);
        let mut known = open(&one).known;
        for message in 1..4 {
            assert!(known.knows(row(message, 0, 50).key), "{message}");
        }
        assert_eq!(one.segments().len(), 3);
    }
    // Keys of another seed say nothing.
    let third = Files::default();
    now(Journal::open(&third, [9; 16], &Inventory::new())).unwrap();
    append(&mut open(&third).journal, &third, &[row(4, 0, 51)]);
    assert_eq!(now(take_over(&one, &third)).unwrap(), 0);
}

#[test]
fn all_segments_are_taken_over_but_what_is_no_file_and_none_without_an_answer() {
    let (one, other) = (Files::default(), Files::default());
    append(&mut open(&one).journal, &one, &[row(1, 0, 50)]);
    *other.content.lock().unwrap() = one.content.lock().unwrap().clone();
    for message in 2..5 {
        append(&mut open(&other).journal, &other, &[row(message, 0, 50)]);
    }
    other.fails(&segment_name(3), io::ErrorKind::TimedOut);
    let failed = now(take_over(&one, &other)).unwrap_err();
    assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
    other.has_no_file(Some(&segment_name(3)));
    // What was taken before the failure is not taken again.
    assert_eq!(now(take_over(&one, &other)).unwrap(), 0);
    other.has_no_file(None);
    assert_eq!(now(take_over(&one, &other)).unwrap(), 1);
    let mut known = open(&one).known;
    for message in 1..5 {
        assert!(known.knows(row(message, 0, 50).key), "{message}");
    }
}

#[test]
fn damage_is_found_wherever_it_is() {
    let files = Files::default();
    append(
        &mut open(&files).journal,
        &files,
        &[row(1, 0, 50), row(2, 0, 51)],
    );
    let [name] = <[String; 1]>::try_from(files.segments()).unwrap();
    let whole = files.content.lock().unwrap()[&name].clone();
    for place in 0..48 {
        files.change(&name, |content| content[place] ^= 1);
        let remembered = open(&files);
        assert_eq!(remembered.known.len(), 1);
        assert_eq!(remembered.damage.len(), 1);
        files.change(&name, |content| content.clone_from(&whole));
    }
    // As some file systems leave a file after a crash.
    files.change(&name, |content| content.extend([0; 100]));
    let remembered = open(&files);
    assert_eq!((remembered.known.len(), remembered.damage.len()), (2, 1));
}

#[test]
fn a_seed_that_is_lost_forgets_everything_and_says_so() {
    for damage in [
        |content: &mut Vec<u8>| content[3] ^= 1,
        |content: &mut Vec<u8>| content.clear(),
    ] {
        let files = Files::default();
        append(&mut open(&files).journal, &files, &[row(1, 0, 50)]);
        files.change(SEED, damage);
        files.change(SEED_COPY, damage);
        let remembered = now(Journal::open(&files, [9; 16], &Inventory::new())).unwrap();
        assert!(remembered.known.is_empty() && remembered.seed_taken_back.is_none());
        assert_eq!(
            remembered.damage,
            ["known-rows/seed-v2: missing or damaged, all known rows are forgotten"]
        );
        let again = open(&files);
        assert_eq!(
            again.keyer.key(&["a"], ""),
            RowKeyer::new([9; 16]).key(&["a"], "")
        );
        assert!(again.damage.is_empty() && again.known.is_empty());
    }
}

/// Else one flipped bit has all rows forgotten that were accepted after it.
#[test]
fn what_comes_behind_a_damaged_place_is_known_and_keeps_its_number() {
    let files = Files::default();
    let rows = (1..=9).map(|one| row(one, 0, 47 + u32::from(one / 3)));
    let rows: Vec<KeyRef> = rows.collect();
    append(&mut open(&files).journal, &files, &rows);
    let [name] = <[String; 1]>::try_from(files.segments()).unwrap();
    let whole = files.content.lock().unwrap()[&name].clone();
    // Frames of two, three, three rows and one.
    let bounds = [0, 36, 84, 132, 156];
    assert_eq!(whole.len(), 156);
    for (frame, bound) in bounds.windows(2).enumerate() {
        let places = bound[0]..bound[1];
        let harms: [fn(&mut [u8]); 3] = [
            |frame| frame[5] ^= 4,
            |frame| frame.fill(0),
            |frame| frame.fill(0xff),
        ];
        for harm in harms {
            files.change(&name, |content| {
                content.clone_from(&whole);
                harm(&mut content[places.clone()]);
            });
            for damage in [1, 0] {
                let mut found = open(&files);
                assert_eq!(found.damage.len(), damage, "{:?}", found.damage);
                for one in &rows {
                    let is_lost = frame == usize::try_from(one.hour - 47).unwrap();
                    assert_eq!(found.known.knows(one.key), !is_lost, "{one:?}");
                }
                let counted = found.journal.inventory(at(0));
                let last = if frame == 3 { 8 } else { 9 };
                assert_eq!(counted, Inventory::from([(0, last)]));
            }
        }
    }
    // Two in a row, the second of which says how long it is.
    files.change(&name, |content| {
        content.clone_from(&whole);
        content[bounds[0] + 8] ^= 1;
        content[bounds[1] + 8] ^= 1;
    });
    let mut found = open(&files);
    for one in &rows {
        assert_eq!(found.known.knows(one.key), one.hour > 48, "{one:?}");
    }
    // Nothing takes for ever: each of these heads claims 65 536 keys.
    let heads: Vec<u8> = [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0].repeat(300_000);
    files.change(&name, |content| *content = heads);
    assert!(open(&files).known.is_empty());
}

/// Else one damaged file of twenty bytes has everything sent a second time that is read again.
#[test]
fn a_seed_or_its_copy_may_be_lost() {
    let harms: [fn(&Files, &str); 3] = [
        |files, name| files.change(name, |content| content[3] ^= 1),
        |files, name| _ = files.content.lock().unwrap().remove(name),
        |files, name| files.has_no_file(Some(name)),
    ];
    for harm in harms {
        for (name, from) in [(SEED, Some(SEED_COPY)), (SEED_COPY, None)] {
            let files = Files::default();
            append(&mut open(&files).journal, &files, &[row(1, 0, 50)]);
            harm(&files, name);
            let mut found = now(Journal::open(&files, [9; 16], &Inventory::new())).unwrap();
            assert_eq!(found.seed_taken_back, from);
            assert!(found.known.knows(row(1, 0, 50).key));
            assert!(found.damage.is_empty(), "{:?}", found.damage);
            files.has_no_file(None);
            let content = files.content.lock().unwrap().clone();
            assert_eq!(content[SEED], content[SEED_COPY]);
            let again = now(Journal::open(&files, [9; 16], &Inventory::new())).unwrap();
            assert_eq!((again.seed_taken_back, again.known.len()), (None, 1));
        }
    }
    assert!(is_seed(SEED) && is_seed(SEED_COPY) && !is_seed(&segment_name(0)));
}

/// Else what is journaled after somebody has taken them away belongs to a seed that nobody has.
#[test]
fn both_seeds_are_written_again_when_they_are_taken_away() {
    let files = Files::default();
    for _ in 0..2 {
        let mut journal = open(&files).journal;
        let mut content = files.content.lock().unwrap().clone();
        let kept = std::mem::take(&mut *files.kept.lock().unwrap());
        content.retain(|name, _| is_seed(name));
        assert_eq!(kept, content, "also when a start finds both");
        assert_eq!(kept.len(), 2);
        append(&mut journal, &files, &[row(1, 0, 50)]);
    }
    assert_eq!(looked_through(&files), 1);
}

/// Else all rows that are read again are sent a second time, and nobody says why.
#[test]
fn a_seed_of_another_time_gives_way_or_is_told() {
    let mark = Some(segment::seed_mark(SEED_OF_TESTS));
    let find = |files: &Files, mark| {
        let nothing = Inventory::new();
        let found = now(JournalFiles::find(files, [9; 16], &nothing, mark)).unwrap();
        now(found.read(files)).unwrap()
    };
    let key = |keyer: &RowKeyer| keyer.key(&["a"], "");
    let right = key(&RowKeyer::new(SEED_OF_TESTS));
    let put_back = |files: &Files, names: &[&str]| {
        for name in names {
            let seed = segment::seed([8; 16]).to_vec();
            files.change(name, |content| *content = seed);
        }
    };
    let begun = || {
        let files = Files::default();
        append(&mut open(&files).journal, &files, &[row(1, 0, 50)]);
        files
    };
    for (name, from) in [(SEED, Some(SEED_COPY)), (SEED_COPY, None)] {
        let files = begun();
        put_back(&files, &[name]);
        let found = find(&files, mark);
        assert_eq!((found.seed_taken_back, key(&found.keyer)), (from, right));
        assert!(found.damage.is_empty(), "{:?}", found.damage);
        assert_eq!(found.journal.seed_mark, mark);
        let content = files.content.lock().unwrap().clone();
        assert_eq!(content[SEED], content[SEED_COPY]);
    }
    let files = begun();
    put_back(&files, &[SEED, SEED_COPY]);
    let found = find(&files, mark);
    assert_eq!(found.seed_taken_back, None);
    assert_eq!(key(&found.keyer), key(&RowKeyer::new([8; 16])));
    let said = &found.damage[0];
    assert!(
        said.contains("holds another key than coverage.json"),
        "{said}"
    );
    // The timeline that is kept next tells of this one.
    let found = find(&files, found.journal.seed_mark);
    assert!(found.damage.is_empty(), "{:?}", found.damage);
    // An earlier version has told nothing.
    assert!(find(&files, None).damage.is_empty());
}

#[test]
fn files_of_the_first_version_are_deleted_and_said() {
    let files = Files::default();
    for name in [
        "known-rows/seed-v1",
        "known-rows/0000000001.log",
        "context.json",
    ] {
        files.change(name, |content| content.extend([1; 16]));
    }
    let damage = open(&files).damage;
    assert_eq!(damage.len(), 1);
    assert!(damage[0].contains("earlier version"), "{damage:?}");
    assert_eq!(files.names(), ["context.json", SEED, SEED_COPY]);
    assert!(open(&files).damage.is_empty());
}

#[test]
fn a_failed_append_is_repeated_in_a_new_segment() {
    let files = Files::default();
    let mut journal = open(&files).journal;
    append(&mut journal, &files, &[row(1, 0, 50)]);
    *files.broken.lock().unwrap() = true;
    let mut rows = vec![row(2, 0, 50)];
    now(journal.append(&files, &mut rows)).unwrap_err();
    *files.broken.lock().unwrap() = false;
    append(&mut journal, &files, &rows);
    append(&mut journal, &files, &[row(3, 0, 50)]);
    assert_eq!(files.segments().len(), 2);
    assert_eq!(open(&files).known.len(), 3);
}

#[test]
fn what_is_synced_survives_a_crash_of_the_machine() {
    let files = Files::default();
    let mut journal = open(&files).journal;
    for n in 0..4 {
        append(&mut journal, &files, &[row(n, 0, 50), row(n, 0, 10)]);
        if n == 2 {
            now(journal.sync(&files)).unwrap();
        }
    }
    assert_eq!(files.segments().len(), 2);
    files.crash_of_the_machine();
    let remembered = open(&files);
    assert_eq!(remembered.known.len(), 6);
    assert!(remembered.damage.is_empty());
}

#[test]
fn what_a_killed_process_left_is_safe_once_it_is_known() {
    let files = Files::default();
    append(&mut open(&files).journal, &files, &[row(1, 0, 50)]);
    assert_eq!(open(&files).known.len(), 1);
    files.crash_of_the_machine();
    assert_eq!(open(&files).known.len(), 1);
}

#[test]
fn what_could_not_be_synced_is_written_again_to_new_segments() {
    let files = Files::default();
    let mut journal = open(&files).journal;
    append(&mut journal, &files, &[row(1, 0, 50)]);
    now(journal.sync(&files)).unwrap();
    append(&mut journal, &files, &[row(2, 0, 50), row(2, 0, 10)]);
    *files.broken.lock().unwrap() = true;
    now(journal.sync(&files)).unwrap_err();
    now(journal.sync(&files)).unwrap_err();
    *files.broken.lock().unwrap() = false;
    append(&mut journal, &files, &[row(3, 0, 50)]);
    now(journal.sync(&files)).unwrap();
    files.crash_of_the_machine();
    assert_eq!(looked_through(&files), 4);
    // It is said to be safe by now.
    append(&mut journal, &files, &[row(4, 0, 50)]);
    let segments = files.segments();
    now(journal.sync(&files)).unwrap();
    assert_eq!(files.segments(), segments);
    assert_eq!(looked_through(&files), 5);
}

#[test]
fn old_segments_are_deleted_though_new_rows_come_beside_them() {
    let files = Files::default();
    let mut journal = open(&files).journal;
    for n in 0..10 {
        // A backlog of weeks beside the live edge.
        append(
            &mut journal,
            &files,
            &[row(n, 0, 1000), row(n, 1, 100 + u32::from(n))],
        );
    }
    assert_eq!(files.segments().len(), 2);
    let mut journal = open(&files).journal;
    now(journal.forget_before(&files, at(109))).unwrap();
    assert_eq!(files.segments().len(), 2, "one row is kept");
    now(journal.forget_before(&files, at(110))).unwrap();
    assert_eq!(files.segments().len(), 1);
    append(&mut journal, &files, &[row(77, 0, 1001), row(78, 0, 100)]);
    assert_eq!(files.segments().len(), 3);
    now(journal.forget_before(&files, at(101))).unwrap();
    append(&mut journal, &files, &[row(79, 0, 100)]);
    assert_eq!(open(&files).known.len(), 12);
    now(journal.forget_before(&files, at(2000))).unwrap();
    assert_eq!(files.segments(), [""; 0]);
    append(&mut journal, &files, &[row(79, 0, 2001)]);
    assert_eq!(open(&files).known.len(), 1);
}

/// Else a start would take the first of two statuses for the last.
#[test]
fn rows_of_an_hour_stay_in_their_order_when_it_becomes_old_between() {
    let files = Files::default();
    let mut journal = open(&files).journal;
    let (first, second) = (row(1, 0, 80), row(1, 1, 80));
    append(&mut journal, &files, &[row(2, 0, 10), row(3, 0, 100)]);
    append(&mut journal, &files, &[first]);
    append(&mut journal, &files, &[row(4, 0, 110), second]);
    let mut keys = Vec::new();
    for name in files.segments() {
        let text = files.content.lock().unwrap()[&name].clone();
        _ = segment::replay(&text, |hour, found| {
            if hour == 80 {
                keys.extend_from_slice(found);
            }
        });
    }
    assert_eq!(keys, [first.key.to_bytes(), second.key.to_bytes()]);
}

#[test]
fn segments_are_closed_when_they_are_long() {
    let files = Files::default();
    let mut journal = open(&files).journal;
    let rows = vec![row(1, 1, 50); 1 << 17];
    for _ in 0..7 {
        append(&mut journal, &files, &rows);
    }
    assert_eq!(files.segments().len(), 3);
    assert_eq!(looked_through(&files), 1);
}

#[derive(Clone, Debug)]
enum Step {
    Admit {
        message: u8,
        status: u8,
        dated: bool,
    },
    /// The rows on their way arrive, those with an even message or the others, or all.
    Deliver {
        which: Option<bool>,
    },
    Forget {
        hour: u32,
    },
    /// A crash that leaves this share of the last append, of 256, or none.
    Restart {
        share: Option<u8>,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0_u8..40, 0_u8..3, prop::bool::weighted(0.9))
            .prop_map(|(message, status, dated)| Step::Admit { message, status, dated }),
        3 => any::<Option<bool>>().prop_map(|which| Step::Deliver { which }),
        1 => (100_u32..150).prop_map(|hour| Step::Forget { hour }),
        1 => any::<Option<u8>>().prop_map(|share| Step::Restart { share }),
    ]
}

/// Some are recent, some belong to a backlog.
fn hour_of(message: u8) -> u32 {
    100 + 5 * u32::from(message % 10)
}

/// What known rows must do, in the simplest way.
#[derive(Debug, Default)]
struct Model {
    /// Message and status; the hour.
    delivered: BTreeMap<(u8, u8), u32>,
    on_their_way: BTreeMap<(u8, u8), KeyRef>,
    horizon: u32,
}

impl Model {
    fn admit(&self, message: u8, status: u8, hour: Option<u32>) -> &'static str {
        let row = (message, status);
        let here = |key_ref: &u32| hour.is_none_or(|hour| hour == *key_ref);
        let other = |(m, s): &(u8, u8)| *m == message && *s != status;
        if self.delivered.get(&row).is_some_and(here) {
            "delivered"
        } else if self.on_their_way.contains_key(&row) {
            "on its way"
        } else if self
            .delivered
            .iter()
            .any(|(row, hour)| other(row) && here(hour))
            || self.on_their_way.keys().any(other)
        {
            "changed"
        } else {
            "new"
        }
    }
}

fn word(decision: DedupDecision) -> &'static str {
    match decision {
        DedupDecision::New(_) => "new",
        DedupDecision::Changed(_) => "changed",
        DedupDecision::Delivered => "delivered",
        DedupDecision::OnItsWay(_) => "on its way",
    }
}

proptest! {
    #[test]
    fn known_rows_agree_with_a_simple_model(steps in prop::collection::vec(any_step(), 0..200)) {
        let files = Files::default();
        let mut real = open(&files);
        let mut model = Model::default();
        let mut last: Vec<(u8, u8)> = Vec::new();
        // Messages of even and odd numbers travel in different batches, none of which comes twice.
        let mut sent = 0;
        let batch = |message: u8, sent: u32| BatchId(sent * 2 + u32::from(message % 2));
        for step in steps {
            match step {
                Step::Admit { message, status, dated } => {
                    let key_ref = row(message, status, hour_of(message));
                    let received = dated.then(|| at(key_ref.hour));
                    let expected = model.admit(message, status, received.map(hour));
                    let carrier = batch(message, sent);
                    let decision = real.known.admit(key_ref.key, received, at(key_ref.hour), carrier);
                    prop_assert_eq!(word(decision), expected);
                    if let DedupDecision::New(given) | DedupDecision::Changed(given) = decision {
                        prop_assert_eq!(given, key_ref);
                        model.on_their_way.insert((message, status), key_ref);
                    } else if let DedupDecision::OnItsWay(carrier) = decision {
                        prop_assert_eq!(carrier.0 % 2, u32::from(message % 2));
                        prop_assert!(carrier.0 <= batch(message, sent).0);
                    }
                }
                Step::Deliver { which } => {
                    let arriving: Vec<_> = model.on_their_way.iter()
                        .filter(|((message, _), _)| which.is_none_or(|even| (message % 2 == 0) == even))
                        .map(|(row, key_ref)| (*row, *key_ref))
                        .collect();
                    let rows: Vec<KeyRef> = arriving.iter().map(|(_, key_ref)| *key_ref).collect();
                    append(&mut real.journal, &files, &rows);
                    for earlier in 0..=sent {
                        for parity in [0, 1] {
                            if which.is_none_or(|even| (parity == 0) == even) {
                                real.known.arrived(batch(parity, earlier));
                            }
                        }
                    }
                    sent += 1;
                    if !rows.is_empty() {
                        last = arriving.iter().map(|(row, _)| *row).collect();
                    }
                    for (row, key_ref) in arriving {
                        model.on_their_way.remove(&row);
                        model.delivered.insert(row, key_ref.hour);
                    }
                }
                Step::Forget { hour } => {
                    model.horizon = model.horizon.max(hour);
                    real.known.forget_before(at(model.horizon));
                    now(real.journal.forget_before(&files, at(model.horizon))).unwrap();
                    model.delivered.retain(|_, hour| *hour >= model.horizon);
                }
                Step::Restart { share } => {
                    match share {
                        Some(share) => files.crash(share),
                        None => *files.last.lock().unwrap() = None,
                    }
                    real = open(&files);
                    prop_assert!(share.is_some() || real.damage.is_empty());
                    real.known.forget_before(at(model.horizon));
                    model.on_their_way.clear();
                    model.delivered.retain(|_, hour| *hour >= model.horizon);
                    // What the crash cut off is new again; nothing else is.
                    for (message, status) in last.drain(..) {
                        let key_ref = row(message, status, hour_of(message));
                        let was_there = model.delivered.remove(&(message, status)).is_some();
                        let carrier = batch(message, sent);
                        let decision =
                            real.known.admit(key_ref.key, Some(at(key_ref.hour)), at(0), carrier);
                        if decision == DedupDecision::Delivered {
                            prop_assert!(was_there);
                            model.delivered.insert((message, status), key_ref.hour);
                        } else {
                            prop_assert!(share.is_some() || !was_there);
                            model.on_their_way.insert((message, status), key_ref);
                        }
                    }
                }
            }
            prop_assert_eq!(real.known.len(), model.delivered.len());
        }
    }
}

/// What is kept of two segments: three rows of the last day, two older ones.
fn two_segments(files: &Files) -> Inventory {
    let mut journal = open(files).journal;
    append(&mut journal, files, &[row(1, 0, 100), row(2, 0, 101)]);
    append(&mut journal, files, &[row(3, 0, 10), row(4, 0, 11)]);
    append(&mut journal, files, &[row(5, 0, 102)]);
    now(journal.sync(files)).unwrap();
    assert_eq!(journal.inventory(at(12)), Inventory::from([(0, 3)]));
    let all = journal.inventory(at(11));
    assert_eq!(all, Inventory::from([(0, 3), (1, 2)]));
    all
}

fn expecting(files: &Files, inventory: &Inventory) -> Remembered {
    now(Journal::open(files, SEED_OF_TESTS, inventory)).unwrap()
}

#[test]
fn a_segment_that_has_lost_rows_is_noticed_and_its_number_not_used_again() {
    type Harm = fn(&Files, &str);
    let harms: [(Harm, u64, usize); 3] = [
        (|files, name| files.change(name, Vec::clear), 0, 1),
        (|files, name| now(files.delete(name)).unwrap(), 0, 1),
        // Cut between two frames.
        (
            |files, name| files.change(name, |content| content.truncate(24)),
            1,
            2,
        ),
    ];
    for (harm, left, newest) in harms {
        let files = Files::default();
        let kept = two_segments(&files);
        let whole = expecting(&files, &kept);
        assert!(whole.damage.is_empty(), "{:?}", whole.damage);
        assert_eq!(whole.journal.inventory(at(0)), kept);
        let names = files.segments();
        harm(&files, &names[1]);
        let mut found = expecting(&files, &kept);
        let lost = 2 - left;
        let said = format!(
            "{} has {left} of 2 rows: {lost} may be sent twice",
            names[1]
        );
        assert_eq!(found.damage, [said]);
        assert_eq!(found.known.len(), 3 + usize::try_from(left).unwrap());
        let kept = found.journal.inventory(at(0));
        assert_eq!(kept.len(), newest);
        assert!(
            expecting(&files, &kept).damage.is_empty(),
            "it is said once"
        );
        append(&mut found.journal, &files, &[row(6, 0, 103)]);
        assert!(files.segments().contains(&segment_name(2)), "a new one");
    }
    // More than was counted is no damage: a kill came before the count was kept.
    let files = Files::default();
    two_segments(&files);
    assert!(
        expecting(&files, &Inventory::from([(0, 1)]))
            .damage
            .is_empty()
    );
    // All of it is gone, the seed, too.
    let files = Files::default();
    let said = expecting(&files, &Inventory::from([(0, 1)])).damage;
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("all known rows are forgotten"), "{said:?}");
}

#[test]
fn a_segment_that_a_list_leaves_out_is_not_lost() {
    let files = Files::default();
    let kept = two_segments(&files);
    for name in files.segments() {
        files.unlisted.lock().unwrap().push(name);
        let found = expecting(&files, &kept);
        assert!(found.damage.is_empty(), "{:?}", found.damage);
        assert_eq!(found.known.len(), 5);
        assert_eq!(found.journal.inventory(at(0)), kept);
    }
}

#[test]
fn a_number_is_not_used_again_whether_its_segment_is_there_or_named() {
    let files = Files::default();
    two_segments(&files);
    let mut journal = expecting(&files, &Inventory::from([(7, 1)])).journal;
    append(&mut journal, &files, &[row(6, 0, 103)]);
    assert!(files.segments().contains(&segment_name(8)));
}

/// Else the next one has no number, or an earlier one.
#[test]
fn a_segment_with_the_highest_number_is_left_alone_and_told() {
    let files = Files::default();
    two_segments(&files);
    files.change(&segment_name(u64::MAX), |content| content.push(7));
    let expected = Inventory::from([(u64::MAX - 1, 1)]);
    let mut found = expecting(&files, &expected);
    assert_eq!(found.damage.len(), 2, "{:?}", found.damage);
    assert!(found.damage[0].contains("is left alone: its number is too high"));
    assert_eq!(found.known.len(), 5);
    append(&mut found.journal, &files, &[row(6, 0, 103)]);
    let names = [0, 1, 2, u64::MAX].map(segment_name);
    assert_eq!(files.segments(), names);
}

/// Else the proof would take its new rows for those that it has counted in.
#[test]
fn the_number_of_a_deleted_segment_is_not_used_again() {
    let files = Files::default();
    let mut journal = open(&files).journal;
    append(&mut journal, &files, &[row(1, 0, 50)]);
    now(journal.forget_before(&files, at(51))).unwrap();
    append(&mut journal, &files, &[row(2, 0, 51)]);
    assert_eq!(files.segments(), [segment_name(1)]);
    // One that is only asked for changes nothing, when others have come further.
    for (number, rows) in [(5, 1), (5, 2), (3, 3), (6, 4)] {
        journal.go_on_from(number);
        append(&mut journal, &files, &[row(3, 0, 51)]);
        let kept = Inventory::from([(1, 1), (5, rows)]);
        assert_eq!(journal.inventory(at(0)), kept, "{number}");
    }
}

/// Else its rows would be sent twice, or those of all files without the seed.
#[test]
fn a_file_that_cannot_be_read_at_the_moment_is_neither_missing_nor_damaged() {
    let files = Files::default();
    let kept = two_segments(&files);
    let content = files.content.lock().unwrap().clone();
    for name in files.names() {
        files.fails(&name, io::ErrorKind::TimedOut);
        let failed = now(Journal::open(&files, [9; 16], &kept)).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut, "{name}");
        files.has_no_file(None);
        assert_eq!(*files.content.lock().unwrap(), content, "{name}");
    }
    assert_eq!(expecting(&files, &kept).known.len(), 5);
}

#[test]
fn what_is_doubtful_is_not_counted() {
    let files = Files::default();
    let mut journal = open(&files).journal;
    append(&mut journal, &files, &[row(1, 0, 50), row(2, 0, 50)]);
    *files.broken.lock().unwrap() = true;
    now(journal.sync(&files)).unwrap_err();
    *files.broken.lock().unwrap() = false;
    now(journal.sync(&files)).unwrap();
    assert_eq!(journal.inventory(at(0)), Inventory::from([(1, 2)]));
    *files.broken.lock().unwrap() = true;
    for _ in 0..3 {
        now(journal.append(&files, &mut vec![row(3, 0, 50)])).unwrap_err();
    }
    *files.broken.lock().unwrap() = false;
    assert_eq!(journal.inventory(at(0)), Inventory::from([(1, 2)]));
    let segments = files.segments();
    assert!(
        segments.len() <= 2,
        "no part of a try is left: {segments:?}"
    );
}

#[test]
fn what_is_no_file_is_damage_and_is_left_alone() {
    let files = Files::default();
    let kept = two_segments(&files);
    files.has_no_file(Some(&segment_name(0)));
    let mut found = expecting(&files, &kept);
    assert_eq!(found.damage.len(), 2, "{:?}", found.damage);
    assert!(found.damage[0].contains("left alone: it is a device"));
    assert_eq!(found.known.len(), 2);
    append(&mut found.journal, &files, &[row(6, 0, 103)]);
    assert_eq!(files.segments().len(), 3);
    for seed in [SEED, SEED_COPY] {
        files.fails(seed, io::ErrorKind::InvalidData);
    }
    let found = expecting(&files, &kept);
    assert!(found.damage[0].contains("all known rows are forgotten"));
    assert!(found.known.is_empty());
}
