//! `dead-letters`: walked through as a person would.

use chrono::TimeDelta;
use emulator::{Endpoint, Fault, NewRow};
use serde_json::Value;

use crate::world::{Process, World, until};

/// The letters, as machines get them.
async fn listed(world: &World) -> Vec<Value> {
    let said = world.says(&["dead-letters", "--json"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    let listed: Value = serde_json::from_str(&said.stdout).expect(&said.stdout);
    listed["letters"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_is_listed_sent_again_and_dropped() {
    let world = World::with_backlog(1, 20).await;
    let said = world.says(&["dead-letters"]).await;
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{said}");
    assert!(said.stderr.contains("There are no dead letters."), "{said}");
    for n in 0..2 {
        let at = world.now() - TimeDelta::minutes(5 + n);
        let huge = NewRow::new(at, &format!("huge{n}@contoso.example"));
        world.emulator.add_row(huge.subject(&"x".repeat(251_000)));
    }
    let mut process = world.start();
    process
        .reaches("symphony_module_common_dead_letters", 2.0)
        .await;
    let forwarded = "symphony_module_common_forwarded_events_total{";
    process.reaches(forwarded, 22.0).await;
    until("the checkpoint moves past it", || {
        world.checkpoint() > world.now() - TimeDelta::minutes(1)
    })
    .await;
    assert_eq!(process.health().await.1["dead_letters"], 2);
    let said = world.says(&["status"]).await;
    assert!(
        said.stdout.contains("2 dead letters, the oldest of"),
        "{said}"
    );
    let said = world.says(&["check"]).await;
    assert!(
        said.stdout.contains("2 dead letters, the oldest of"),
        "{said}"
    );

    let letters = listed(&world).await;
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0]["copy_sent"], true);
    assert_eq!(letters[0]["reason"], "it is longer than the intake accepts");
    let id = letters[0]["id"].as_str().unwrap();
    let said = world.says(&["dead-letters"]).await;
    assert!(
        said.stdout.contains(id) && !said.stdout.contains("xxxx"),
        "{said}"
    );

    // The running trigger does it; a copy was delivered.
    let said = world.says(&["dead-letters", "retry", "--all"]).await;
    assert_eq!(said.code, Some(3), "{said}");
    assert!(
        said.stdout.contains("--also-cut sends the whole of it"),
        "{said}"
    );
    world
        .emulator
        .configure(|settings| settings.intake.max_event_bytes = 400_000);
    let said = world
        .says(&["dead-letters", "retry", id, "--also-cut"])
        .await;
    assert_eq!(said.code, Some(0), "{said}");
    assert!(said.stdout.contains("accepted"), "{said}");
    assert_eq!(listed(&world).await.len(), 1);
    process.stop().await;

    // Without a running trigger the command does it itself.
    let rest = listed(&world).await;
    let id = rest[0]["id"].as_str().unwrap();
    let said = world.says(&["dead-letters", "drop", "nothing"]).await;
    assert_eq!(said.code, Some(3), "{said}");
    let said = world.says(&["dead-letters", "drop", id, "--json"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert!(said.stdout.contains("\"dropped\""), "{said}");
    assert_eq!(listed(&world).await.len(), 0);

    // What cannot be read is no sign that there are none.
    let name = "dead-letters/7.jsonl";
    let path = world.data().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    let said = world.says(&["dead-letters", "retry", "--all"]).await;
    assert_eq!(said.code, Some(3), "{said}");
    assert!(
        said.stderr
            .contains(&format!("{name} is no file of dead letters")),
        "{said}"
    );
    assert!(
        !said.stderr.contains("There are no dead letters."),
        "{said}"
    );
    let said = world.says(&["dead-letters", "--json"]).await;
    let listed: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(listed["unreadable_files"][0], name, "{said}");
}

/// Two commands may find nothing and leave an order each: nobody goes on with the first.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_in_whose_place_another_one_lies_is_not_said_to_go_on() {
    let world = World::with_backlog(1, 5).await;
    let huge = NewRow::new(world.now() - TimeDelta::minutes(5), "huge@contoso.example");
    world.emulator.add_row(huge.subject(&"x".repeat(251_000)));
    let mut process = world.start();
    process
        .reaches("symphony_module_common_dead_letters", 1.0)
        .await;
    world
        .emulator
        .fault(Endpoint::Intake, Fault::Hang.times(1_000_000));
    let mut command = world.command_named("dead-letters");
    command.args(["retry", "--all", "--also-cut"]);
    let mut first = Process::start(command);
    first.prints("The running trigger does it.").await;
    let path = world.data().join("dead-letters-order.json");
    until("the order lies there", || path.exists()).await;
    let text = std::fs::read(&path).unwrap();
    let mut other: Value = serde_json::from_slice(&text).unwrap();
    other["id"] = "00000000-0000-0000-0000-000000000001".into();
    // As a command writes it: nobody sees half of it.
    let half = world.data().join("dead-letters-order.new");
    std::fs::write(&half, other.to_string()).unwrap();
    std::fs::rename(half, path).unwrap();
    first
        .prints("Another order for dead letters has taken the place of this one")
        .await;
    assert_eq!(first.ends().await.code(), Some(3));
    process.stop().await;
}

/// Nobody knows how many letters lie in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_letters_that_cannot_be_read_is_told() {
    let world = World::with_backlog(1, 5).await;
    let name = "dead-letters/0000000001.jsonl";
    let path = world.data().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path).unwrap();
    let sentence = format!("{name} is no file of dead letters that can be read");
    let said = world.says(&["status", "--json"]).await;
    let status: Value = serde_json::from_str(&said.stdout).expect(&said.stdout);
    assert_eq!(status["letters"]["unreadable"][0], name, "{said}");
    assert_eq!(status["letters"]["letters"], 0, "{said}");
    let said = world.says(&["check", "--json-lines"]).await;
    let told = said.stdout.lines().find(|line| line.contains(&sentence));
    let told = told.is_some_and(|line| line.contains(r#""outcome":"warn""#));
    assert!(told && said.code == Some(0), "{said}");
}

/// One order at a time; when the trigger goes away meanwhile, that is said, and the order is not lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_order_is_refused_and_a_trigger_that_stops_is_told() {
    let world = World::with_backlog(1, 5).await;
    let huge = NewRow::new(world.now() - TimeDelta::minutes(5), "huge@contoso.example");
    world.emulator.add_row(huge.subject(&"x".repeat(251_000)));
    let mut process = world.start();
    process
        .reaches("symphony_module_common_dead_letters", 1.0)
        .await;
    let letters = listed(&world).await;
    let id = letters[0]["id"].as_str().unwrap();
    world
        .emulator
        .configure(|settings| settings.intake.max_event_bytes = 400_000);
    world
        .emulator
        .fault(Endpoint::Intake, Fault::Hang.times(1_000_000));

    let mut command = world.command_named("dead-letters");
    command.args(["retry", id, "--also-cut"]);
    let mut first = Process::start(command);
    first.prints("The running trigger does it.").await;
    until("the trigger has taken it up", || {
        world.data().join("dead-letters-outcome.json").exists()
    })
    .await;
    let said = world.says(&["dead-letters", "drop", id]).await;
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("is not done yet"), "{said}");

    process.stop().await;
    first.prints("The trigger has stopped;").await;
    // It waits for a while, as a trigger may be restarted; Ctrl-C leaves it at that.
    first.signal("INT");
    assert_eq!(first.ends().await.code(), Some(3));
    world.emulator.clear_faults(Endpoint::Intake);
    let mut process = world.start();
    until("the order is done", || {
        !world.data().join("dead-letters-order.json").exists()
    })
    .await;
    process.stop().await;
    assert_eq!(listed(&world).await.len(), 0, "it has gone on");
}
