//! The module's sources, as tests read them.

#![allow(dead_code, unused_imports, reason = "each test uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::string_slice,
    reason = "a test's helpers may panic, as the test itself may"
)]

mod literals;
mod page;

use std::path::{Path, PathBuf};

pub(crate) use literals::{Literal, literals};
pub(crate) use page::{blocks, entries, page, spans};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the module's sources are, relative to the repository.
const FOLDERS: [&str; 5] = [
    "src",
    "crates/base/src",
    "crates/collect/src",
    "crates/microsoft/src",
    "crates/sekoia/src",
];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .expect("folder")
        .map(|entry| entry.expect("entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    let below = folders.iter().flat_map(|folder| rust_files(folder));
    files.into_iter().filter(is_rust).chain(below).collect()
}

/// What of a file is compiled into the module: no comments, nothing below `#[cfg(test)]`, and the
/// names of the modules that are for tests only.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Product {
    pub(crate) code: String,
    pub(crate) test_modules: Vec<String>,
}

pub(crate) fn product(text: &str) -> Product {
    let mut product = Product::default();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        if line.trim() != "#[cfg(test)]" {
            product.code.push_str(line);
            product.code.push('\n');
            continue;
        }
        // rustfmt puts the end of the item at the depth of its attribute.
        let depth = line.len() - line.trim_start().len();
        for line in lines.by_ref() {
            let declared = line
                .split_once("mod ")
                .and_then(|(_, name)| name.strip_suffix(';'));
            product.test_modules.extend(declared.map(str::to_owned));
            let item = line.get(depth..).unwrap_or_default();
            let ends = item.starts_with('}') || item.ends_with([';', ',']);
            if ends && !item.starts_with(' ') {
                break;
            }
        }
    }
    product
}

/// Every file of the module with its product code; files that only tests see are left out.
pub(crate) fn product_files() -> Vec<(PathBuf, String)> {
    product_files_in(&FOLDERS)
}

/// The same below these folders.
pub(crate) fn product_files_in(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let read = |path: PathBuf| {
        let product = product(&std::fs::read_to_string(&path).expect("readable"));
        (path, product)
    };
    let paths = folders
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)));
    let files: Vec<_> = paths.map(read).collect();
    let test_only: Vec<PathBuf> = files
        .iter()
        .flat_map(|(path, product)| {
            let folder = module_folder(path);
            product
                .test_modules
                .iter()
                .map(move |module| folder.join(module))
        })
        .collect();
    let for_tests = |path: &Path| {
        test_only
            .iter()
            .any(|module| path.with_extension("") == *module || path.starts_with(module))
    };
    let product = files.into_iter().filter(|(path, _)| !for_tests(path));
    product
        .map(|(path, product)| (path, product.code))
        .collect()
}

/// The folder where the modules that `file` declares are looked for.
fn module_folder(file: &Path) -> PathBuf {
    let stem = file.file_stem().expect("stem");
    if ["mod", "lib", "main"].iter().any(|root| stem == *root) {
        file.parent().expect("folder").to_owned()
    } else {
        file.with_extension("")
    }
}
