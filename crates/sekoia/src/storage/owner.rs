//! Whose files they are. A command that root runs beside a service must not leave root's files behind,
//! with which the service cannot go on.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Uid, User, geteuid, setgid, setgroups, setuid};

use super::{StorageError, lock::LOCK};

/// A user of the system.
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
        let found = match lock {
            Some(lock) => lock,
            None => fs::metadata(root).ok()?,
        };
        Some((Self::in_metadata(&found), has_lock))
    }

    fn in_metadata(found: &fs::Metadata) -> Self {
        Self {
            user: Uid::from_raw(found.uid()),
            group: Gid::from_raw(found.gid()),
        }
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

/// A user for people.
fn told(user: Uid) -> String {
    match User::from_uid(user) {
        Ok(Some(found)) => format!("{} (uid {user})", found.name),
        _ => format!("the user with uid {user}"),
    }
}

/// Makes this process one of the user whom the files in this directory belong to, when it is root;
/// nothing can undo that. Any other user is refused.
///
/// # Errors
/// When this user is another one, or the system does not allow it.
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
            let become_owner = || {
                setgroups(&[])?;
                setgid(owner.group)?;
                setuid(owner.user)
            };
            become_owner().map_err(|error| StorageError::Root {
                path: root.to_owned(),
                source: io::Error::other(format!(
                    "its files belong to {}, and root cannot work as that user here ({error}): run \
                     this command as that user",
                    told(owner.user)
                )),
            })
        }
    }
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
    let owner = Owner::in_metadata(&found);
    let cure = if owner.user == me {
        format!(
            "its user may not do that: see its permissions with `ls -la {}`",
            place.display()
        )
    } else {
        let keeper = Owner::of(root).map_or(me, |(owner, _)| owner.user);
        // The lock's owner is who works here; a file of another is in the way.
        let user = if keeper == owner.user { me } else { keeper };
        format!(
            "give all files to the user of the trigger with `chown -R '{}' {}`",
            name(user),
            root.display()
        )
    };
    let sentence = format!(
        "permission denied: {} belongs to {}, and this process works as {}: {cure}",
        place.display(),
        told(owner.user),
        told(me)
    );
    io::Error::new(io::ErrorKind::PermissionDenied, sentence)
}

/// The file, or the deepest directory above it that is there.
fn existing(root: &Path, path: &Path) -> Option<(fs::Metadata, PathBuf)> {
    let inside = path.ancestors().take_while(|way| way.starts_with(root));
    let mut found = inside.filter_map(|way| Some((fs::metadata(way).ok()?, way.to_owned())));
    found.next()
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
