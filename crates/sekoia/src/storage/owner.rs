//! Whose files they are. What root runs beside a service, or in its place, must not leave root's files
//! behind, with which the service cannot go on.

use std::{
    ffi::CString,
    fs::{self, File},
    io::{self, IsTerminal as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::{
    Gid, Uid, User, getegid, geteuid, getgrouplist, getgroups, setegid, seteuid, setgid, setgroups,
    setuid,
};

use super::{StorageError, lock::LOCK};
use crate::log::Log;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    user: Uid,
    group: Gid,
}

/// What a process is to the owner of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// It may work as it is.
    Fine,
    /// It is root, and can work as the owner.
    CanBecome,
    /// It is somebody else.
    Foreign,
}

impl Owner {
    /// Whose files in a directory are: the owner of the lock, which a process that works there has
    /// made, else of the directory. None when that cannot be told.
    pub(super) fn of(root: &Path) -> Option<(Self, bool)> {
        let lock = fs::symlink_metadata(root.join(LOCK)).ok();
        let lock = lock.filter(fs::Metadata::is_file);
        let has_lock = lock.is_some();
        let found = lock.or_else(|| fs::metadata(root).ok())?;
        Some((Self::in_metadata(&found), has_lock))
    }

    fn in_metadata(found: &fs::Metadata) -> Self {
        Self {
            user: Uid::from_raw(found.uid()),
            group: Gid::from_raw(found.gid()),
        }
    }

    /// The groups of the user, its own first.
    fn groups(self) -> Vec<Gid> {
        let user = User::from_uid(self.user).ok().flatten();
        let name = user.and_then(|user| CString::new(user.name).ok());
        let groups = name.and_then(|name| getgrouplist(&name, self.group).ok());
        groups.unwrap_or_default()
    }

    /// Makes this process one of the user; nothing can undo that.
    fn take_on(self) -> nix::Result<()> {
        setgroups(&self.groups())?;
        setgid(self.group)?;
        setuid(self.user)
    }

    /// Does something as the user, and goes back.
    fn in_turn(self, look: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let (me, group, groups) = (geteuid(), getegid(), getgroups()?);
        let looked = setgroups(&self.groups())
            .and_then(|()| setegid(self.group))
            .and_then(|()| seteuid(self.user))
            .map_err(io::Error::from)
            .and_then(|()| look());
        seteuid(me)?;
        setegid(group)?;
        setgroups(&groups)?;
        looked
    }

    /// What a process of this user is to it. `has_lock` when a process has worked on the files.
    fn relation(self, me: Uid, has_lock: bool) -> Relation {
        if self.user == me {
            Relation::Fine
        } else if me.is_root() {
            Relation::CanBecome
        } else if self.user.is_root() && !has_lock {
            // A volume that root has made for its users, who come to it by their group.
            Relation::Fine
        } else {
            Relation::Foreign
        }
    }
}

/// A user's name, or its number where it has none.
fn name(user: Uid) -> String {
    match User::from_uid(user) {
        Ok(Some(found)) => found.name,
        _ => format!("#{user}"),
    }
}

fn told(user: Uid) -> String {
    match User::from_uid(user) {
        Ok(Some(found)) => format!("{} (uid {user})", found.name),
        _ => format!("the user with uid {user}"),
    }
}

/// Makes this process one of the user whom the files in this directory belong to, when it is root;
/// nothing can undo that. Any other user is refused.
pub(crate) fn work_as_owner(root: &Path) -> Result<(), StorageError> {
    let Some((owner, has_lock)) = Owner::of(root) else {
        return Ok(());
    };
    let me = geteuid();
    match owner.relation(me, has_lock) {
        Relation::Fine => Ok(()),
        Relation::Foreign => Err(StorageError::Foreign {
            path: root.to_owned(),
            owner: told(owner.user),
            me: told(me),
            command: format!("sudo -u '{}' {}", name(owner.user), command_line()),
        }),
        Relation::CanBecome => {
            let taken = owner.take_on();
            taken.map_err(|error| not_taken_on(owner, root, &error.into()))
        }
    }
}

/// Why root does not work as the owner.
fn not_taken_on(owner: Owner, root: &Path, error: &io::Error) -> StorageError {
    StorageError::Root {
        path: root.to_owned(),
        source: io::Error::other(format!(
            "its files belong to {}, and root cannot work as that user here ({error}): run this command \
             as that user",
            told(owner.user)
        )),
    }
}

/// Makes a process of root, which is to stay on these files, one of the user whose process has worked on
/// them before, and says in the log what became of it. Files that no process has worked on are left to root:
/// a volume may belong to any user, and files in it to others.
///
/// It must be able to read its configuration at any time, so that is tried out first. Where that user
/// cannot, a person at a terminal is refused; what the platform starts goes on as root, as rows matter more
/// than files.
pub(crate) fn go_on_as_owner(
    root: &Path,
    configuration: &Path,
    log: &Log,
) -> Result<(), StorageError> {
    let Some((owner, has_lock @ true)) = Owner::of(root) else {
        return Ok(());
    };
    if owner.relation(geteuid(), has_lock) != Relation::CanBecome {
        return Ok(());
    }
    let tried = owner.in_turn(|| can_read(configuration));
    let done = tried.and_then(|()| owner.take_on().map_err(io::Error::from));
    let (user, place) = (told(owner.user), root.display());
    match done {
        Ok(()) => log.info(format!(
            "The files in {place} belong to {user}: this process, which root has started, works as that \
             user from now on"
        )),
        Err(error) if io::stderr().is_terminal() => return Err(not_taken_on(owner, root, &error)),
        Err(error) => log.warning(format!(
            "The files in {place} belong to {user}, and this process works as root, as it cannot work as \
             that user here ({error}): its files will be root's, and a process of that user cannot go on \
             with them. Start it as that user, or, when root is to work here from now on, give root all \
             files with `chown -R root {place}`"
        )),
    }
    Ok(())
}

/// That each file of a configuration can be read.
fn can_read(configuration: &Path) -> io::Result<()> {
    let named = |path: &Path, error: io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    };
    let entries = match fs::read_dir(configuration) {
        // Variables of the environment stay readable.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| named(configuration, error))?,
    };
    for entry in entries {
        let path = entry?.path();
        // What is no file is no key.
        if fs::metadata(&path).is_ok_and(|found| found.is_file()) {
            File::open(&path).map_err(|error| named(&path, error))?;
        }
    }
    Ok(())
}

/// How this command was given, for a shell.
fn command_line() -> String {
    let arguments = std::env::args_os().map(|argument| {
        let argument = argument.to_string_lossy().into_owned();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+,@".contains(c);
        match !argument.is_empty() && argument.chars().all(is_plain) {
            true => argument,
            false => format!("'{}'", argument.replace('\'', "'\\''")),
        }
    });
    arguments.collect::<Vec<_>>().join(" ")
}

/// With whose file it is and what to do, when the system does not permit something.
pub(super) fn explained(error: io::Error, root: &Path, path: &Path) -> io::Error {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error;
    }
    let Some((found, place)) = existing(root, path) else {
        return error;
    };
    let me = geteuid();
    let owner = Owner::in_metadata(&found).user;
    let cure = if owner == me {
        format!(
            "its user may not do that: see its permissions with `ls -la {}`",
            place.display()
        )
    } else {
        let keeper = Owner::of(root).map_or(me, |(owner, _)| owner.user);
        // The lock's owner is who works here; a file of another is in the way.
        let user = if keeper == owner { me } else { keeper };
        format!(
            "give all files to the user of the trigger with `chown -R '{}' {}`",
            name(user),
            root.display()
        )
    };
    let sentence = format!(
        "permission denied: {} belongs to {}, and this process works as {}: {cure}",
        place.display(),
        told(owner),
        told(me)
    );
    io::Error::new(io::ErrorKind::PermissionDenied, sentence)
}

/// The file, or the deepest directory above it that is there.
fn existing(root: &Path, path: &Path) -> Option<(fs::Metadata, PathBuf)> {
    let mut inside = path.ancestors().take_while(|way| way.starts_with(root));
    inside.find_map(|way| Some((fs::metadata(way).ok()?, way.to_owned())))
}

/// Why the user of the trigger could not write to a file, as far as its owner tells; for root, who may
/// do anything.
pub(super) fn unusable_to_keeper(root: &Path, path: &Path) -> Option<io::Error> {
    let (keeper, _) = Owner::of(root)?;
    let found = fs::metadata(path).ok()?;
    let owner = Owner::in_metadata(&found);
    let is_for_all = found.mode() & 0o002 != 0;
    let is_for_group = owner.group == keeper.group && found.mode() & 0o020 != 0;
    let is_usable =
        keeper.user.is_root() || owner.user == keeper.user || is_for_all || is_for_group;
    (!is_usable).then(|| {
        io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "it belongs to {}, and the trigger works as {}: give all files to it with `chown -R \
                 '{}' {}`",
                told(owner.user),
                told(keeper.user),
                name(keeper.user),
                root.display()
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_work_on_files() {
        let owner = |uid| Owner {
            user: Uid::from_raw(uid),
            group: Gid::from_raw(uid),
        };
        let relation = |uid, me, has_lock| owner(uid).relation(Uid::from_raw(me), has_lock);
        assert_eq!(relation(998, 998, true), Relation::Fine);
        assert_eq!(relation(0, 0, true), Relation::Fine);
        assert_eq!(relation(998, 0, true), Relation::CanBecome);
        assert_eq!(relation(998, 0, false), Relation::CanBecome);
        assert_eq!(relation(998, 1000, false), Relation::Foreign);
        assert_eq!(relation(0, 1000, false), Relation::Fine, "a volume");
        assert_eq!(relation(0, 1000, true), Relation::Foreign, "root's files");
    }

    #[test]
    fn what_is_not_permitted_names_owner_and_cure() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let text = explained(denied(), root, &root.join("known-rows/1")).to_string();
        assert!(text.contains(&root.display().to_string()), "{text}");
        assert!(text.contains(" belongs to "), "{text}");
        let other = explained(io::Error::from(io::ErrorKind::NotFound), root, root);
        assert_eq!(other.kind(), io::ErrorKind::NotFound);
        assert_eq!(Owner::of(&root.join("absent")), None);
        assert!(command_line().contains("sekoia"), "{}", command_line());
    }
}
