//! Which files there are.

use std::{fs, io, path::Path};

use base::files;

use crate::storage::{checked, owner};

/// What some file systems make in the root of each volume, for its repair: only root may look into it.
const LOST_AND_FOUND: &str = "lost+found";

/// The relative names of files that begin with a prefix. Folders with other names are not looked into: what
/// is in them, and whether it may be read, does not matter here.
pub(in crate::storage) fn collect(
    root: &Path,
    prefix: &str,
    names: &mut Vec<String>,
) -> io::Result<()> {
    match prefix.rsplit_once('/') {
        None => walk(root, "", prefix, names),
        Some((folder, _)) if checked(folder).is_ok() => {
            walk(root, &format!("{folder}/"), prefix, names)
        }
        // No stored file has such a name.
        Some(_) => Ok(()),
    }
}

/// The same in one folder and below it.
fn walk(root: &Path, folder: &str, prefix: &str, names: &mut Vec<String>) -> io::Result<()> {
    let path = match folder.strip_suffix('/') {
        Some(folder) => root.join(folder),
        None => root.to_owned(),
    };
    let told = |error| told(error, root, &path);
    let entries = match fs::read_dir(&path) {
        // It is made when something is written, and may be taken away at any time.
        Err(error) if is_absent(&error) => return Ok(()),
        entries => entries.map_err(told)?,
    };
    for entry in entries {
        let entry = entry.map_err(told)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // Those that begin with a dot are ours.
        if name.starts_with('.') || folder.is_empty() && name == LOST_AND_FOUND {
            continue;
        }
        let name = format!("{folder}{name}");
        let is_folder = match entry.file_type() {
            Err(error) if is_absent(&error) => continue,
            kind => kind.map_err(told)?.is_dir(),
        };
        let below = format!("{name}/");
        if is_folder && below.starts_with(prefix) {
            walk(root, &below, prefix, names)?;
        } else if !is_folder && name.starts_with(prefix) {
            names.push(name);
        }
    }
    Ok(())
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    ) || files::is_circle(error)
}

/// Why a folder cannot be read, with its path, and with the cure when that is not permitted.
fn told(error: io::Error, root: &Path, path: &Path) -> io::Error {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return owner::explained(error, root, path);
    }
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::tests::{as_nobody, permit};

    #[test]
    fn a_folder_that_may_not_be_read_stops_only_what_asks_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        permit(&root, 0o755);
        let foreign = ["foreign", LOST_AND_FOUND].map(|name| root.join(name));
        for path in &foreign {
            fs::create_dir(path).unwrap();
            permit(path, 0);
        }
        fs::create_dir(root.join("known-rows")).unwrap();
        fs::write(root.join("known-rows/1"), "x").unwrap();
        fs::write(root.join("known"), "x").unwrap();
        let list = |prefix: &'static str| {
            let root = root.clone();
            as_nobody(move || {
                let mut names = Vec::new();
                collect(&root, prefix, &mut names).map(|()| names)
            })
        };
        assert_eq!(list("known-rows/").unwrap(), ["known-rows/1"]);
        assert_eq!(list("known-r").unwrap(), ["known-rows/1"]);
        for nothing in ["known/", "absent/below/", "../", "/", ".x/"] {
            assert_eq!(list(nothing).unwrap(), [""; 0], "{nothing}");
        }
        for prefix in ["foreign/", ""] {
            let error = list(prefix).unwrap_err().to_string();
            let path = foreign[0].display().to_string();
            assert!(error.contains(&path), "{error}");
            assert!(
                error.contains("chown") || error.contains("ls -la"),
                "{error}"
            );
        }
        permit(&foreign[0], 0o755);
        assert_eq!(list("").unwrap().len(), 2);
        permit(&foreign[1], 0o755);
    }
}
