//! Notices that the configuration has changed while the trigger runs.
//!
//! The kernel tells of changes in the configuration directory (inotify), also of the way in which
//! Kubernetes swaps mounted files; and as it cannot tell of all of them, such as those behind a
//! link or on a network file system, there is a look every 30 seconds besides. A change counts when
//! two looks agree, so that a file that is being written is not taken at its half.

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    hash::{BuildHasher as _, BuildHasherDefault},
    path::Path,
    sync::Arc,
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::{
    sync::{Notify, watch},
    time,
};

use super::{
    config::{ConfigError, Configuration, PORTS},
    effective::TEXTS,
    log::Log,
    settings::{CONNECTOR, MODULE, TRIGGER},
};

/// How long it takes at most until a change is seen.
const LOOK: Duration = Duration::from_secs(30);

/// From one look that has seen a change to the next, which must agree with it.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// The keys that each run reads anew.
const SETTINGS: [&str; 4] = [TRIGGER, CONNECTOR, MODULE, "intake_url"];

/// What a configuration holds, without holding it: a hash for each key, none for what could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Look(BTreeMap<&'static str, Option<u64>>);

impl Look {
    fn at(configuration: &Configuration) -> Self {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let hash = |key: &str| match configuration.verbatim(key) {
            Ok(text) => Some(hasher.hash_one(text)),
            // It may hold what it has held.
            Err(ConfigError::Directory { .. } | ConfigError::Unreadable { .. }) => None,
            Err(error) => Some(hasher.hash_one(error.to_string())),
        };
        let texts = TEXTS.iter().map(|(key, _)| *key);
        // They stay bound for the life of the process.
        let ports = PORTS.map(|(key, _)| key);
        let keys = SETTINGS.into_iter().chain(texts).chain(ports);
        Self(keys.map(|key| (key, hash(key))).collect())
    }

    /// The same, with what was known before in the place of what could not be read.
    fn completed(mut self, before: &Self) -> Self {
        for (key, now) in &mut self.0 {
            *now = now.or(before.0.get(key).copied().flatten());
        }
        self
    }

    /// The keys that another look finds otherwise, with what they were.
    fn differing(&self, other: &Self) -> impl Iterator<Item = (&'static str, Option<u64>)> {
        let keys = self.0.iter().map(|(key, before)| (*key, *before));
        keys.filter(move |(key, before)| other.0.get(key) != Some(before))
    }
}

#[derive(Debug)]
struct Judge {
    current: Look,
    /// What was seen last, when it is something else.
    seen: Option<Look>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    /// Something new, if the next look agrees.
    Perhaps,
    /// Something new: whether the settings are, and which keys are that count from the next start
    /// only.
    Changed(bool, BTreeSet<&'static str>),
}

impl Judge {
    fn judge(&mut self, look: Look) -> Verdict {
        let look = look.completed(&self.current);
        let seen = self.seen.take();
        if look == self.current {
            return Verdict::Same;
        }
        if seen.as_ref() != Some(&look) {
            self.seen = Some(look);
            return Verdict::Perhaps;
        }
        let differing = self.current.differing(&look);
        let (settings, others): (Vec<_>, Vec<_>) =
            differing.partition(|(key, _)| SETTINGS.contains(key));
        self.current = look;
        // What was read for the first time is no other value.
        let others = others.into_iter().filter(|(_, before)| before.is_some());
        Verdict::Changed(!settings.is_empty(), others.map(|(key, _)| key).collect())
    }
}

pub(super) struct Watching {
    configuration: Configuration,
    alarm: Arc<Notify>,
    /// Rings it. Where the kernel gives none, the looks have to do.
    _watcher: Option<RecommendedWatcher>,
    judge: Judge,
}

impl Watching {
    /// The first look. What the first run reads must be read after it, so that nothing slips through
    /// between. None when there can be no looks.
    pub(super) async fn begin(configuration: Configuration) -> Option<Self> {
        // The kernel is asked before the look, for the same reason.
        let (alarm, watcher) = alarm(&configuration.directory);
        let judge = Judge {
            current: look(&configuration).await?,
            seen: None,
        };
        Some(Self {
            configuration,
            alarm,
            _watcher: watcher,
            judge,
        })
    }

    /// Looks again and again, and raises the count whenever the settings have changed.
    pub(super) async fn watch(mut self, told: watch::Sender<u64>, log: Log) {
        let mut pause = LOOK;
        loop {
            tokio::select! {
                () = time::sleep(pause) => {}
                // A file is seldom written at one stroke, nor alone.
                () = self.alarm.notified(), if pause == LOOK => time::sleep(SECOND_LOOK).await,
            }
            let Some(look) = look(&self.configuration).await else {
                return;
            };
            pause = match self.judge.judge(look) {
                Verdict::Same => LOOK,
                Verdict::Perhaps => SECOND_LOOK,
                Verdict::Changed(settings, others) => {
                    if !others.is_empty() {
                        let keys = Vec::from_iter(others).join(", ");
                        log.warning(format!(
                            "Another value stands in the configuration for {keys}: it counts from the \
                             next start of the process on."
                        ));
                    }
                    if settings {
                        told.send_modify(|count| *count += 1);
                    }
                    LOOK
                }
            };
        }
    }
}

/// A disk may hang, which must hold up nothing else.
async fn look(configuration: &Configuration) -> Option<Look> {
    let configuration = configuration.clone();
    let look = tokio::task::spawn_blocking(move || Look::at(&configuration));
    look.await.ok()
}

/// What rings when something has happened in a folder, and how the kernel comes to tell it.
fn alarm(folder: &Path) -> (Arc<Notify>, Option<RecommendedWatcher>) {
    let alarm = Arc::new(Notify::new());
    let tell = Arc::clone(&alarm);
    // Our own looks are none.
    let is_change = |event: &Event| match event.kind {
        EventKind::Access(AccessKind::Close(mode)) => mode == AccessMode::Write,
        EventKind::Access(_) => false,
        _ => true,
    };
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| is_change(&event)) {
            tell.notify_one();
        }
    });
    let watcher = watcher.and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    (alarm, watcher.ok())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::tests::{as_nobody, permit};

    fn look(trigger: u64, token: u64) -> Look {
        Look(BTreeMap::from([
            (TRIGGER, Some(trigger)),
            ("token", Some(token)),
        ]))
    }

    #[test]
    fn what_could_not_be_read_has_not_changed() {
        let unread = || Look(BTreeMap::from([(TRIGGER, None), ("token", None)]));
        let mut judge = Judge {
            current: look(1, 1),
            seen: None,
        };
        for _ in 0..3 {
            assert_eq!(judge.judge(unread()), Verdict::Same);
        }
        assert_eq!(judge.judge(look(1, 1)), Verdict::Same);
        // What is read for the first time is no other value, but a run may begin with it.
        let mut judge = Judge {
            current: unread(),
            seen: None,
        };
        assert_eq!(judge.judge(look(1, 1)), Verdict::Perhaps);
        let verdict = judge.judge(look(1, 1));
        assert_eq!(verdict, Verdict::Changed(true, BTreeSet::new()));
    }

    #[test]
    fn a_file_that_may_not_be_read_gives_no_hash() {
        let folder = tempfile::tempdir().unwrap();
        permit(folder.path(), 0o755);
        let at = |text: &str| {
            fs::write(folder.path().join("token"), text).unwrap();
            Configuration::open(folder.path(), Default::default()).unwrap()
        };
        let readable = Look::at(&at("t0ken"));
        let configuration = at("t0ken");
        permit(&folder.path().join("token"), 0);
        let unreadable = as_nobody(move || Look::at(&configuration));
        assert_ne!(readable, unreadable);
        assert_eq!(readable, unreadable.completed(&readable));
    }

    /// Where no setting names a server, the next run takes it.
    #[test]
    fn another_intake_url_is_another_setting() {
        let folder = tempfile::tempdir().unwrap();
        let at = |url: &str| {
            fs::write(folder.path().join("intake_url"), url).unwrap();
            Look::at(&Configuration::open(folder.path(), Default::default()).unwrap())
        };
        let (before, after) = (at("https://one.test"), at("https://two.test"));
        let mut judge = Judge {
            current: before,
            seen: Some(after.clone()),
        };
        assert_eq!(judge.judge(after), Verdict::Changed(true, BTreeSet::new()));
    }

    #[test]
    fn a_change_counts_when_two_looks_agree() {
        let mut judge = Judge {
            current: look(1, 1),
            seen: None,
        };
        let changed = |settings, keys: &[&'static str]| {
            Verdict::Changed(settings, keys.iter().copied().collect())
        };
        assert_eq!(judge.judge(look(1, 1)), Verdict::Same);
        // It is being written.
        assert_eq!(judge.judge(look(2, 1)), Verdict::Perhaps);
        assert_eq!(judge.judge(look(3, 1)), Verdict::Perhaps);
        assert_eq!(judge.judge(look(3, 1)), changed(true, &[]));
        assert_eq!(judge.judge(look(3, 1)), Verdict::Same);
        // It was put back.
        assert_eq!(judge.judge(look(4, 1)), Verdict::Perhaps);
        assert_eq!(judge.judge(look(3, 1)), Verdict::Same);
        assert_eq!(judge.judge(look(4, 1)), Verdict::Perhaps);
        assert_eq!(judge.judge(look(4, 1)), changed(true, &[]));
        // What counts from the next start on ends no run.
        assert_eq!(judge.judge(look(4, 2)), Verdict::Perhaps);
        assert_eq!(judge.judge(look(4, 2)), changed(false, &["token"]));
    }

    #[tokio::test]
    async fn the_kernel_tells_of_files_and_of_swapped_folders() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| folder.path().join(name);
        // As Kubernetes lays mounted files: a link for each key, by way of a link that is swapped.
        for (version, text) in [("1", "old"), ("2", "new")] {
            fs::create_dir(of(version)).unwrap();
            fs::write(of(version).join("trigger_configuration"), text).unwrap();
        }
        std::os::unix::fs::symlink("1", of("..data")).unwrap();
        std::os::unix::fs::symlink("..data/trigger_configuration", of("trigger_configuration"))
            .unwrap();
        let (rings, _watcher) = alarm(folder.path());
        std::os::unix::fs::symlink("2", of("..data_tmp")).unwrap();
        fs::rename(of("..data_tmp"), of("..data")).unwrap();
        rings.notified().await;
        let configuration = Configuration::open(folder.path(), Default::default()).unwrap();
        let text = configuration.verbatim("trigger_configuration").unwrap();
        assert_eq!(text.as_deref(), Some("new"));
        fs::write(of("token"), "another").unwrap();
        rings.notified().await;
        // There is no folder to be told of.
        assert!(alarm(&of("nowhere")).1.is_none());
    }
}
