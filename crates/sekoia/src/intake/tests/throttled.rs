//! 429 to all requests, to some, and to those with too many events.

use std::{
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::atomic::AtomicU64,
};

use super::{
    refusals::{Seen, collect, filter, rows},
    *,
};

/// One whose batches hold a thousand events, as they do by default.
fn bench_of_thousands(fake: &Fake) -> Bench {
    let mut bench = bench(fake);
    Arc::get_mut(&mut bench.intake.0).unwrap().limits = BatchLimits::events(1000);
    bench
}

/// How many events the next batch takes.
fn next_takes(bench: &Bench) -> usize {
    let mut batch = bench.intake.batch();
    while batch.push("{}") == Pushed::Added {}
    batch.len()
}

fn assert_accepted(seen: &Seen, count: usize) {
    assert_eq!(seen.accepted.len(), count);
    assert!(seen.accepted.values().all(|times| *times == 1));
}

#[tokio::test(start_paused = true)]
async fn how_many_events_an_intake_takes_at_once_is_found_out_where_it_answers_429_to_more() {
    // From the beginning, or after larger batches were accepted.
    let wait = "header: retry-after=60\n\n";
    for (limit, after, answer, seconds) in [
        (100, 0, "", 2700),
        (20, 0, "", 2700),
        (60, 1000, "", 2700),
        (100, 0, wait, 7200),
    ] {
        let begun = Instant::now();
        let (fake, seen) = filter(move |_, events| {
            let is_limited = begun.elapsed() >= Duration::from_secs(after);
            (is_limited && events.len() > limit).then(|| (429, answer.to_owned()))
        });
        let bench = bench_of_thousands(&fake);
        let at = |n: usize| if n < 4 { 0 } else { after };
        let batches = (0..16).map(|n| (at(n), rows(n, 1000, &[]))).collect();
        let given_up = collect(&bench, batches, after + seconds).await;
        assert!(given_up.is_empty());
        let seen = seen.lock().unwrap();
        assert_accepted(&seen, 16_000);
        let refused = seen.refused.len();
        assert!(refused < 800, "{limit}: {refused}");
        assert!(next_takes(&bench) <= 3 * limit, "{limit}");
        assert_eq!(bench.said("too many for the intake, as it seems"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_hour_of_429_to_all_requests_batches_are_as_large_as_before() {
    let begun = Instant::now();
    let hour = Duration::from_hours(1);
    let (fake, seen) = filter(move |_, _| (begun.elapsed() < hour).then(|| (429, String::new())));
    let bench = bench_of_thousands(&fake);
    let batches = (0..20).map(|n| (n as u64, rows(n, 1000, &[]))).collect();
    let given_up = collect(&bench, batches, 3700).await;
    assert!(given_up.is_empty());
    let seen = seen.lock().unwrap();
    assert_accepted(&seen, 20_000);
    // Of the four that were on their way one event may have gone alone.
    let accepted = fake.requests().len() - seen.refused.len();
    assert!(accepted <= 24, "{accepted}");
    assert_eq!(next_takes(&bench), 1000);
    assert!(
        bench.said("a lower `chunk_size` makes all of them smaller") > 30,
        "{:?}",
        bench.lines
    );
}

#[tokio::test(start_paused = true)]
async fn where_every_second_request_is_answered_429_by_chance_batches_stay_whole() {
    for (wait, seconds, most) in [
        ("", 1200, 100),
        ("header: retry-after=100\n\n", 86_400, 200),
    ] {
        let requests = AtomicU64::new(0);
        let (fake, seen) = filter(move |_, _| {
            let request = requests.fetch_add(1, Relaxed);
            let drawn = BuildHasherDefault::<DefaultHasher>::default().hash_one((5_u64, request));
            drawn.is_multiple_of(2).then(|| (429, wait.to_owned()))
        });
        let bench = bench(&fake);
        let batches = (0..100).map(|n| (n as u64, rows(n, 100, &[]))).collect();
        let given_up = collect(&bench, batches, seconds).await;
        assert!(given_up.is_empty());
        let seen = seen.lock().unwrap();
        assert_accepted(&seen, 10_000);
        let accepted = fake.requests().len() - seen.refused.len();
        assert!((100..=most).contains(&accepted), "{wait}: {accepted}");
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_events_in_hand_for_one_request_go_on_in_parts() {
    let begun = Instant::now();
    let (fake, seen) = filter(move |_, events| match begun.elapsed().as_secs() {
        0..900 => Some((403, String::new())),
        _ => (events.len() > 10).then(|| (429, String::new())),
    });
    let bench = bench(&fake);
    let live = (1..300).map(|n| (n * 30, rows(n as usize, 3, &[])));
    let batches = [(0, rows(0, 40, &[]))].into_iter().chain(live).collect();
    let given_up = collect(&bench, batches, 3 * 3600).await;
    assert!(given_up.is_empty());
    assert!(bench.said("failed again and again") > 0);
    assert_accepted(&seen.lock().unwrap(), 40 + 299 * 3);
}
