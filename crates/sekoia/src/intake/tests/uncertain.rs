//! Successes that prove nothing.

use std::collections::BTreeMap;

use super::{
    refusals::{collect, filter, rows},
    *,
};

/// How often each event was in an answer that proves nothing, and in one that is certain.
#[derive(Debug, Default)]
struct Seen {
    doubtful: BTreeMap<String, usize>,
    certain: BTreeMap<String, usize>,
}

/// Answers in this way for so long, then as it should; what came.
fn doubtful(status: u16, body: &str, seconds: u64) -> (Fake, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (body, noted) = (body.to_owned(), Arc::clone(&seen));
    let heals = Instant::now() + Duration::from_secs(seconds);
    let fake = Fake::answering(move |request| {
        let mut seen = noted.lock().unwrap();
        if Instant::now() < heals {
            for event in events(request) {
                *seen.doubtful.entry(event).or_default() += 1;
            }
            return (status, body.clone());
        }
        for event in events(request) {
            *seen.certain.entry(event).or_default() += 1;
        }
        accepted(request)
    });
    (fake, seen)
}

#[tokio::test(start_paused = true)]
async fn nothing_else_is_sent_until_an_answer_is_certain() {
    for (status, body) in [
        (200, "<html><title>Sign in</title></html>"),
        (200, ""),
        (200, "{}"),
        (200, r#"{"event_ids":[]}"#),
        (200, r#"{"error":"INTAKE_KEY_ERROR"}"#),
        (200, r#"{"statuses":"queued"}"#),
        (202, ""),
        (204, ""),
    ] {
        let (fake, seen) = doubtful(status, body, 7200);
        let bench = bench(&fake);
        let pushes = (0..4).map(|n| {
            let mut batch = bench.intake.batch();
            for k in 0..50 {
                assert_eq!(batch.push(format!("{n}.{k}")), Pushed::Added);
            }
            let intake = bench.intake.clone();
            tokio::spawn(async move { intake.push(batch).await })
        });
        let pushes: Vec<_> = pushes.collect();
        time::sleep(Duration::from_secs(7000)).await;
        let requests = fake.requests();
        // The batches were on their way when the first answer came.
        let whole = requests
            .iter()
            .take_while(|one| events(one).len() > 1)
            .count();
        assert!((1..=4).contains(&whole), "{body}");
        let alone: Vec<_> = requests[whole..].iter().map(events).collect();
        assert!(alone.iter().all(|events| *events == ["0.0"]), "{alone:?}");
        assert!(
            (12..40).contains(&alone.len()),
            "pauses up to 10 minutes: {}",
            alone.len()
        );
        assert_eq!(
            bench.said("An answer is not certain"),
            1,
            "{:?}",
            bench.lines
        );
        assert_eq!(
            bench.metric("intake_uncertain_answers_total") as usize,
            requests.len()
        );
        assert_eq!(bench.metric("forwarded_events_total"), 0.0);
        assert!(bench.heartbeat.errors(Side::Intake) > 0);
        for push in pushes {
            let receipt = push.await.unwrap().unwrap();
            assert_eq!((receipt.accepted, receipt.kept.len()), (50, 0));
        }
        let seen = seen.lock().unwrap();
        assert_eq!(seen.certain.len(), 200);
        assert!(seen.certain.values().all(|times| *times == 1), "{seen:?}");
        let doubled = bench.metric("intake_maybe_doubled_events_total") as usize;
        assert!(doubled >= seen.doubtful.len(), "{doubled}");
        assert!(bench.said("the intake may hold such events more than once") > 0);
        assert_eq!(bench.said("The intake accepts events again"), 1);
    }
    let (fake, _) = doubtful(200, "<title>Sign in</title>", 100);
    let bench = bench(&fake);
    bench.intake.push(bench.batch(1)).await.unwrap();
    let said = "the intake h answers 200 OK with a web page titled \"Sign in\", which does not say";
    assert_eq!(bench.said(said), 1, "{:?}", bench.lines);
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_the_midst_of_doubt_proves_nothing() {
    let turn = AtomicUsize::new(0);
    let fake = Fake::answering(move |request| match turn.fetch_add(1, Relaxed) {
        0 => (200, String::new()),
        1 | 3 => (503, String::new()),
        2 => (0, String::new()),
        _ => accepted(request),
    });
    let bench = bench(&fake);
    let receipt = bench.intake.push(bench.batch(30)).await.unwrap();
    assert_eq!(receipt.accepted, 30);
    let lengths = lengths_at(&fake);
    assert_eq!(lengths, [30, 1, 1, 1, 1, 29]);
}

#[tokio::test(start_paused = true)]
async fn too_few_identifiers_are_found_out_by_tens() {
    // One event of 300 has no identifier, and nothing says which.
    let fake = Fake::answering(|request| {
        let known = events(request)
            .into_iter()
            .filter(|event| event != r#"{"n":77}"#);
        let ids: Vec<String> = known.collect();
        (200, json!({ "event_ids": ids }).to_string())
    });
    let mut bench = bench(&fake);
    Arc::get_mut(&mut bench.intake.0).unwrap().limits = BatchLimits::events(1000);
    let receipt = bench.intake.push(bench.batch(300)).await.unwrap();
    let lengths = lengths_at(&fake);
    assert_eq!(lengths.iter().filter(|length| **length == 30).count(), 10);
    assert_eq!(lengths.iter().filter(|length| **length == 3).count(), 10);
    assert_eq!(
        bench.said("the intake may hold such events more than once"),
        1,
        "{:?}",
        bench.lines
    );
    let doubled = bench.metric("intake_maybe_doubled_events_total");
    assert!(doubled >= 299.0, "{doubled}");
    // Of the last one nothing is known: it stays in hand, and others are sent.
    assert_eq!(receipt.kept.len(), 1, "{receipt:?} {lengths:?}");
    assert_eq!(receipt.kept[0].0, 77..78);
}

#[tokio::test(start_paused = true)]
async fn batches_become_smaller_where_an_answer_names_so_many_events_at_most() {
    let fake = Fake::answering(|request| {
        let events = events(request);
        let ids: Vec<String> = events.iter().take(40).map(|event| id(event)).collect();
        (200, json!({ "event_ids": ids }).to_string())
    });
    let bench = bench(&fake);
    for _ in 0..20 {
        let mut batch = bench.intake.batch();
        for n in 100..200 {
            // As much as a batch takes, as a collection does it.
            if batch.push(format!(r#"{{"number":"{n}"}}"#)) != Pushed::Added {
                break;
            }
        }
        let receipt = bench.intake.push(batch).await.unwrap();
        assert!(receipt.kept.is_empty(), "{receipt:?}");
    }
    let lengths = lengths_at(&fake);
    let short = lengths.iter().filter(|length| **length > 40).count();
    assert!((2..6).contains(&short), "it is remembered: {lengths:?}");
}

#[tokio::test(start_paused = true)]
async fn where_an_answer_names_few_events_at_most_each_comes_twice_and_not_three_times() {
    for (count, most) in [(1000, 50), (1000, 7), (95, 50), (10, 1)] {
        let times = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
        let noted = Arc::clone(&times);
        let fake = Fake::answering(move |request| {
            let events = events(request);
            let ids: Vec<String> = events.iter().take(most).map(|event| id(event)).collect();
            for event in events {
                *noted.lock().unwrap().entry(event).or_default() += 1;
            }
            (200, json!({ "event_ids": ids }).to_string())
        });
        let mut bench = bench(&fake);
        Arc::get_mut(&mut bench.intake.0).unwrap().limits = BatchLimits::events(1000);
        let receipt = bench.intake.push(bench.batch(count)).await.unwrap();
        assert_eq!((receipt.accepted, receipt.kept.len()), (count, 0));
        let times = times.lock().unwrap();
        assert_eq!(times.len(), count);
        assert!(times.values().all(|times| *times == 2), "{count} {most}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_answer_does_not_say_of_single_events_stays_in_hand() {
    let fake = Fake::answering(|request| {
        let fate = |event: &String| match event.as_str() {
            r#"{"n":1}"# => json!(null),
            r#"{"n":3}"# => json!({"status": "in quarantine"}),
            _ => json!("id"),
        };
        let ids: Vec<Value> = events(request).iter().map(fate).collect();
        (200, json!({ "event_ids": ids }).to_string())
    });
    let bench = bench(&fake);
    let receipt = bench.intake.push(bench.batch(6)).await.unwrap();
    assert_eq!(receipt.accepted, 4);
    let ranges: Vec<_> = receipt
        .kept
        .iter()
        .map(|(range, _)| range.clone())
        .collect();
    assert_eq!(ranges, [1..2, 3..4]);
    assert_eq!(fake.requests().len(), 1);
    assert!(!format!("{receipt:?}").contains("\"n\""));
}

/// What stands on the way gives each fifth request the answer to an earlier one with as many events, and drops it.
#[tokio::test(start_paused = true)]
async fn an_answer_that_was_given_to_other_events_proves_nothing() {
    let kept = Mutex::new(BTreeMap::<usize, String>::new());
    let requests = AtomicUsize::new(0);
    let (fake, seen) = filter(move |request, events| {
        let mut kept = kept.lock().unwrap();
        if requests.fetch_add(1, Relaxed) % 5 == 4
            && let Some(answer) = kept.get(&events.len())
        {
            return Some((200, answer.clone()));
        }
        kept.insert(events.len(), accepted(request).1);
        None
    });
    let bench = bench(&fake);
    let batches = (0..60).map(|n| (n * 60, rows(n as usize, 1 + n as usize % 3, &[])));
    let given_up = collect(&bench, batches.collect(), 2 * 3600).await;
    assert!(given_up.is_empty(), "{given_up:?}");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.accepted.len(), 120, "{:?}", bench.lines);
    assert!(seen.accepted.values().all(|times| *times == 1));
    let uncertain = bench.metric("intake_uncertain_answers_total") as usize;
    assert_eq!(fake.renewals(), uncertain);
    assert!(uncertain > 5, "{uncertain}");
    assert!(bench.said("200 OK with the identifiers of other events") > 0);
    assert_eq!(bench.said("the same identifiers to different events"), 0);
}

/// Else a relay that knows none would be waited for without end.
#[tokio::test(start_paused = true)]
async fn where_identifiers_are_of_no_event_their_number_counts() {
    type Ids = fn(usize) -> Vec<String>;
    let of_places: Ids = |count| (0..count).map(|n| format!("id-{n}")).collect();
    let constant: Ids = |count| vec!["x".to_owned(); count];
    for (ids, size, seconds) in [(of_places, 5, 120), (constant, 5, 30), (constant, 1, 600)] {
        let fake = Fake::answering(move |request| {
            let ids = ids(events(request).len());
            (200, json!({ "event_ids": ids }).to_string())
        });
        let bench = bench(&fake);
        let batches = (0..10).map(|n| (n as u64, rows(n, size, &[]))).collect();
        let given_up = collect(&bench, batches, seconds).await;
        assert!(given_up.is_empty(), "{given_up:?}");
        let forwarded = bench.metric("forwarded_events_total") as usize;
        assert_eq!(forwarded, 10 * size, "{seconds} {:?}", bench.lines);
        let said =
            bench.said("WARNING - The intake gives the same identifiers to different events");
        assert_eq!(said, 1, "{seconds}");
    }
}

/// An intake that takes all events, and breaks off its answers for ten minutes.
fn breaks_off(status: u16) -> (Bench, Came) {
    let until = Instant::now() + Duration::from_secs(600);
    bench_answering(move |request, _| async move {
        if Instant::now() < until {
            return Err(HttpError {
                status: Some(StatusCode::from_u16(status).unwrap()),
                ..HttpError::new(HttpErrorKind::Interrupted, "h")
            });
        }
        Ok(all_accepted(&request))
    })
}

#[tokio::test(start_paused = true)]
async fn a_success_that_is_broken_off_has_one_event_alone_sent_again() {
    let (bench, came) = breaks_off(200);
    let receipt = bench.intake.push(bench.batch(30)).await.unwrap();
    assert_eq!((receipt.accepted, receipt.kept.len()), (30, 0));
    let lengths = lengths(&came);
    let (last, others) = lengths.split_last().unwrap();
    assert_eq!((others[0], *last), (30, 29));
    assert!(others[1..].iter().all(|length| *length == 1), "{lengths:?}");
    assert!(others.len() > 3, "{lengths:?}");
    let uncertain = bench.metric("intake_uncertain_answers_total") as usize;
    assert_eq!(uncertain, lengths.len() - 2);
    assert_eq!(
        bench.said("the intake h answers 200 OK, but not to its end"),
        1
    );
}

/// An intake that accepts all, and answers after so many seconds; how often each event came.
fn late(seconds: u64) -> (Bench, Arc<Mutex<BTreeMap<String, usize>>>) {
    let times = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let noted = Arc::clone(&times);
    let (bench, _) = bench_answering(move |request, limits| {
        for event in events(&request) {
            *noted.lock().unwrap().entry(event).or_default() += 1;
        }
        async move {
            let limit = limits.first_byte.min(limits.total);
            let answer = time::sleep(Duration::from_secs(seconds));
            if time::timeout(limit, answer).await.is_err() {
                return Err(HttpError::new(HttpErrorKind::Timeout, "h"));
            }
            Ok(all_accepted(&request))
        }
    });
    (bench, times)
}

/// Else none would ever be done with.
#[tokio::test(start_paused = true)]
async fn an_intake_that_accepts_and_answers_late_gets_more_time() {
    for seconds in [36, 100, 250] {
        let (bench, times) = late(seconds);
        for n in 0..20 {
            let mut batch = bench.intake.batch();
            for k in 0..10 {
                assert_eq!(batch.push(format!("{n}.{k}")), Pushed::Added);
            }
            bench.deliver(batch).await;
        }
        let times = times.lock().unwrap();
        assert_eq!(times.len(), 200, "{seconds}");
        assert!(times.values().all(|times| *times <= 6), "{times:?}");
        let again = times.iter().filter(|(_, times)| **times > 1);
        let mut again = again.map(|(event, _)| event);
        assert!(again.all(|event| event.starts_with("0.")), "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_an_answer_that_has_more_time() {
    let (bench, _) = late(100_000);
    let (intake, batch) = (bench.intake.clone(), bench.batch(1));
    let push = tokio::spawn(async move { intake.push(batch).await });
    time::sleep(Duration::from_secs(1000)).await;
    let stopped = Instant::now();
    bench.stop.cancel();
    assert_eq!(push.await.unwrap().unwrap_err(), Stopped);
    assert!(stopped.elapsed() <= STOP_GRACE + Duration::from_millis(10));
}

/// Else all of a batch would come several times before one event shows as much.
#[tokio::test(start_paused = true)]
async fn where_the_answer_is_lost_one_event_alone_is_sent_again() {
    for status in [0, 502, 504] {
        let until = Instant::now() + Duration::from_secs(240);
        let fake = Fake::answering(move |request| match Instant::now() < until {
            true => (status, String::new()),
            false => accepted(request),
        });
        let bench = bench(&fake);
        let receipt = bench.intake.push(bench.batch(30)).await.unwrap();
        assert_eq!((receipt.accepted, receipt.kept.len()), (30, 0), "{status}");
        let lengths = lengths_at(&fake);
        assert!(lengths.len() > 5, "{status}: {lengths:?}");
        assert_eq!(lengths[0], 30, "{status}");
        // In the end the others go, which are in two parts where one from the midst was accepted.
        let others = lengths[1..].iter().filter(|length| **length > 1);
        let others: usize = others.sum();
        assert!(others <= 29, "{status}: {lengths:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn batches_become_smaller_where_no_long_answers_come_through() {
    let (bench, came) = bench_answering(|request, _| async move {
        if events(&request).len() > 60 {
            return Err(HttpError {
                status: Some(StatusCode::OK),
                ..HttpError::new(HttpErrorKind::TooLarge, "h")
            });
        }
        Ok(all_accepted(&request))
    });
    for _ in 0..20 {
        let mut batch = bench.intake.batch();
        for n in 100..200 {
            // As much as a batch takes, as a collection does it.
            if batch.push(format!(r#"{{"number":"{n}"}}"#)) != Pushed::Added {
                break;
            }
        }
        bench.deliver(batch).await;
    }
    let lengths = lengths(&came);
    let broken = lengths.iter().filter(|length| **length > 60).count();
    assert!((2..6).contains(&broken), "it is remembered: {lengths:?}");
    let uncertain = bench.metric("intake_uncertain_answers_total") as usize;
    assert_eq!(uncertain, broken);
}

/// As a proxy answers that looks into what is sent, and not into as much, or a gateway that does not wait as long. Else
/// each batch would meet that, and what the intake had taken all the same come several times.
#[tokio::test(start_paused = true)]
async fn batches_become_smaller_where_something_else_answers_large_ones() {
    for status in [200, 504, 524] {
        let large = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&large);
        let fake = Fake::answering(move |request| match request.body().len() > 500_000 {
            true => {
                counted.fetch_add(1, Relaxed);
                (status, "<title>Too large to look into</title>".to_owned())
            }
            false => accepted(request),
        });
        let bench = bench(&fake);
        let row = "x".repeat(15_000);
        let mut before_last = 0;
        for _ in 0..6 {
            before_last = large.load(Relaxed);
            let mut batch = bench.intake.batch();
            // As much as a batch takes, as a collection does it.
            while batch.push(&row) == Pushed::Added {}
            bench.deliver(batch).await;
        }
        let all = large.load(Relaxed);
        assert!((2..=25).contains(&all), "{status}: {all}");
        assert_eq!(all, before_last, "{status}: it is remembered");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_broken_off_is_one_all_the_same() {
    for (status, words) in [
        (401, "it refuses the intake key"),
        (413, "answers 413 Payload Too Large"),
        (429, "answers 429 Too Many Requests"),
    ] {
        let (bench, _) = breaks_off(status);
        let said = bench.intake.offer(b"{}").await.unwrap().unwrap_err();
        assert!(said.contains(words) && !said.contains("twice"), "{said}");
        let (_, body) = scrape(&bench.metrics, "");
        assert!(body.contains(&format!("status=\"{status}\"")), "{body}");
        bench.intake.push(bench.batch(3)).await.unwrap();
        let doubled = bench.metric("intake_maybe_doubled_events_total");
        assert_eq!(doubled, 0.0, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_an_event_that_may_be_accepted_it_is_said_that_it_may_come_twice() {
    for (status, may_come_twice) in [
        (200, true),
        (0, true),
        (502, true),
        (504, true),
        (520, true),
        (524, true),
        (503, false),
        (521, false),
        (429, false),
        (400, false),
    ] {
        let bench = bench(&Fake::answering(move |_| (status, String::new())));
        let said = bench.intake.offer(b"{}").await.unwrap().unwrap_err();
        let is_said = said.ends_with("; it may come twice when it is sent again");
        assert_eq!(is_said, may_come_twice, "{status}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_when_it_is_sent_again_may_not_come_twice_for_that() {
    for status in [429, 401] {
        let turn = AtomicUsize::new(0);
        let fake = Fake::answering(move |request| match turn.fetch_add(1, Relaxed) {
            0 => (502, String::new()),
            1..20 => (status, String::new()),
            _ => accepted(request),
        });
        let bench = bench(&fake);
        let receipt = bench.intake.push(bench.batch(30)).await.unwrap();
        assert_eq!((receipt.accepted, receipt.kept.len()), (30, 0), "{status}");
        assert_eq!(fake.requests().len(), 21, "{status}");
        let doubled = bench.metric("intake_maybe_doubled_events_total");
        assert_eq!(doubled, 30.0, "{status}: each event once");
        assert_eq!(
            bench.said("- 30 times an event was sent again"),
            1,
            "{status}: {:?}",
            bench.lines
        );
    }
}
