//! The import rules of `docs/architecture.md`, read from the source files.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    reason = "a test's helpers may panic, as the test itself may"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const GROUND: [&str; 6] = ["clock", "http", "json", "row", "secret", "window"];
const ABOVE_THE_GROUND: [&str; 5] = ["cli", "collect", "microsoft", "sdk", "triggers"];

/// The rooms that `room` may not import.
fn forbidden(room: &str) -> &'static [&'static str] {
    match room {
        "main" | "lib" | "cli" => &[],
        "triggers" => &["cli"],
        "collect" => &["cli", "microsoft", "sdk", "triggers"],
        "microsoft" => &["cli", "collect", "sdk", "triggers"],
        "sdk" => &["cli", "collect", "microsoft", "triggers"],
        ground if GROUND.contains(&ground) => &ABOVE_THE_GROUND,
        other => panic!("src/{other} has no place in docs/architecture.md yet"),
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

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
struct Product {
    code: String,
    test_modules: Vec<String>,
}

fn product(text: &str) -> Product {
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
fn product_files() -> Vec<(PathBuf, String)> {
    let read = |path: PathBuf| {
        let product = product(&std::fs::read_to_string(&path).expect("readable"));
        (path, product)
    };
    let files: Vec<_> = rust_files(&source()).into_iter().map(read).collect();
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

/// The rooms that `code` names after `crate::`, also in groups (`crate::{a, b::c}`).
fn imports(code: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => names.extend(leading_name(rest)),
            Some(group) => names.extend(top_level(group).into_iter().filter_map(leading_name)),
        }
    }
    names
}

fn leading_name(path: &str) -> Option<&str> {
    let path = path.trim_start();
    path.split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
        .filter(|name| !name.is_empty())
}

/// The members of a brace group, whose opening brace is gone already.
fn top_level(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                members.push(&group[start..at]);
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    members
}

fn room(file: &Path) -> String {
    let inside = file.strip_prefix(source()).expect("below src");
    let first = inside.iter().next().expect("name").to_str().expect("UTF-8");
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn the_reader_of_sources_sees_imports_and_leaves_tests_out() {
    let text = "use crate::{a, b::{c, d}, e as f};\nfn g() -> crate::h::I {}\n// crate::j\n\
                #[cfg(test)]\nmod fakes;\n#[cfg(test)]\nuse crate::k;\n\
                #[cfg(test)]\nmod tests {\n    use crate::l;\n}\nuse crate::m;\n";
    let product = product(text);
    assert_eq!(
        imports(&product.code),
        BTreeSet::from(["a", "b", "e", "h", "m"])
    );
    assert_eq!(product.test_modules, ["fakes"]);
}

#[test]
fn imports_go_downwards_only() {
    let mut offenses = Vec::new();
    for (file, code) in product_files() {
        for import in imports(&code) {
            if forbidden(&room(&file)).contains(&import) {
                offenses.push(format!("{} imports crate::{import}", file.display()));
            }
        }
    }
    assert!(offenses.is_empty(), "{offenses:#?}");
}

#[test]
fn the_module_does_not_know_the_emulator() {
    for (file, code) in product_files() {
        for name in ["emulator", "playground"] {
            assert!(!code.contains(name), "{} names {name}", file.display());
        }
    }
    // And it is an independent witness: what it expects is written down a second time there.
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("emulator/Cargo.toml");
    assert!(
        !std::fs::read_to_string(manifest)
            .expect("manifest")
            .contains("message-trace =")
    );
}

#[test]
fn the_door_is_small() {
    let main = std::fs::read_to_string(source().join("main.rs")).expect("main.rs");
    assert!(
        main.lines().count() <= 40,
        "main.rs is the door, nothing else"
    );
}
