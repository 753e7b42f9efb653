//! The disk of the module's state: a small one of its own, which can be full, where the system lets us
//! make one.
//!
//! Only this process and its children see its mount, and it goes when the last of them ends, also by a
//! kill.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::statvfs::statvfs,
    unistd::{getgid, getuid},
};

/// Its size in bytes while it is not full. `check` asks for 64 MiB of free space, and memory is used only
/// for what is written.
const SIZE: u64 = 256 << 20;

/// The least that a size can be: 0 would mean no bound.
const PAGE: u64 = 4096;

/// The module may write between a look at the disk and the new size, which is refused then.
const TRIES: usize = 20;

/// This process sees mounts of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Apart(());

impl Apart {
    /// From now on what this process mounts is seen by it and its children alone. Only a process with a
    /// single thread can do that: before the runtime starts.
    ///
    /// # Errors
    /// When the system does not allow it, as in many containers.
    pub(crate) fn begin() -> anyhow::Result<Self> {
        let (user, group) = (getuid(), getgid());
        if user.is_root() {
            unshare(CloneFlags::CLONE_NEWNS)?;
        } else {
            // Other users may do it in a user namespace, and keep their user and group there.
            unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
            fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
        }
        // What is mounted here is not passed on to the others.
        let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)?;
        Ok(Self(()))
    }
}

/// A small disk; it is gone on drop.
#[derive(Debug)]
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// Makes one at this directory, which must be empty.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub(crate) fn make(at: &Path, _: Apart) -> anyhow::Result<Self> {
        set(at, SIZE, MsFlags::empty())?;
        Ok(Self(at.to_owned()))
    }

    /// Takes all free space away, so that it is full.
    ///
    /// # Errors
    /// When the system refuses it.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        for _ in 0..TRIES {
            let found = statvfs(&self.0).context("cannot look at the disk of the state")?;
            let used = (found.blocks() - found.blocks_free()) * found.fragment_size();
            match set(&self.0, used.max(PAGE), MsFlags::MS_REMOUNT) {
                // It holds more by now.
                Err(Errno::EINVAL) => {}
                other => return other.context("cannot fill the disk of the state"),
            }
        }
        bail!("the module writes faster than its disk can be filled")
    }

    /// Gives the free space back.
    ///
    /// # Errors
    /// When the system refuses it.
    pub(crate) fn make_room(&self) -> anyhow::Result<()> {
        set(&self.0, SIZE, MsFlags::MS_REMOUNT).context("cannot make room on the disk of the state")
    }
}

fn set(at: &Path, size: u64, more: MsFlags) -> nix::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | more;
    let options = format!("size={size},mode=0755");
    mount(
        Some("playground"),
        at,
        Some("tmpfs"),
        flags,
        Some(options.as_str()),
    )
}

impl Drop for Disk {
    fn drop(&mut self) {
        // If it stays, it goes with this process.
        _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_small_disk_is_full_and_has_room_again_and_nobody_else_sees_it() {
        // A thread that is not root cannot see mounts of its own.
        let Ok(apart) = Apart::begin() else {
            eprintln!("SKIPPED: this process may not mount anything");
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::make(folder.path(), apart).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "kept").unwrap();
        disk.fill().unwrap();
        let error = fs::write(folder.path().join("other"), [1; 10_000]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        disk.make_room().unwrap();
        fs::write(folder.path().join("other"), [1; 10_000]).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
        let name = folder.path().to_str().unwrap();
        let mounts = |of: &str| fs::read_to_string(format!("/proc/{of}/mounts")).unwrap();
        assert!(mounts("thread-self").contains(name));
        assert!(!mounts("self").contains(name));
        drop(disk);
        assert!(!file.exists());
    }
}
