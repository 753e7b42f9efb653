//! Refusals of single events, of all events, and of large requests.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::atomic::AtomicU64,
};

use base::delivery::{GivenUp, HeldEvents as _};
use futures_util::{StreamExt as _, stream::FuturesUnordered};

use super::*;

/// What a stand-in has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) accepted: BTreeMap<String, usize>,
    /// When requests were refused, and with how many events.
    pub(super) refused: Vec<(Instant, Vec<String>)>,
}

impl Seen {
    fn alone(&self) -> usize {
        self.refused
            .iter()
            .filter(|(_, events)| events.len() == 1)
            .count()
    }

    /// The most refusals within a second.
    fn most_refusals(&self) -> usize {
        let within = |at: Instant| {
            let near = |(other, _): &&(Instant, _)| {
                *other >= at && *other < at + Duration::from_millis(990)
            };
            self.refused.iter().filter(near).count()
        };
        self.refused
            .iter()
            .map(|(at, _)| within(*at))
            .max()
            .unwrap_or(0)
    }
}

/// Accepts all requests but those that this is the answer to.
pub(super) fn filter(
    refuses: impl Fn(&base::http::Request, &[String]) -> Option<(u16, String)> + Send + Sync + 'static,
) -> (Fake, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let noted = Arc::clone(&seen);
    let fake = Fake::answering(move |request| {
        let events = events(request);
        let mut seen = noted.lock().unwrap();
        if let Some(answer) = refuses(request, &events) {
            seen.refused.push((Instant::now(), events));
            return answer;
        }
        for event in events {
            *seen.accepted.entry(event).or_default() += 1;
        }
        accepted(request)
    });
    (fake, seen)
}

/// Delivers batches of these events, each after a while, as a collection does: at most four at once,
/// those in hand beside them. What was given up, and when.
pub(super) async fn collect(
    bench: &Bench,
    batches: Vec<(u64, Vec<String>)>,
    seconds: u64,
) -> Vec<(Duration, GivenUp)> {
    let begun = Instant::now();
    let mut given_up = Vec::new();
    let mut work = FuturesUnordered::new();
    let mut waiting = batches.into_iter().peekable();
    let mut under_way = 0;
    let mut end = std::pin::pin!(time::sleep(Duration::from_secs(seconds)));
    loop {
        let next = waiting
            .peek()
            .map(|(at, _)| begun + Duration::from_secs(*at));
        tokio::select! {
            biased;
            () = &mut end => return given_up,
            Some((is_batch, receipt)) = work.next(), if !work.is_empty() => {
                let receipt: Receipt = receipt;
                under_way -= usize::from(is_batch);
                for (_, events) in receipt.kept {
                    match events.given_up() {
                        Some(reason) => given_up.push((begun.elapsed(), reason)),
                        None => work.push(insist(bench, events)),
                    }
                }
            }
            () = time::sleep_until(next.unwrap_or(begun)), if next.is_some() && under_way < 4 => {
                let (_, events) = waiting.next().unwrap();
                under_way += 1;
                work.push(push(bench, events));
            }
        }
    }
}

type Work<'a> = futures_util::future::BoxFuture<'a, (bool, Receipt)>;

fn push(bench: &Bench, events: Vec<String>) -> Work<'_> {
    let mut batches = vec![bench.intake.batch()];
    for event in events {
        if batches.last_mut().unwrap().push(&event) == Pushed::Full {
            let mut next = bench.intake.batch();
            assert_eq!(next.push(event), Pushed::Added);
            batches.push(next);
        }
    }
    Box::pin(async move {
        let mut all = Receipt::default();
        for batch in batches {
            all.kept
                .extend(bench.intake.push(batch).await.unwrap().kept);
        }
        (true, all)
    })
}

fn insist(bench: &Bench, events: InHand) -> Work<'_> {
    Box::pin(async move { (false, bench.intake.insist(events).await.unwrap()) })
}

/// Rows of a batch, some of which are refused.
pub(super) fn rows(batch: usize, count: usize, poison: &[usize]) -> Vec<String> {
    let row = |n| {
        let word = if poison.contains(&n) {
            "casino"
        } else {
            "mail"
        };
        format!(r#"{{"n":"{batch}.{n}","subject":"{word}"}}"#)
    };
    (0..count).map(row).collect()
}

fn is_poison(events: &[String]) -> bool {
    events.iter().any(|event| event.contains("casino"))
}

const SHAPES: [(u16, &str); 8] = [
    (400, "bad"),
    (403, "<title>Blocked</title>"),
    (406, ""),
    (413, ""),
    (422, ""),
    (500, ""),
    (0, ""),
    (302, ""),
];

#[tokio::test(start_paused = true)]
async fn one_event_that_is_refused_holds_up_no_other() {
    for (status, body) in SHAPES {
        let (fake, seen) =
            filter(move |_, events| is_poison(events).then(|| (status, body.to_owned())));
        let bench = bench(&fake);
        let live = (1..80).map(|n| (n * 30, rows(n as usize, 3, &[])));
        let batches = [(0, rows(0, 47, &[20]))].into_iter().chain(live).collect();
        let given_up = collect(&bench, batches, 600).await;
        assert_eq!(given_up.len(), 0, "{status}: not in less than ten minutes");
        {
            let seen = seen.lock().unwrap();
            let mates = seen
                .accepted
                .keys()
                .filter(|event| event.contains("\"0."))
                .count();
            assert_eq!(mates, 46, "{status}: its batch-mates went on");
            assert_eq!(seen.accepted.len(), 46 + 19 * 3, "{status}");
            assert_eq!(seen.most_refusals(), 1, "{status}");
        }
        // The whole way, to the end.
        let (fake, seen) =
            filter(move |_, events| is_poison(events).then(|| (status, body.to_owned())));
        let bench = super::bench(&fake);
        let live = (1..200).map(|n| (n * 30, rows(n as usize, 3, &[])));
        let batches = [(0, rows(0, 47, &[20]))].into_iter().chain(live).collect();
        let given_up = collect(&bench, batches, 6000).await;
        let seen = seen.lock().unwrap();
        assert_eq!(given_up.len(), 1, "{status}");
        assert!(
            given_up[0].0 >= Duration::from_secs(600),
            "{status}: {given_up:?}"
        );
        assert!(given_up[0].1.event.contains("casino") && given_up[0].1.fits.is_none());
        assert!(seen.alone() >= 3, "{status}");
        assert!(
            seen.accepted.values().all(|times| *times == 1),
            "{status}: {seen:?}"
        );
        assert_eq!(bench.metric("discarded_events_total"), 1.0);
        assert!(
            bench.said("are not accepted while others are") > 0,
            "{:?}",
            bench.lines
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_without_a_place_among_the_dead_letters_is_counted_once() {
    let short = r#"{"subject":"casino"}"#.to_owned();
    for event in [short, "casino".repeat(MAX_EVENT_BYTES / 6 + 1)] {
        let (fake, _) = filter(|_, events| is_poison(events).then(|| (400, "bad".to_owned())));
        let bench = bench(&fake);
        // It is counted when no batch takes it, or when it is given up.
        let is_long = bench.intake.batch().push(&event) == Pushed::TooLong;
        assert_eq!(is_long, event.len() > MAX_EVENT_BYTES);
        let others = async {
            for n in 1.. {
                time::sleep(Duration::from_secs(30)).await;
                _ = push(&bench, rows(n, 3, &[])).await;
            }
        };
        let refused = async {
            let mut hand = bench.intake.alone(event.as_bytes());
            for _ in 0..3 {
                let receipt = bench.intake.insist(hand).await.unwrap();
                hand = receipt.kept.into_iter().next().unwrap().1;
                assert!(hand.given_up().is_some());
                assert_eq!(bench.metric("discarded_events_total"), 1.0);
            }
        };
        tokio::select! {
            () = others => {}
            () = refused => {}
        }
        let waited = bench.metric("intake_waiting_seconds_total");
        assert_eq!(waited, 0.0, "its own pauses hold up nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_all_there_is_goes_on_without_the_event_that_is_refused() {
    for (status, body) in SHAPES {
        let (fake, seen) =
            filter(move |_, events| is_poison(events).then(|| (status, body.to_owned())));
        let bench = bench(&fake);
        let given_up = collect(&bench, vec![(0, rows(0, 47, &[0]))], 60).await;
        assert_eq!(
            seen.lock().unwrap().accepted.len(),
            46,
            "{status} {:?}",
            bench.lines
        );
        assert_eq!(given_up.len(), 0);
        // No other event is accepted in between: it is never given up.
        let (fake, _) =
            filter(move |_, events| is_poison(events).then(|| (status, body.to_owned())));
        let bench = super::bench(&fake);
        let given_up = collect(&bench, vec![(0, rows(0, 47, &[0]))], 86_400).await;
        assert_eq!(given_up.len(), 0, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_in_each_batch_holds_up_no_other() {
    for (status, body) in SHAPES {
        let (fake, seen) =
            filter(move |_, events| is_poison(events).then(|| (status, body.to_owned())));
        let bench = bench(&fake);
        let batches = (0..12).map(|n| (0, rows(n, 40, &[n]))).collect();
        let given_up = collect(&bench, batches, 900).await;
        let seen = seen.lock().unwrap();
        assert_eq!(seen.accepted.len(), 12 * 39, "{status} {given_up:?}");
        assert!(seen.accepted.values().all(|times| *times == 1), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_accepted_no_event_is_given_up_and_no_batch_is_split() {
    for status in [400, 401, 403, 404, 406, 413, 429, 500, 0] {
        let (fake, seen) = filter(move |_, _| Some((status, String::new())));
        let bench = bench(&fake);
        let batches = (0..9)
            .map(|n| (n * 60, rows(n as usize, 40, &[])))
            .collect();
        let given_up = collect(&bench, batches, 86_400).await;
        assert_eq!(given_up.len(), 0, "{status}");
        let seen = seen.lock().unwrap();
        let lengths: Vec<usize> = seen
            .refused
            .iter()
            .map(|(_, events)| events.len())
            .collect();
        assert!(
            lengths.iter().all(|length| [0, 1, 40].contains(length)),
            "{status}: {lengths:?}"
        );
        assert!(
            seen.refused.len() < 12_000,
            "{status}: {}",
            seen.refused.len()
        );
        if status == 429 {
            continue;
        }
        if status > 0 && status < 500 {
            assert!(
                seen.refused.len() < 1500,
                "{status}: {}",
                seen.refused.len()
            );
            assert_eq!(seen.most_refusals(), 1, "{status}");
        }
        // An outage that a request without events meets, too, lets no other batch past.
        let is_refusal = [400, 403, 406, 413].contains(&status);
        let aside = bench.said("failed again and again");
        assert_eq!(aside > 0, is_refusal, "{status}: {aside}");
        assert!(bench.said("ERROR - Failed to forward") > 0);
        assert_eq!(bench.said("CRITICAL"), 0);
        // One line a minute.
        assert!(bench.said("Failed to forward") <= 1442, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_become_smaller_where_the_way_takes_no_large_ones_and_nothing_is_given_up() {
    for status in [413, 408] {
        let done = time::timeout(Duration::from_hours(24), becoming_smaller(status));
        assert!(done.await.is_ok(), "{status}: it stands still");
    }
}

async fn becoming_smaller(status: u16) {
    let (fake, seen) = filter(move |request, _| {
        (request.body().len() > 20_000).then(|| (status, "too large".to_owned()))
    });
    let mut bench = bench(&fake);
    Arc::get_mut(&mut bench.intake.0).unwrap().limits = BatchLimits::events(1000);
    for n in 0..40 {
        // As much as a batch takes, as a collection does it.
        let mut batch = bench.intake.batch();
        let mut count = 0;
        for row in rows(n, 1000, &[]) {
            match batch.push(row) {
                Pushed::Added => count += 1,
                _ => break,
            }
        }
        let receipt = bench.intake.push(batch).await.unwrap();
        let mut kept: Vec<_> = receipt.kept.into_iter().map(|(_, events)| events).collect();
        while let Some(hand) = kept.pop() {
            assert!(hand.given_up().is_none());
            let receipt = bench.intake.insist(hand).await.unwrap();
            kept.extend(receipt.kept.into_iter().map(|(_, events)| events));
        }
        assert!(count > 100, "{n}: {count}");
    }
    let seen = seen.lock().unwrap();
    assert!(seen.accepted.values().all(|times| *times == 1));
    assert!(
        seen.refused.len() < 12,
        "it is remembered: {}",
        seen.refused.len()
    );
    assert_eq!(seen.most_refusals(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_413_is_about_the_size_of_a_large_event() {
    let (fake, _) =
        filter(|request, _| (request.body().len() > 190_000).then(|| (413, String::new())));
    let bench = bench(&fake);
    let live = (1..80).map(|n| (n * 30, rows(n as usize, 3, &[])));
    let large = format!(r#"{{"large":"{}"}}"#, "x".repeat(210_000));
    let batches = [(0, vec![large])].into_iter().chain(live).collect();
    let given_up = collect(&bench, batches, 2400).await;
    assert_eq!(given_up.len(), 1);
    assert_eq!(given_up[0].1.fits, Some(199_999));
}

#[tokio::test(start_paused = true)]
async fn events_that_are_refused_by_word_are_tried_alone() {
    let fake = Fake::answering(|request| {
        let given = |event: &String| (!event.contains("casino")).then(|| id(event));
        let ids: Vec<_> = events(request).iter().map(given).collect();
        (200, json!({ "event_ids": ids }).to_string())
    });
    let bench = bench(&fake);
    let live = (1..80).map(|n| (n * 30, rows(n as usize, 3, &[])));
    let batches = [(0, rows(0, 47, &[20]))].into_iter().chain(live).collect();
    let given_up = collect(&bench, batches, 2400).await;
    assert_eq!(given_up.len(), 1);
    assert!(given_up[0].0 >= Duration::from_secs(600));
    assert!(
        given_up[0]
            .1
            .reason
            .contains("no identifier was given to it")
    );
    let alone = fake
        .requests()
        .iter()
        .filter(|one| {
            let events = events(one);
            events.len() == 1 && is_poison(&events)
        })
        .count();
    assert!((3..5).contains(&alone), "{alone}");
}

#[tokio::test(start_paused = true)]
async fn where_each_event_is_refused_by_word_none_is_given_up_and_no_batch_is_split() {
    let fake = Fake::answering(|request| {
        let ids = vec![Value::Null; events(request).len()];
        (200, json!({ "event_ids": ids }).to_string())
    });
    let bench = bench(&fake);
    let given_up = collect(&bench, vec![(0, rows(0, 40, &[]))], 86_400).await;
    assert_eq!(given_up.len(), 0);
    let lengths = lengths_at(&fake);
    let is_whole_or_one = |length: &usize| [0, 1, 40].contains(length);
    assert!(lengths.iter().all(is_whole_or_one), "{lengths:?}");
    let whole = lengths.iter().filter(|length| **length == 40).count();
    assert!(whole > 1, "once proves nothing: {lengths:?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_given_up_and_has_no_place_stays_in_hand() {
    let (fake, seen) = filter(|_, events| is_poison(events).then(|| (403, String::new())));
    let bench = bench(&fake);
    let mut hand = bench.intake.alone(rows(0, 1, &[0])[0].as_bytes());
    let started = Instant::now();
    let mut times = 0;
    while times < 4 {
        let insist = bench.intake.insist(hand);
        let others = async {
            loop {
                time::sleep(Duration::from_secs(60)).await;
                bench.intake.push(bench.batch(1)).await.unwrap();
            }
        };
        let receipt = tokio::select! {
            receipt = insist => receipt.unwrap(),
            () = others => unreachable!(),
        };
        hand = receipt.kept.into_iter().next().unwrap().1;
        assert!(hand.given_up().is_some());
        times += 1;
    }
    assert!(started.elapsed() >= Duration::from_secs(600 + 3 * 300));
    assert!(seen.lock().unwrap().refused.len() < 10);
}

#[tokio::test(start_paused = true)]
async fn batches_of_refused_events_alone_do_not_keep_others_from_being_sent() {
    for (status, body) in SHAPES {
        let (fake, seen) =
            filter(move |_, events| is_poison(events).then(|| (status, body.to_owned())));
        let bench = bench(&fake);
        let all: Vec<usize> = (0..40).collect();
        let refused = (0..4).map(|n| (0, rows(n, 40, &all)));
        let live = (4..400).map(|n| (n * 30, rows(n as usize, 3, &[])));
        let given_up = collect(&bench, refused.chain(live).collect(), 4 * 3600).await;
        assert_eq!(given_up.len(), 160, "{status} {:?}", bench.lines);
        let first = given_up.iter().map(|(after, _)| *after).min().unwrap();
        assert!(first >= Duration::from_secs(600), "{status}: {first:?}");
        let seen = seen.lock().unwrap();
        assert_eq!(seen.accepted.len(), 396 * 3, "{status}");
        assert!(seen.accepted.values().all(|times| *times == 1), "{status}");
        assert!(bench.said("failed again and again") > 0);
    }
}

/// One of several machines behind an address may be ill.
#[tokio::test(start_paused = true)]
async fn an_intake_that_fails_at_random_makes_a_dead_letter_only_of_what_it_never_takes() {
    for (status, seed) in [(503, 1_u64), (503, 2), (400, 3)] {
        let requests = AtomicU64::new(0);
        let (fake, seen) = filter(move |_, events| {
            let request = requests.fetch_add(1, Relaxed);
            // Three of four.
            let drawn = BuildHasherDefault::<DefaultHasher>::default().hash_one((seed, request));
            let is_ill = !drawn.is_multiple_of(4);
            (is_ill || is_poison(events)).then(|| (status, String::new()))
        });
        let bench = bench(&fake);
        let batch = |n: u64| (n * 60, rows(n as usize, 5, if n == 3 { &[2] } else { &[] }));
        let given_up = collect(&bench, (0..1000).map(batch).collect(), 24 * 3600).await;
        assert_eq!(given_up.len(), 1, "{status} {seed}: {given_up:?}");
        let seen = seen.lock().unwrap();
        assert_eq!(seen.accepted.len(), 4999, "{status} {seed}");
        assert!(
            seen.accepted.values().all(|times| *times == 1),
            "{status} {seed}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_firewall_that_speaks_of_the_key_or_the_address_keeps_no_others_from_being_sent() {
    for status in [401, 404] {
        let (fake, seen) =
            filter(move |_, events| is_poison(events).then(|| (status, String::new())));
        let bench = bench(&fake);
        let all: Vec<usize> = (0..40).collect();
        let refused = (0..3).map(|n| (0, rows(n, 40, &all)));
        let refused = refused.chain([(0, rows(3, 40, &[0]))]);
        let live = (4..400).map(|n| (n * 30, rows(n as usize, 3, &[])));
        let given_up = collect(&bench, refused.chain(live).collect(), 4 * 3600).await;
        assert_eq!(
            given_up.len(),
            0,
            "{status}: it may be the key all the same"
        );
        let seen = seen.lock().unwrap();
        assert_eq!(
            seen.accepted.len(),
            396 * 3 + 39,
            "{status} {:?}",
            bench.lines
        );
        assert!(seen.accepted.values().all(|times| *times == 1), "{status}");
        assert!(bench.said("failed again and again") > 0);
        // Nothing else tells of them, once an hour.
        let told = bench.said("as if the key or the address were wrong, while others are accepted");
        assert!((2..=4).contains(&told), "{status}: {told}");
    }
    // Where it is the key, nothing is said of the events.
    let bench = bench(&Fake::answering(|_| (401, String::new())));
    _ = collect(&bench, vec![(0, rows(0, 40, &[]))], 4 * 3600).await;
    assert_eq!(bench.said("as if the key or the address were wrong"), 0);
}

#[tokio::test(start_paused = true)]
async fn batches_of_events_that_no_answer_is_certain_of_do_not_keep_others_from_being_sent() {
    let page = "<title>Blocked</title>";
    let (fake, seen) = filter(move |_, events| is_poison(events).then(|| (200, page.to_owned())));
    let bench = bench(&fake);
    let all: Vec<usize> = (0..40).collect();
    let doubted = (0..4).map(|n| (0, rows(n, 40, &all)));
    let live = (4..600).map(|n| (n * 60, rows(n as usize, 3, &[])));
    let given_up = collect(&bench, doubted.chain(live).collect(), 12 * 3600).await;
    assert_eq!(given_up.len(), 160, "{:?}", bench.lines);
    let maybe_twice = "; it may come twice when it is sent again";
    for (after, event) in given_up {
        assert!(after >= Duration::from_hours(3), "{after:?}");
        assert!(event.reason.ends_with(maybe_twice), "{}", event.reason);
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.accepted.len(), 596 * 3);
    assert!(seen.accepted.values().all(|times| *times == 1));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_never_answered_keeps_none_of_its_batch_from_being_sent() {
    let (fake, seen) = filter(|_, events| match events {
        [_, _, ..] => Some((403, String::new())),
        alone => is_poison(alone).then(|| (0, String::new())),
    });
    let bench = bench(&fake);
    let given_up = collect(&bench, vec![(0, rows(0, 40, &[0]))], 1800).await;
    assert_eq!(given_up.len(), 0);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.accepted.len(), 39, "{:?}", bench.lines);
    assert!(seen.accepted.values().all(|times| *times == 1));
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_that_was_set_aside_another_event_is_tried_when_one_is_never_answered() {
    let begun = Instant::now();
    let victim = Mutex::new(None);
    let (fake, seen) = filter(move |_, events| {
        if begun.elapsed() < Duration::from_secs(900) || events.len() != 1 {
            return Some((403, String::new()));
        }
        let mut victim = victim.lock().unwrap();
        let victim = victim.get_or_insert_with(|| events.to_vec());
        (victim.as_slice() == events).then(|| (0, String::new()))
    });
    let bench = bench(&fake);
    let given_up = collect(&bench, vec![(0, rows(0, 40, &[]))], 5 * 3600).await;
    assert_eq!(given_up.len(), 0);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.accepted.len(), 39, "{:?}", bench.lines);
    assert!(seen.accepted.values().all(|times| *times == 1));
}

/// An intake that answers with this status for half an hour, but for a request with two events, which takes
/// a while.
fn down(status: u16) -> (Bench, Came) {
    let until = Instant::now() + Duration::from_secs(1800);
    bench_answering(move |request, _| async move {
        if events(&request).len() == 2 {
            time::sleep(Duration::from_millis(500)).await;
        } else if Instant::now() < until {
            let down = http::Response::builder().status(status);
            return Ok(down.body(Bytes::new()).unwrap());
        }
        Ok(all_accepted(&request))
    })
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_begins_while_others_are_accepted_takes_no_batch_apart() {
    let (bench, came) = down(503);
    let (down, other) = tokio::join!(
        bench.intake.push(bench.batch(30)),
        bench.intake.push(bench.batch(2))
    );
    let down = down.unwrap();
    assert_eq!((down.accepted, down.kept.len()), (30, 0));
    assert_eq!(other.unwrap().accepted, 2);
    let lengths = lengths(&came);
    assert!(
        lengths[..20]
            .iter()
            .all(|length| [0, 1, 2, 30].contains(length)),
        "{lengths:?}"
    );
    assert_eq!(bench.said("are not accepted while others are"), 0);
}

/// As when the key is taken away: that others are accepted which were sent before proves nothing.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_begins_while_others_are_on_their_way_takes_no_batch_apart() {
    for status in [400, 403, 413] {
        let (bench, came) = down(status);
        let (other, refused) = tokio::join!(
            bench.intake.push(bench.batch(2)),
            bench.intake.push(bench.batch(30))
        );
        assert_eq!(other.unwrap().accepted, 2);
        let refused = refused.unwrap();
        assert_eq!((refused.accepted, refused.kept.len()), (0, 1), "{status}");
        assert_eq!(refused.kept[0].0, 0..30, "{status}");
        let lengths = lengths(&came);
        assert!(
            lengths.iter().all(|length| [1, 2, 30].contains(length)),
            "{status}: {lengths:?}"
        );
        assert_eq!(bench.said("are not accepted while others are"), 0);
        assert_eq!(bench.said("failed again and again"), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_set_aside_is_sent_as_soon_as_anything_is_accepted() {
    for count in [40, 1, 40, 1, 40] {
        let begun = Instant::now();
        let heals = Duration::from_secs(5000);
        let (fake, _) = filter(move |_, _| (begun.elapsed() < heals).then(|| (403, String::new())));
        let bench = bench(&fake);
        let receipt = bench.intake.push(bench.batch(count)).await.unwrap();
        let (_, hand) = receipt.kept.into_iter().next().unwrap();
        let set_aside = async {
            let receipt = bench.intake.insist(hand).await.unwrap();
            assert!(receipt.accepted > 0);
            Instant::now()
        };
        let other = async {
            time::sleep_until(begun + heals).await;
            bench.intake.push(bench.batch(1)).await.unwrap();
            Instant::now()
        };
        let (set_aside, other) = tokio::join!(set_aside, other);
        let after = set_aside.saturating_duration_since(other);
        assert!(after < Duration::from_secs(10), "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_that_was_set_aside_one_event_alone_meets_a_doubt() {
    let begun = Instant::now();
    let fake = Fake::answering(move |request| match begun.elapsed().as_secs() {
        0..1200 => (403, String::new()),
        1200..4800 => (200, String::new()),
        _ => accepted(request),
    });
    let bench = bench(&fake);
    let receipt = bench.intake.push(bench.batch(40)).await.unwrap();
    assert_eq!((receipt.accepted, receipt.kept.len()), (0, 1));
    assert!(begun.elapsed() >= Duration::from_secs(300));
    let mut kept: Vec<_> = receipt.kept.into_iter().map(|(_, hand)| hand).collect();
    let mut taken = 0;
    while let Some(hand) = kept.pop() {
        assert!(hand.given_up().is_none());
        let receipt = bench.intake.insist(hand).await.unwrap();
        taken += receipt.accepted;
        kept.extend(receipt.kept.into_iter().map(|(_, hand)| hand));
    }
    assert_eq!(taken, 40);
    let mut alone = BTreeMap::<String, usize>::new();
    for events in fake.requests().iter().map(events) {
        if let [event] = events.as_slice() {
            *alone.entry(event.clone()).or_default() += 1;
        }
    }
    let doubts = bench.metric("intake_uncertain_answers_total") as usize;
    assert!(doubts > 3, "{doubts}");
    assert!(alone.values().any(|times| *times > doubts), "{alone:?}");
    let doubled = bench.metric("intake_maybe_doubled_events_total") as usize;
    assert_eq!(doubled, doubts, "nothing else may have come twice");
}

/// No other batch may come that would show when an answer is certain again.
#[tokio::test(start_paused = true)]
async fn what_was_set_aside_is_tried_in_a_long_doubt_although_nothing_else_is_on_its_way() {
    let begun = Instant::now();
    let fake = Fake::answering(move |request| match begun.elapsed().as_secs() {
        0..1200 => (403, String::new()),
        1300..20_000 if !events(request).is_empty() => (200, String::new()),
        _ => accepted(request),
    });
    let bench = bench(&fake);
    let refused = bench.intake.push(bench.batch(40)).await.unwrap();
    assert_eq!((refused.accepted, refused.kept.len()), (0, 1));
    // With others that are accepted, it is sent as a whole; not so in a doubt that begins later.
    time::sleep_until(begun + Duration::from_secs(1200)).await;
    let other = bench.intake.push(bench.batch(1)).await.unwrap();
    assert_eq!(other.accepted, 1);
    time::sleep_until(begun + Duration::from_secs(1300)).await;
    let doubted = bench.intake.push(bench.batch(40)).await.unwrap();
    assert_eq!((doubted.accepted, doubted.kept.len()), (0, 1));
    let in_doubt = begun.elapsed();
    assert!(in_doubt < Duration::from_secs(15_000), "{in_doubt:?}");
    let before = fake.requests().len();
    let doubts = || bench.metric("intake_uncertain_answers_total") as usize;
    let doubts_before = doubts();
    let kept = refused.kept.into_iter().chain(doubted.kept);
    let mut work: FuturesUnordered<_> = kept.map(|(_, hand)| insist(&bench, hand)).collect();
    let mut taken = 0;
    let all = async {
        while let Some((_, receipt)) = work.next().await {
            taken += receipt.accepted;
            for (_, hand) in receipt.kept {
                assert!(hand.given_up().is_none());
                work.push(insist(&bench, hand));
            }
        }
    };
    let done = time::timeout(Duration::from_hours(6), all).await;
    assert!(done.is_ok(), "{:?}", bench.lines);
    assert_eq!(taken, 80);
    assert!(begun.elapsed() < Duration::from_secs(22_000));
    let asked = doubts() - doubts_before;
    assert!(
        (5..100).contains(&asked),
        "as slowly as by a batch: {asked}"
    );
    let sent: Vec<Vec<String>> = fake.requests().iter().map(events).collect();
    let alone = &sent[before..before + asked];
    assert!(alone.iter().all(|events| events.len() == 1), "{alone:?}");
    let is_first = |event: &String| event == r#"{"n":0}"#;
    assert!(alone.iter().flatten().all(is_first), "always the same");
}
