//! Files of the local disk, which others may have put something else in the place of: only regular
//! files are read and written, and none is read that is longer than it may be.
//!
//! To open a named pipe waits for its other end, and a device may have no end.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Reads a file as a whole.
///
/// # Errors
/// When there is none, or it cannot be read. Of the kind `InvalidData` when something else is in its
/// place, or it has more than `most` bytes.
pub fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    // A look first: to open a device may do something already.
    ensure_regular(&fs::metadata(path).map_err(explained)?)?;
    let file = open(OpenOptions::new().read(true), path)?;
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    let length = file.metadata()?.len();
    let mut content = Vec::with_capacity(usize::try_from(length.min(most)).unwrap_or(0));
    // It may grow meanwhile.
    file.take(most.saturating_add(1))
        .read_to_end(&mut content)?;
    if content.len() as u64 > most {
        let length = length.max(most + 1);
        return Err(unusable(format!(
            "it has {length} bytes, more than the {most} that it may have"
        )));
    }
    Ok(content)
}

/// Reads a file as a whole that must be UTF-8 text.
///
/// # Errors
/// As [`read`]; of the kind `InvalidData`, too, when it is no such text.
pub fn read_text(path: &Path, most: usize) -> io::Result<String> {
    String::from_utf8(read(path, most)?).map_err(|error| unusable(error.to_string()))
}

/// Opens a file without waiting for anybody.
///
/// # Errors
/// As `options` say; of the kind `InvalidData` when something else is in its place.
pub fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    #[allow(clippy::cast_possible_wrap, reason = "flags are bits")]
    let at_once = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = options.clone().custom_flags(at_once).open(path);
    let file = file.map_err(explained)?;
    ensure_regular(&file.metadata()?)?;
    Ok(file)
}

/// Whether symbolic links on the way lead in a circle: there is no file behind them, and never will be.
pub fn is_circle(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

fn explained(error: io::Error) -> io::Error {
    if is_circle(&error) {
        let reason = "it is a symbolic link that leads in a circle, and not a file with content";
        return unusable(reason.to_owned());
    }
    error
}

fn ensure_regular(found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(unusable(format!(
        "it is {what}, and not a file with content"
    )))
}

fn unusable(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read_and_only_so_much() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("text"), "12345").unwrap();
        assert_eq!(read(&path("text"), 5).unwrap(), b"12345");
        assert_eq!(read_text(&path("text"), 9).unwrap(), "12345");
        std::os::unix::fs::symlink(path("text"), path("link")).unwrap();
        assert_eq!(read(&path("link"), 5).unwrap(), b"12345");
        let none = read(&path("none"), 5).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound);

        fs::write(path("latin"), b"\xe9").unwrap();
        let sparse = File::create(path("sparse")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        let status = std::process::Command::new("mkfifo")
            .arg(path("pipe"))
            .status();
        assert!(status.unwrap().success());
        std::os::unix::fs::symlink("/dev/zero", path("endless")).unwrap();
        std::os::unix::fs::symlink("circle", path("circle")).unwrap();
        _ = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        for (name, why) in [
            ("", "it is a folder"),
            ("pipe", "it is a named pipe"),
            ("endless", "it is a device"),
            ("circle", "it is a symbolic link that leads in a circle"),
            (
                "circle/below",
                "it is a symbolic link that leads in a circle",
            ),
            ("socket", "it is a socket"),
            ("sparse", "it has 1099511627776 bytes, more than the 4 "),
            ("text", "it has 5 bytes, more than the 4 that it may have"),
        ] {
            let error = read(&path(name), 4).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{name}");
            assert!(error.to_string().starts_with(why), "{name}: {error}");
        }
        let error = read_text(&path("latin"), 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let opened = open(OpenOptions::new().read(true), &path("pipe"));
        assert!(opened.unwrap_err().to_string().contains("a named pipe"));
        let opened = open(OpenOptions::new().read(true), &path("circle"));
        assert!(opened.unwrap_err().to_string().contains("in a circle"));
        // Nobody reads from it.
        assert!(open(OpenOptions::new().append(true), &path("pipe")).is_err());
    }
}
