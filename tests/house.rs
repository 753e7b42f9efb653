//! The import rules of `docs/architecture.md`, read from the source files.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    reason = "a test's helpers may panic, as the test itself may"
)]

#[path = "source/mod.rs"]
mod source;

use std::collections::BTreeSet;
use std::path::Path;

use source::{folder, product, product_files};

const GROUND: [&str; 5] = ["buffers", "clock", "files", "http", "secret"];
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
    let inside = file.strip_prefix(folder()).expect("below src");
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
    let manifest = manifest("emulator");
    for name in ["message-trace =", "rows"] {
        assert!(!manifest.contains(name), "the emulator names {name}");
    }
}

#[test]
fn rows_know_nothing_above_them() {
    let manifest = manifest("rows");
    for name in ["message-trace =", "emulator", "reqwest", "tokio"] {
        assert!(!manifest.contains(name), "rows names {name}");
    }
}

/// The manifest of a crate of the workspace.
fn manifest(of: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(of)
        .join("Cargo.toml");
    std::fs::read_to_string(path).expect("manifest")
}

#[test]
fn the_door_is_small() {
    let main = std::fs::read_to_string(folder().join("main.rs")).expect("main.rs");
    assert!(
        main.lines().count() <= 40,
        "main.rs is the door, nothing else"
    );
}
