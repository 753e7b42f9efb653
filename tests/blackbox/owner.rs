//! Files belong to the user of the trigger, also when root gives a command. These tests need root.

use std::{
    fs,
    io::Write as _,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
};

use crate::{
    terminal::in_terminal,
    world::{Process, Said, World, until},
};

/// Any user but root.
const USER: u32 = 64_123;

/// A user who has nothing to do with the files.
const OTHER: u32 = 64_124;

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Says it although the test passes: what `println!` prints is kept from who runs the tests.
fn skipped() {
    writeln!(
        std::io::stdout().lock(),
        "SKIPPED: only root can give files away"
    )
    .unwrap();
}

fn each(folder: &Path, look: &mut impl FnMut(PathBuf)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each(&path, look);
        }
        look(path);
    }
}

/// The data belong to `USER`, and anybody may read the configuration.
fn given_away(world: &World) {
    fs::create_dir_all(world.data()).unwrap();
    let mut give = |path: PathBuf| chown(path, Some(USER), Some(USER)).unwrap();
    each(&world.data(), &mut give);
    give(world.data());
    let mut open = |path: PathBuf| {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    each(&world.config(), &mut open);
    open(world.config());
    open(world.config().parent().unwrap().to_owned());
}

/// The users whom the data belong to.
fn owners(world: &World) -> Vec<(u32, PathBuf)> {
    let mut all = Vec::new();
    each(&world.data(), &mut |path: PathBuf| {
        all.push((fs::metadata(&path).unwrap().uid(), path));
    });
    all
}

async fn backfill(world: &World, user: Option<u32>) -> Said {
    let mut command = world.command_named("backfill");
    command.args(["--from", "-5h"]);
    if let Some(user) = user {
        command.as_std_mut().uid(user).gid(user);
    }
    Said::of(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn root_leaves_no_files_of_its_own_behind() {
    if !is_root() {
        skipped();
        return;
    }
    let world = World::graph(30).await;
    given_away(&world);
    let said = backfill(&world, None).await;
    assert_eq!(said.code, Some(0), "{said}");
    let all = owners(&world);
    assert!(all.len() > 4, "{all:?}");
    assert!(all.iter().all(|(owner, _)| *owner == USER), "{all:?}");
    assert_eq!(world.emulator.accepted_count(None), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_is_refused_with_the_command_to_use() {
    if !is_root() {
        skipped();
        return;
    }
    let world = World::graph(3).await;
    given_away(&world);
    // Anybody may write there.
    fs::set_permissions(world.data(), fs::Permissions::from_mode(0o777)).unwrap();
    let said = backfill(&world, Some(OTHER)).await;
    assert_eq!(said.code, Some(1), "{said}");
    for text in [
        "belong to the user with uid 64123",
        "sudo -u '#64123' ",
        " --from -5h",
    ] {
        assert!(said.stderr.contains(text), "{text}: {said}");
    }
    assert_eq!(
        fs::read_dir(world.data()).unwrap().count(),
        0,
        "nothing is made"
    );
    let said = backfill(&world, Some(USER)).await;
    assert_eq!(said.code, Some(0), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_user_is_found_before_a_start_and_named_after_it() {
    if !is_root() {
        skipped();
        return;
    }
    let world = World::graph(3).await;
    given_away(&world);
    let said = backfill(&world, Some(USER)).await;
    assert_eq!(said.code, Some(0), "{said}");
    let mut taken = None;
    each(&world.data().join("known-rows"), &mut |path| {
        taken = Some(path)
    });
    let taken = taken.unwrap();
    chown(&taken, Some(0), Some(0)).unwrap();
    fs::set_permissions(&taken, fs::Permissions::from_mode(0o644)).unwrap();
    for user in [None, Some(USER)] {
        let mut command = world.command_named("check");
        if let Some(user) = user {
            command.as_std_mut().uid(user).gid(user);
        }
        let said = Said::of(command).await;
        assert_eq!(said.code, Some(11), "{said}");
        let name = format!("known-rows/{}", taken.file_name().unwrap().display());
        for text in [name.as_str(), "belongs to root (uid 0)", "chown -R"] {
            assert!(said.stdout.contains(text), "{text}: {said}");
        }
    }
}

/// The user that a process works as.
fn user_of(process: &Process) -> u32 {
    fs::metadata(format!("/proc/{}", process.id()))
        .unwrap()
        .uid()
}

/// A trigger that delivers all, and is stopped.
async fn runs(world: &World) -> (u32, String) {
    let mut process = world.start();
    process.prints("Trigger has started").await;
    world.all_delivered().await;
    until("a position is kept", || {
        world.data().join("context.json").exists()
    })
    .await;
    let user = user_of(&process);
    process.stop().await;
    (user, process.output())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_root_starts_goes_on_as_the_user_who_has_worked_there() {
    if !is_root() {
        skipped();
        return;
    }
    let world = World::graph(30).await;
    given_away(&world);
    let said = backfill(&world, Some(USER)).await;
    assert_eq!(said.code, Some(0), "{said}");
    let (user, output) = runs(&world).await;
    assert_eq!(user, USER, "{output}");
    let sentence =
        "belong to the user with uid 64123: this process, which root has started, works as that";
    assert!(output.contains(sentence), "{output}");
    let all = owners(&world);
    assert!(all.iter().all(|(owner, _)| *owner == USER), "{all:?}");

    // What that user cannot read, root can; the platform's log hears of it.
    let settings = world.config().join("trigger_configuration");
    fs::set_permissions(&settings, fs::Permissions::from_mode(0o600)).unwrap();
    let (user, output) = runs(&world).await;
    assert_eq!(user, 0, "{output}");
    for text in ["trigger_configuration: Permission denied", "chown -R root"] {
        assert!(output.contains(text), "{text}: {output}");
    }
    world
        .platform_log("warning", "this process works as root")
        .await;

    // A person is refused.
    let text = in_terminal(world.command(), 80).await.replace('\n', " ");
    assert!(
        text.contains("root cannot work as that user here"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_nobody_has_worked_on_is_left_to_root() {
    if !is_root() {
        skipped();
        return;
    }
    let world = World::graph(30).await;
    given_away(&world);
    let (user, output) = runs(&world).await;
    assert_eq!(user, 0, "{output}");
    assert!(!output.contains("belong to"), "{output}");
}
