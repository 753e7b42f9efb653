use uuid::Uuid;

use super::{
    order::{Act, LettersOrder, LettersOutcome, Work},
    *,
};
use crate::{
    order::OrderFile,
    testing::{Files, at_second as at},
};

fn undelivered(text: &str) -> Undelivered {
    Undelivered {
        reason: "the intake says no".to_owned(),
        copy_sent: false,
        content: Content::Event(text.to_owned()),
    }
}

async fn keep(letters: &mut Letters, files: &Files, seconds: i64, text: &str) -> String {
    let kept = letters.keep(files, at(seconds), undelivered(text)).await;
    kept.unwrap().expect("room")
}

fn owner(intake: &str) -> Owner {
    Owner {
        intake: intake.to_owned(),
        identify: |text| Some(format!("<{}>", text.len())),
    }
}

async fn open(files: &Files) -> Letters {
    Letters::open(files, owner("f00d"), Room::WIDE)
        .await
        .unwrap()
}

/// Two letters, each in a file of its own.
async fn first_and_second(files: &Files) -> (Letters, String, String) {
    let mut letters = open(files).await;
    let first = keep(&mut letters, files, 0, "first").await;
    let mut letters = open(files).await;
    let second = keep(&mut letters, files, 0, "second").await;
    (letters, first, second)
}

async fn texts(files: &Files) -> Vec<String> {
    let mut texts = Vec::new();
    let look = |letter: Letter| texts.push(letter.content.text().to_owned());
    each(files, look).await.unwrap();
    texts
}

#[tokio::test]
async fn a_letter_says_all_there_is_to_say_and_is_found_again() {
    let files = Files::default();
    let mut letters = open(&files).await;
    let first = keep(&mut letters, &files, 0, "{\"a\":1}").await;
    let bytes = Undelivered {
        content: Content::bytes(b"\xe9\n"),
        copy_sent: true,
        ..undelivered("")
    };
    let second = letters.keep(&files, at(5), bytes).await.unwrap().unwrap();
    let lines = files.text();
    let expected = format!(
        "{{\"id\":\"{first}\",\"time\":\"2027-01-15T08:00:00Z\",\"reason\":\"the intake says no\",\
         \"intake\":\"f00d\",\"message_id\":\"<7>\",\"event\":\"{{\\\"a\\\":1}}\"}}\n\
         {{\"id\":\"{second}\",\"time\":\"2027-01-15T08:00:05Z\",\"reason\":\"the intake says no\",\
         \"intake\":\"f00d\",\"message_id\":null,\"copy_sent\":true,\"bytes\":\"6Qo=\"}}\n"
    );
    assert_eq!(lines, expected);
    let again = open(&files).await;
    let stock = Stock {
        letters: 2,
        bytes: lines.len() as u64,
        oldest: Some(at(0)),
    };
    assert_eq!((letters.stock(), again.stock()), (stock, stock));
    assert_eq!(again.ids(), [first.clone(), second]);
    let found = again
        .find(&files, &first, &mut None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.content, Content::Event("{\"a\":1}".to_owned()));
}

#[tokio::test]
async fn the_same_content_is_kept_once_for_an_intake() {
    let files = Files::default();
    let mut letters = open(&files).await;
    let first = keep(&mut letters, &files, 0, "x").await;
    assert_eq!(keep(&mut letters, &files, 9, "x").await, first);
    assert_eq!(open(&files).await.ids(), std::slice::from_ref(&first));
    let mut other = Letters::open(&files, owner("beef"), Room::WIDE)
        .await
        .unwrap();
    assert_ne!(keep(&mut other, &files, 9, "x").await, first);
    assert_eq!(other.stock().letters, 2);
}

/// A file is read up to the length at which it is closed.
#[tokio::test]
async fn what_is_too_long_for_a_file_is_kept_in_parts_that_are_found_again() {
    let files = Files::default();
    let mut letters = open(&files).await;
    let text: String = (0..3_000_000).map(|n| format!("{n:07}")).collect();
    let first = keep(&mut letters, &files, 0, &text).await;
    assert_eq!(keep(&mut letters, &files, 9, &text).await, first, "once");
    let (mut bytes, mut reasons) = (Vec::new(), Vec::new());
    let look = |letter: Letter| {
        assert_eq!(letter.message_id.as_deref(), Some("<21000000>"));
        bytes.push(letter.content);
        reasons.push(letter.reason);
    };
    each(&files, look).await.unwrap();
    let parts = text.as_bytes().chunks(8 << 20).map(Content::bytes);
    assert!(bytes.iter().cloned().eq(parts), "{reasons:?}");
    assert!(
        reasons[0].starts_with("the intake says no (part 1 of 3 "),
        "{reasons:?}"
    );
    let again = open(&files).await;
    assert!(again.files.values().all(|bytes| *bytes <= FILE_BYTES));
    assert!(again.stock().letters == 3 && again.ids().contains(&first));
    // Bytes are parted as they are.
    let content = Content::bytes(text.as_bytes());
    let whole = Undelivered {
        content,
        ..undelivered("")
    };
    let kept = letters.keep(&files, at(9), whole).await.unwrap();
    assert_eq!(kept, Some(first));
}

#[tokio::test]
async fn rotation_begins_a_new_file_and_deletes_nothing() {
    let files = Files::default();
    let mut letters = open(&files).await;
    let long = "y".repeat(7 << 20);
    for n in 0..3 {
        keep(&mut letters, &files, n, &format!("{n}{long}")).await;
    }
    let names = [
        "dead-letters/0000000001.jsonl",
        "dead-letters/0000000002.jsonl",
    ];
    assert_eq!(files.names(), names);
    assert_eq!(texts(&files).await.len(), 3);
    // What a restart finds may end with half a line.
    let mut again = open(&files).await;
    keep(&mut again, &files, 3, "z").await;
    assert_eq!(files.names().len(), 3);
}

#[tokio::test]
async fn at_the_bound_nothing_more_is_kept_until_there_is_room() {
    let files = Files::default();
    for room in [
        Room {
            letters: 2,
            ..Room::WIDE
        },
        Room {
            bytes: 300,
            ..Room::WIDE
        },
    ] {
        files.content.lock().unwrap().clear();
        let mut letters = Letters::open(&files, owner("f00d"), room).await.unwrap();
        let first = keep(&mut letters, &files, 0, "1").await;
        keep(&mut letters, &files, 0, "2").await;
        let full = letters.keep(&files, at(0), undelivered("3")).await.unwrap();
        assert_eq!((full, letters.stock().letters), (None, 2));
        let known = letters.keep(&files, at(0), undelivered("1")).await.unwrap();
        assert_eq!(known.as_ref(), Some(&first), "it has its place");
        letters
            .settle(&files, &[first].into(), Settled::Dropped, at(1))
            .await
            .unwrap();
        keep(&mut letters, &files, 0, "3").await;
        assert_eq!(texts(&files).await, ["2", "3"]);
    }
}

/// With a failure at any moment, what was kept stays until it is settled, and what is settled
/// does not come back.
#[tokio::test]
async fn a_crash_at_any_moment_loses_no_letter_and_brings_none_back() {
    for operations in 0..12 {
        let files = Files::default();
        let mut letters = open(&files).await;
        let kept = keep(&mut letters, &files, 0, "kept").await;
        let gone = keep(&mut letters, &files, 0, "gone").await;
        files.breaks_after(Some(operations));
        let settled = letters
            .settle(&files, &[gone.clone()].into(), Settled::Accepted, at(1))
            .await;
        let added = letters.keep(&files, at(2), undelivered("added")).await;
        files.breaks_after(None);
        let mut again = open(&files).await;
        let texts = texts(&files).await;
        assert!(
            texts.contains(&"kept".to_owned()),
            "{operations}: {texts:?}"
        );
        assert!(again.ids().contains(&kept));
        if settled.is_ok() {
            assert!(
                !texts.contains(&"gone".to_owned()),
                "{operations}: {texts:?}"
            );
        }
        if added.is_ok() {
            assert!(
                texts.contains(&"added".to_owned()),
                "{operations}: {texts:?}"
            );
        }
        assert_eq!(texts.len(), again.ids().len());
        // And it goes on.
        keep(&mut again, &files, 9, "later").await;
        assert_eq!(again.stock().letters, texts.len() + 1);
    }
}

#[tokio::test]
async fn what_could_not_be_kept_takes_no_room() {
    let files = Files::default();
    let mut letters = open(&files).await;
    keep(&mut letters, &files, 0, "kept").await;
    let stock = letters.stock();
    for operations in [0, 1] {
        files.breaks_after(Some(operations));
        let kept = letters.keep(&files, at(1), undelivered("more")).await;
        assert!(kept.is_err());
    }
    files.breaks_after(None);
    assert_eq!(letters.stock(), stock);
    keep(&mut letters, &files, 2, "more").await;
    assert_eq!(texts(&files).await, ["kept", "more"]);
}

/// The disk has a letter and cannot say so, which makes another file have it, too.
#[tokio::test]
async fn a_letter_that_lies_in_two_files_leaves_both() {
    for restarts in [false, true] {
        let files = Files::default();
        let mut letters = open(&files).await;
        let stays = keep(&mut letters, &files, 0, "stays").await;
        files.breaks_after(Some(1));
        let kept = letters.keep(&files, at(1), undelivered("goes")).await;
        assert!(kept.is_err());
        files.breaks_after(None);
        let goes = keep(&mut letters, &files, 2, "goes").await;
        assert_eq!(files.names(), [file_name(1), file_name(2)]);
        assert_eq!(files.text().matches(goes.as_str()).count(), 2);
        if restarts {
            letters = open(&files).await;
        }
        letters
            .settle(&files, &[goes].into(), Settled::Accepted, at(3))
            .await
            .unwrap();
        assert_eq!(texts(&files).await, ["stays"], "{restarts}");
        assert_eq!(open(&files).await.ids(), [stays], "{restarts}");
    }
}

#[test]
fn a_fingerprint_tells_keys_apart_and_not_what_they_are() {
    let (one, other) = (fingerprint("key-1"), fingerprint("key-2"));
    assert!(one != other && one.len() == 16 && !one.contains("key"));
}

/// A full disk takes half of a note, and has room for the next one.
#[tokio::test]
async fn a_note_that_was_cut_short_takes_no_other_with_it() {
    let files = Files::default();
    let mut letters = Letters::open(&files, owner("f00d"), Room::WIDE)
        .await
        .unwrap();
    let ids = [keep(&mut letters, &files, 0, "accepted").await].into();
    for operations in [0, 2] {
        files.breaks_after(Some(operations));
        let settled = letters.settle(&files, &ids, Settled::Accepted, at(1)).await;
        assert!(settled.is_err());
    }
    files.breaks_after(None);
    let letters = Letters::open(&files, owner("f00d"), Room::WIDE).await;
    assert_eq!(letters.unwrap().stock().letters, 0);
}

fn order(act: Act, ids: &[&String]) -> LettersOrder {
    let ids = ids.iter().map(|id| (*id).clone()).collect();
    LettersOrder::new(Uuid::from_u128(7), act, Some(ids), false)
}

async fn carry_out(files: &Files, order: &LettersOrder, most: usize) -> Option<LettersOutcome> {
    let mut letters = open(files).await;
    let begun = Work::begin(order.clone(), &mut letters, files, at(9)).await;
    let mut work = begun.ok()?;
    for _ in 0..most {
        let next = work.next(&mut letters, files).await.ok()?;
        work.tell(files, at(9)).await.ok()?;
        let Some((id, _)) = next else {
            return Some(work.outcome);
        };
        let answer = match id == refused() {
            true => Err("no".to_owned()),
            false => Ok(()),
        };
        let said = work.offered(&mut letters, files, at(9), &id, &answer);
        said.await.ok()?;
    }
    None
}

/// The letter that is refused: the one that was kept second.
fn refused() -> String {
    id("f00d", &undelivered("second").content)
}

/// A stop may come between any two writes: what was accepted or thrown away before it is told after it.
#[tokio::test]
async fn what_came_of_an_order_before_a_stop_is_told_after_it() {
    for act in [Act::Retry, Act::Drop] {
        for operations in 0..30 {
            let files = Files::default();
            let mut letters = open(&files).await;
            let mut ids = Vec::new();
            for text in ["first", "second", "third"] {
                ids.push(keep(&mut letters, &files, 0, text).await);
            }
            let [first, second, third] = &ids[..] else {
                panic!()
            };
            let order = order(act, &[first, second, third]);
            order.save(&files).await.unwrap();
            files.breaks_after(Some(operations));
            _ = carry_out(&files, &order, 9).await;
            files.breaks_after(None);
            let outcome = carry_out(&files, &order, 9).await.unwrap();
            assert!(outcome.done);
            let mut accepted = outcome.accepted.clone();
            accepted.sort();
            let mut gone = match act {
                Act::Retry => vec![first.clone(), third.clone()],
                Act::Drop => ids.clone(),
            };
            gone.sort();
            let left: Vec<_> = outcome.left.iter().map(|left| left.id.clone()).collect();
            match act {
                Act::Retry => {
                    assert_eq!((accepted, left), (gone, vec![second.clone()]));
                    assert_eq!(open(&files).await.ids(), std::slice::from_ref(second));
                }
                Act::Drop => {
                    let mut dropped = outcome.dropped.clone();
                    dropped.sort();
                    assert_eq!((dropped, left.len()), (gone, 0), "{operations}");
                    assert_eq!(texts(&files).await.len(), 0);
                }
            }
        }
    }
}

/// A person may leave another order while this one is under way.
#[tokio::test]
async fn an_order_takes_no_other_one_along() {
    let files = Files::default();
    let mut letters = open(&files).await;
    let first = keep(&mut letters, &files, 0, "first").await;
    let mine = order(Act::Retry, &[&first, &first]);
    assert_eq!(
        mine.letters,
        Some(vec![first]),
        "named twice, it counts once"
    );
    mine.save(&files).await.unwrap();
    let mut work = Work::begin(mine, &mut letters, &files, at(9))
        .await
        .unwrap();
    let other = LettersOrder::new(Uuid::from_u128(8), Act::Retry, None, false);
    other.save(&files).await.unwrap();
    work.outcome.done = true;
    work.tell(&files, at(9)).await.unwrap();
    assert_eq!(
        LettersOrder::load(&files).await.unwrap(),
        Some(other.clone())
    );
    let mut work = Work::begin(other, &mut letters, &files, at(9))
        .await
        .unwrap();
    work.outcome.done = true;
    work.tell(&files, at(9)).await.unwrap();
    assert_eq!(LettersOrder::load(&files).await.unwrap(), None);
}

/// A command fails when it has sent a letter, and is given again: that is another order.
#[tokio::test]
async fn what_an_order_has_sent_the_next_one_does_not_send() {
    let files = Files::default();
    let mut letters = open(&files).await;
    let sent = keep(&mut letters, &files, 0, "sent").await;
    let all = |number| LettersOrder::new(Uuid::from_u128(number), Act::Retry, None, false);
    let begun = Work::begin(all(7), &mut letters, &files, at(9)).await;
    let mut work = begun.unwrap();
    let next = work.next(&mut letters, &files).await.unwrap();
    assert_eq!(next.unwrap().0, sent);
    // There is room for the note, and none for what came of the order.
    files.breaks_after(Some(2));
    let said = work.offered(&mut letters, &files, at(9), &sent, &Ok(()));
    assert!(said.await.is_err());
    files.breaks_after(None);
    let mut letters = open(&files).await;
    assert_eq!(letters.ids(), [""; 0]);
    let begun = Work::begin(all(8), &mut letters, &files, at(20)).await;
    let mut work = begun.unwrap();
    assert_eq!(work.next(&mut letters, &files).await.unwrap(), None);
    assert_eq!(work.outcome.accepted, [""; 0], "that was another order");
    // The same event is refused again: that is another letter, of which nothing has come yet.
    assert_eq!(keep(&mut letters, &files, 30, "sent").await, sent);
    let begun = Work::begin(all(9), &mut letters, &files, at(40)).await;
    let next = begun.unwrap().next(&mut letters, &files).await;
    assert_eq!(next.unwrap().unwrap().0, sent);
}

/// There was room for what came of the order, and none for the note.
#[tokio::test]
async fn what_an_order_has_thrown_away_the_next_one_does_not_send() {
    let files = Files::default();
    let mut letters = open(&files).await;
    let dropped = keep(&mut letters, &files, 0, "dropped").await;
    files.breaks_after(Some(1));
    let begun = Work::begin(order(Act::Drop, &[&dropped]), &mut letters, &files, at(9)).await;
    assert!(begun.is_err());
    files.breaks_after(None);
    let mut letters = open(&files).await;
    assert_eq!(letters.ids(), [dropped]);
    let all = LettersOrder::new(Uuid::from_u128(8), Act::Retry, None, false);
    let begun = Work::begin(all, &mut letters, &files, at(20)).await;
    let next = begun.unwrap().next(&mut letters, &files).await;
    assert_eq!(next.unwrap(), None);
    assert!(open(&files).await.ids().is_empty());
}

/// Else 100 000 letters take days.
#[tokio::test]
async fn many_letters_cost_as_much_for_each_as_few_do() {
    let mut each = Vec::new();
    for count in [100, 400] {
        let files = Files::default();
        let mut letters = open(&files).await;
        for n in 0..count {
            keep(&mut letters, &files, 0, &n.to_string()).await;
        }
        let all = LettersOrder::new(Uuid::from_u128(7), Act::Retry, None, false);
        let before = files.moved();
        let outcome = carry_out(&files, &all, 1000).await.unwrap();
        assert_eq!(outcome.accepted.len(), count);
        assert_eq!(texts(&files).await.len(), 0);
        each.push((files.moved() - before) / count);
    }
    assert!(each[1] < 2 * each[0], "{each:?} bytes read and written");
}

/// They lie in their file until many have left, and are none any more.
#[tokio::test]
async fn a_letter_that_is_accepted_is_none_before_its_file_is_written_without_it() {
    let files = Files::default();
    let mut letters = open(&files).await;
    for text in ["one", "two", "three"] {
        keep(&mut letters, &files, 0, text).await;
    }
    let lines = || files.text().matches("\"event\"").count();
    let all = LettersOrder::new(Uuid::from_u128(7), Act::Retry, None, false);
    assert_eq!(carry_out(&files, &all, 1).await, None);
    assert_eq!((texts(&files).await.len(), lines()), (2, 3));
    let mut letters = open(&files).await;
    assert_eq!(
        (letters.stock().letters, lines()),
        (2, 2),
        "a start ends it"
    );

    let begun = Work::begin(all, &mut letters, &files, at(9)).await;
    let mut work = begun.unwrap();
    assert_eq!(work.outcome.accepted.len(), 1);
    let next = work.next(&mut letters, &files).await.unwrap();
    let (id, event) = next.unwrap();
    let said = work.offered(&mut letters, &files, at(9), &id, &Ok(()));
    said.await.unwrap();
    assert_eq!((letters.stock().letters, lines()), (1, 2));
    // The same event is refused once more.
    assert_eq!(keep(&mut letters, &files, 20, &event).await, id);
    assert_eq!((letters.stock().letters, lines()), (2, 2));
    let left = open(&files).await.ids();
    assert!(left.len() == 2 && left.contains(&id), "{left:?}");
}

/// It may be somebody else's.
#[tokio::test]
async fn a_letter_for_another_intake_is_sent_only_when_it_is_named() {
    let files = Files::default();
    let mut letters = open(&files).await;
    let id = keep(&mut letters, &files, 0, "theirs").await;
    let own = Letters::open(&files, owner("beef"), Room::WIDE).await;
    let mut own = own.unwrap();
    for is_named in [false, true] {
        let ids = is_named.then(|| vec![id.clone()]);
        let order = LettersOrder::new(Uuid::from_u128(7), Act::Retry, ids, false);
        let begun = Work::begin(order, &mut own, &files, at(9)).await;
        let mut work = begun.unwrap();
        let next = work.next(&mut own, &files).await.unwrap();
        assert_eq!(next.is_some(), is_named);
        assert_eq!(work.outcome.left.len(), usize::from(!is_named));
    }
}

#[tokio::test]
async fn letters_whose_file_cannot_be_read_stay_and_the_others_are_thrown_away() {
    let files = Files::default();
    let (mut letters, first, second) = first_and_second(&files).await;
    files.has_no_file(Some(&file_name(1)));
    let order = order(Act::Drop, &[&first, &second]);
    let work = Work::begin(order, &mut letters, &files, at(9))
        .await
        .unwrap();
    assert_eq!(work.outcome.dropped, [second]);
    assert_eq!(work.outcome.left.len(), 1);
    assert_eq!(work.outcome.left[0].reason, "its file cannot be read");
    files.has_no_file(None);
    assert_eq!(open(&files).await.ids(), [first]);
}

#[tokio::test]
async fn what_could_not_be_taken_out_is_filed_once() {
    let files = Files::default();
    let mut letters = open(&files).await;
    let ids: BTreeSet<String> = [keep(&mut letters, &files, 0, "gone").await].into();
    files.has_no_file(Some(&file_name(1)));
    let mut lengths = Vec::new();
    for _ in 0..3 {
        let settled = letters.settle(&files, &ids, Settled::Dropped, at(1)).await;
        settled.unwrap();
        lengths.push(files.text().len());
    }
    assert_eq!(lengths, [lengths[0]; 3]);
    assert_eq!(letters.stock().letters, 0);
    // It stays filed until the file is back, also over a start.
    assert_eq!(open(&files).await.unusable().len(), 1);
    files.has_no_file(None);
    assert_eq!(texts(&files).await.len(), 0);
    assert_eq!(open(&files).await.stock().letters, 0);
    assert_eq!(files.names(), [""; 0]);
}

#[tokio::test]
async fn what_is_no_file_is_told_and_left_alone_and_keeps_nobody_from_the_others() {
    let files = Files::default();
    let mut letters = open(&files).await;
    keep(&mut letters, &files, 0, "first").await;
    files.has_no_file(Some(&file_name(1)));
    let mut letters = open(&files).await;
    assert_eq!(letters.unusable(), [file_name(1)]);
    let second = keep(&mut letters, &files, 0, "second").await;
    assert_eq!(letters.ids(), [second]);
    assert_eq!(files.names(), [file_name(1), file_name(2)]);
    let mut listed = Vec::new();
    let unusable = each(&files, |letter| listed.push(letter.id)).await;
    assert_eq!(unusable.unwrap(), [file_name(1)]);
    assert_eq!(listed, letters.ids());
    files.has_no_file(Some(SETTLED));
    let letters = open(&files).await;
    assert_eq!((letters.ids().len(), letters.unusable().len()), (2, 0));
}

/// Else there would seem to be none.
#[tokio::test]
async fn a_file_in_the_place_of_the_folder_is_told() {
    let files = Files::default();
    files.change("dead-letters", |content| content.extend(b"a copy of it"));
    assert_eq!(open(&files).await.unusable(), ["dead-letters"]);
    let there = async || {
        let (stock, unusable) = stock(&files).await.unwrap();
        (stock.letters, unusable)
    };
    assert_eq!(there().await, (0, vec!["dead-letters".to_owned()]));
    files.content.lock().unwrap().clear();
    let mut letters = open(&files).await;
    assert_eq!(letters.unusable(), [""; 0]);
    keep(&mut letters, &files, 0, "first").await;
    assert_eq!(there().await, (1, Vec::new()));
}

#[tokio::test]
async fn a_file_with_the_highest_number_is_no_end_of_numbers() {
    let files = Files::default();
    for number in [u64::MAX, 1] {
        files.change(&file_name(number), |content| content.extend(b"{\"id\":"));
    }
    let mut letters = open(&files).await;
    for text in ["first", "second"] {
        keep(&mut letters, &files, 0, text).await;
    }
    let names = [1, 2, u64::MAX].map(file_name);
    assert_eq!(files.names(), names);
    assert_eq!(open(&files).await.ids().len(), 2);
}

/// The same event is refused again after its letter was thrown away: what is left of that does not take
/// the later letter with it.
#[tokio::test]
async fn a_letter_that_comes_again_is_not_taken_out_with_an_earlier_one() {
    for operations in 0..6 {
        let files = Files::default();
        let mut letters = open(&files).await;
        let id = keep(&mut letters, &files, 0, "again").await;
        let order = order(Act::Drop, &[&id]);
        files.breaks_after(Some(operations));
        let begun = Work::begin(order.clone(), &mut letters, &files, at(1)).await;
        files.breaks_after(None);
        if !letters.ids().is_empty() {
            continue;
        }
        assert_eq!(keep(&mut letters, &files, 2, "again").await, id);
        if begun.is_err() {
            let again = Work::begin(order, &mut letters, &files, at(3)).await;
            assert_eq!(again.unwrap().outcome.dropped, std::slice::from_ref(&id));
        }
        assert_eq!(letters.ids(), std::slice::from_ref(&id), "{operations}");
        assert_eq!(texts(&files).await, ["again"], "{operations}");
        assert_eq!(open(&files).await.ids(), [id], "{operations}");
    }
}

#[tokio::test]
async fn a_letter_that_has_left_its_file_is_kept_anew_before_the_others_have_left() {
    let files = Files::default();
    let (mut letters, first, second) = first_and_second(&files).await;
    let ids = [first.clone(), second].into();
    files.has_no_file(Some(&file_name(2)));
    let settled = letters.settle(&files, &ids, Settled::Dropped, at(1)).await;
    settled.unwrap();
    files.has_no_file(None);
    assert_eq!(keep(&mut letters, &files, 2, "first").await, first);
    assert_eq!(texts(&files).await, ["first"]);
    assert_eq!(open(&files).await.ids(), [first]);
}

/// Else the one that lay there would be sent once more.
#[tokio::test]
async fn a_letter_that_has_left_stays_filed_while_it_may_lie_in_a_file_that_cannot_be_read() {
    let files = Files::default();
    let (mut letters, first, second) = first_and_second(&files).await;
    let ids = [first.clone()].into();
    files.has_no_file(Some(&file_name(1)));
    for seconds in [1, 3] {
        let settled = letters.settle(&files, &ids, Settled::Accepted, at(seconds));
        settled.await.unwrap();
        if seconds == 1 {
            // The same event is refused again, and lies in another file.
            assert_eq!(keep(&mut letters, &files, 2, "first").await, first);
        }
    }
    files.has_no_file(None);
    assert_eq!(texts(&files).await, ["second"]);
    assert_eq!(open(&files).await.ids(), [second]);
    assert_eq!(files.names(), [file_name(2)]);
}
