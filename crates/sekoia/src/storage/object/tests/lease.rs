//! One instance at a time.

use std::{fs, sync::atomic::Ordering, time::Duration};

use base::http::chain;
use emulator::{ConditionalWrites, ObjectStore};
use tokio::time::{Instant, advance};

use super::{World, is_lost, text};
use crate::{
    deadline::Deadline,
    storage::object::{Problem, acquire, lease},
};

#[tokio::test(start_paused = true)]
async fn a_second_instance_waits_says_so_and_stops() {
    for conditional_writes in [ConditionalWrites::Checked, ConditionalWrites::Unknown] {
        let world = World::new(conditional_writes);
        let first = world.open().await;
        let begun = Instant::now();
        let refusal = world.refusal(&[]).await;
        assert!(begun.elapsed() > lease::LIFE, "{:?}", begun.elapsed());
        assert!(begun.elapsed() < lease::LIFE * 2, "{:?}", begun.elapsed());
        assert!(
            refusal.contains("another instance on host-1 works on the same files"),
            "{refusal}"
        );
        assert!(world.said("waiting up to 34 s to find out"));
        first.storage.write("context.json", "{}").await.unwrap();
        assert!(!is_lost(&first));
    }
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_is_followed_at_once_and_a_crash_when_the_lease_has_run_out() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    first.storage.write("context.json", "1").await.unwrap();
    first.backend.close(&Deadline::default()).await.unwrap();
    first.storage.write("context.json", "2").await.unwrap_err();
    let begun = Instant::now();
    let second = world.open().await;
    assert!(begun.elapsed() < acquire::LOOK);
    assert_eq!(text(&second.storage, "context.json").await, "1");

    // A crash: no more renewals, and nothing is given back.
    drop(second);
    let begun = Instant::now();
    let third = world.open().await;
    assert!(
        begun.elapsed() > lease::LIFE - lease::RENEWAL,
        "{:?}",
        begun.elapsed()
    );
    assert!(world.said("ended without giving its lease back"));
    third.storage.write("context.json", "3").await.unwrap();
    assert_eq!(text(&third.storage, "context.json").await, "3");
}

/// Else a start would say of an instance that has crashed that it works on the same files, and end.
#[tokio::test(start_paused = true)]
async fn a_slow_first_answer_takes_nothing_from_the_time_in_which_an_owner_would_renew_its_lease() {
    for delay in [5, 60] {
        let world = World::new(ConditionalWrites::Checked);
        drop(world.open().await);
        world.net.delay.store(delay, Ordering::Relaxed);
        let second = world.open().await;
        assert!(world.said("ended without giving its lease back"));
        second.storage.write("context.json", "2").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_not_taken_on_the_word_of_one_header() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    // A proxy has a clock of its own, so that each lease looks old.
    world.net.behind.store(-10, Ordering::Relaxed);
    let refusal = world.refusal(&[]).await;
    assert!(refusal.contains("works on the same files"), "{refusal}");
    first.storage.write("context.json", "1").await.unwrap();
    assert!(!is_lost(&first));
    // Of one that is old and not renewed either, the word counts.
    drop(first);
    let begun = Instant::now();
    world.open().await;
    assert!(
        begun.elapsed() > lease::RENEWAL * 2,
        "{:?}",
        begun.elapsed()
    );
    assert!(begun.elapsed() < lease::LIFE, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_was_suspended_too_long_writes_nothing_and_stops() {
    for conditional_writes in [ConditionalWrites::Checked, ConditionalWrites::Ignored] {
        let world = World::new(conditional_writes);
        let first = world.open().await;
        first.storage.append("log", "1").await.unwrap();
        first.storage.write("context.json", "1").await.unwrap();
        // Somebody else takes over: as a file, since the first instance must sleep.
        let note = r#"{"owner": "other", "host": "host-2", "renewal": 1}"#;
        world.replace(".lease", note);
        advance(lease::LIFE).await;
        // Nothing may be sent: who asks waits for ever.
        let held = tokio::time::timeout(lease::LIFE, first.storage.held());
        assert!(held.await.is_err());
        assert!(first.stop.is_cancelled(), "it is told at once");
        let folder = first.storage.inside("folder");
        let held = tokio::time::timeout(lease::LIFE, folder.held());
        assert!(held.await.is_err(), "in a folder, too");
        for _ in 0..2 {
            let error = first.storage.append("log", "2").await.unwrap_err();
            let error = chain(&error);
            assert!(
                error.contains("another instance on host-2 has taken over"),
                "{error}"
            );
            first.storage.write("context.json", "2").await.unwrap_err();
            first.storage.delete("context.json").await.unwrap_err();
        }
        assert_eq!(text(&first.storage, "log").await, "1");
        assert_eq!(text(&first.storage, "context.json").await, "1");
        tokio::time::timeout(lease::RENEWAL * 2, first.stop.cancelled())
            .await
            .unwrap();
        assert!(world.said("Stopping: "));
        let closed = first.backend.close(&Deadline::default()).await.unwrap_err();
        assert!(matches!(*closed.problem, Problem::Lost { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_slept_has_its_lease_again_before_anything_is_sent() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    let renewals = || {
        let requests = world.requests();
        let puts = requests.iter().filter(|note| note.starts_with("PUT"));
        puts.count()
    };
    renewals();
    first.storage.held().await;
    assert_eq!(renewals(), 0, "a lease that is alive is not asked for");
    advance(lease::LIFE * 100).await;
    let begun = Instant::now();
    first.storage.held().await;
    assert!(renewals() > 0, "it was renewed first");
    assert!(begun.elapsed() < lease::RENEWAL);
    // While the store does not answer, nobody knows whose it is.
    world.net.store.fail(Some(503));
    advance(lease::LIFE).await;
    let held = tokio::time::timeout(lease::LIFE * 10, first.storage.held());
    assert!(held.await.is_err());
    world.net.store.fail(None);
    first.storage.held().await;
    assert!(!is_lost(&first));
}

#[tokio::test(start_paused = true)]
async fn a_late_write_does_not_replace_what_the_next_owner_wrote() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    first.storage.write("context.json", "old").await.unwrap();
    // The first instance believes that its lease is still alive.
    fs::remove_file(world.path("play/book/7/.lease")).unwrap();
    let second = world.open().await;
    second.storage.write("context.json", "new").await.unwrap();
    first
        .storage
        .write("context.json", "stale")
        .await
        .unwrap_err();
    assert_eq!(text(&second.storage, "context.json").await, "new");
    // It knows now whose the lease is, however lately it was its own.
    let held = tokio::time::timeout(lease::LIFE, first.storage.held());
    assert!(held.await.is_err(), "nothing is sent any more");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_has_damaged_is_nobodys() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    world.replace(".lease", "<html>");
    tokio::time::sleep(lease::RENEWAL * 2).await;
    assert!(!is_lost(&first));
    first.storage.held().await;
    first.storage.write("context.json", "1").await.unwrap();
    // Others see again whose it is.
    let refusal = world.refusal(&[]).await;
    assert!(refusal.contains("another instance on host-1"), "{refusal}");
}

/// Else this instance, which nobody has replaced, would send nothing until a person acts, and say that it is well.
#[tokio::test(start_paused = true)]
async fn a_damaged_lease_is_replaced_in_the_end_where_writes_have_no_conditions() {
    let world = World::new(ConditionalWrites::Unknown);
    let first = world.open().await;
    world.replace(".lease", "<html>");
    tokio::time::sleep(lease::LIFE).await;
    first.storage.write("context.json", "1").await.unwrap_err();
    let held = tokio::time::timeout(lease::LIFE, first.storage.held());
    assert!(held.await.is_ok(), "it is waited for for ever");
    first.storage.write("context.json", "1").await.unwrap();
    assert!(!is_lost(&first));
    // Others see again whose it is.
    let refusal = world.refusal(&[]).await;
    assert!(refusal.contains("another instance on host-1"), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_lease_goes_on_when_a_refusal_has_passed() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    // A refusal that no waiting cures: a person has to.
    world.net.store.fail(Some(403));
    tokio::time::sleep(lease::LIFE * 2).await;
    assert!(world.said("the access key may not"));
    let held = async { first.storage.held().await };
    let mends = async {
        tokio::time::sleep(lease::LIFE).await;
        world.net.store.fail(None);
    };
    let both = async { tokio::join!(held, mends) };
    let waited = tokio::time::timeout(lease::LIFE * 2, both).await;
    assert!(waited.is_ok(), "it is waited for for ever");
    assert!(!is_lost(&first));
}

/// Else the loop, which writes now and then, would be silent for so long that it counts as stuck.
#[tokio::test(start_paused = true)]
async fn those_who_wait_for_the_lease_do_not_hold_up_a_write_one_after_the_other() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    world.net.store.fail(Some(503));
    tokio::time::sleep(lease::LIFE).await;
    let wait = |_| {
        let storage = first.storage.clone();
        tokio::spawn(async move { storage.held().await })
    };
    let waiting: Vec<_> = (0..6).map(wait).collect();
    tokio::time::sleep(lease::RENEWAL).await;
    let begun = Instant::now();
    first.storage.write("context.json", "1").await.unwrap_err();
    let took = begun.elapsed();
    assert!(took < lease::LIFE / 2, "{took:?}");
    world.net.store.fail(None);
    for one in waiting {
        one.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_the_lease_is_survived_when_nobody_else_came() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    first.storage.write("context.json", "1").await.unwrap();
    world.net.store.fail(Some(503));
    tokio::time::sleep(lease::LIFE * 3).await;
    let error = chain(&first.storage.write("context.json", "2").await.unwrap_err());
    assert!(
        error.contains("cannot answer at the moment (status 503"),
        "{error}"
    );
    assert!(!error.contains(ObjectStore::SECRET_KEY));
    world.net.store.fail(None);
    first.storage.write("context.json", "3").await.unwrap();
    // Its next renewal may be due a moment later.
    tokio::time::sleep(lease::RENEWAL + Duration::from_secs(1)).await;
    assert!(world.said("Cannot renew the lease"));
    assert!(world.said("is renewed again"));
    assert!(!is_lost(&first));
    assert_eq!(text(&first.storage, "context.json").await, "3");
}

/// Nothing is sent meanwhile, and so nothing else may be said.
#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_is_told_again_and_as_an_error_where_a_person_has_to_act() {
    let world = World::new(ConditionalWrites::Checked);
    let _first = world.open().await;
    let said = |level: &str| {
        let lines = world.lines.lock().unwrap();
        let start = format!("- {level} - Cannot renew the lease on the object store");
        lines.iter().filter(|line| line.contains(&start)).count()
    };
    let seconds = |count| tokio::time::sleep(Duration::from_secs(count));
    world.net.store.fail(Some(503));
    seconds(300).await;
    let outage = said("WARNING");
    assert!((4..=5).contains(&outage), "once a minute: {outage}");
    assert_eq!(said("ERROR"), 0);
    // At once, however lately the other was said.
    world.net.store.fail(Some(403));
    seconds(30).await;
    assert_eq!(said("ERROR"), 1);
    world.net.store.fail(Some(503));
    seconds(20).await;
    assert_eq!(said("WARNING"), outage);
    world.net.store.fail(Some(403));
    seconds(200).await;
    assert!(said("ERROR") >= 3, "again");
    world.net.store.fail(None);
    seconds(60).await;
    assert!(world.said("is renewed again"));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_was_lost_is_no_loss() {
    let world = World::new(ConditionalWrites::Checked);
    let first = world.open().await;
    world.mute(true);
    tokio::time::sleep(lease::RENEWAL + acquire::LOOK).await;
    world.mute(false);
    tokio::time::sleep(lease::RENEWAL).await;
    first.storage.write("context.json", "1").await.unwrap();
    assert!(!is_lost(&first));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_comes_later_is_waited_for() {
    let world = World::new(ConditionalWrites::Checked);
    world.net.store.fail(Some(500));
    let said = |level: &str| {
        let start = format!("- {level} - The object store is not ready, trying again");
        world.said(&start)
    };
    let comes = async {
        tokio::time::sleep(Duration::from_secs(290)).await;
        assert!(said("WARNING") && !said("ERROR"), "it may pass by itself");
        tokio::time::sleep(Duration::from_secs(110)).await;
        assert!(said("ERROR"), "somebody should look");
        world.net.store.fail(None);
    };
    let (opened, ()) = tokio::join!(world.try_open(&[]), comes);
    opened.unwrap().unwrap();
}
