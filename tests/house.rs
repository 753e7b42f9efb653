//! The rules of `docs/architecture.md` about who may know whom. That no crate names another which it
//! does not depend on, the compiler sees to; here is which may depend on which.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may panic, as the test itself may"
)]

#[path = "source/mod.rs"]
mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use source::{product, product_files, product_files_in, root};

/// The crates of the workspace, with those of them that each is built on.
const ROOMS: [(&str, &[&str]); 8] = [
    ("crates/base", &[]),
    ("crates/rows", &[]),
    ("crates/collect", &["base", "rows"]),
    ("crates/microsoft", &["base", "rows"]),
    ("crates/sekoia", &["base", "rows"]),
    (".", &["base", "collect", "microsoft", "rows", "sekoia"]),
    // An independent witness: what it expects is written down a second time there.
    ("emulator", &[]),
    ("playground", &["emulator", "message-trace"]),
];

/// The crates of the workspace that `folder` depends on outside its tests.
fn built_on(folder: &str) -> BTreeSet<String> {
    let path = root().join(folder).join("Cargo.toml");
    let manifest = fs::read_to_string(path).expect("manifest");
    let (_, section) = manifest
        .split_once("\n[dependencies]\n")
        .expect("dependencies");
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next());
    let rooms = [
        "base",
        "benchmark",
        "collect",
        "emulator",
        "message-trace",
        "microsoft",
        "playground",
        "rows",
        "sekoia",
    ];
    names
        .filter(|name| rooms.contains(name))
        .map(str::to_owned)
        .collect()
}

#[test]
fn each_crate_is_built_on_those_below_it_only() {
    for (folder, below) in ROOMS {
        let below: BTreeSet<String> = below.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(built_on(folder), below, "{folder}");
    }
    let crates = fs::read_dir(root().join("crates")).expect("crates");
    for entry in crates {
        let name = entry.expect("entry").file_name();
        let folder = format!("crates/{}", name.to_str().expect("UTF-8"));
        assert!(
            ROOMS.iter().any(|(room, _)| *room == folder),
            "{folder} has no place in docs/architecture.md yet"
        );
    }
}

#[test]
fn the_module_does_not_know_the_emulator() {
    for (file, code) in product_files() {
        for name in ["emulator", "playground"] {
            assert!(!code.contains(name), "{} names {name}", file.display());
        }
    }
}

/// It runs the module's binary, and is built with it, but sees only what a user sees.
#[test]
fn the_playground_does_not_know_the_inside_of_the_program() {
    for (file, code) in product_files_in(&["playground/src", "emulator/src"]) {
        assert!(
            !code.contains("message_trace::"),
            "{} looks inside",
            file.display()
        );
    }
}

/// Only the emulator shows code in its comments; a crate without any has no runner of examples built.
#[test]
fn examples_in_comments_are_run_or_there_are_none() {
    for (folder, _) in ROOMS {
        let manifest = root().join(folder).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).expect("manifest");
        let sources = match folder {
            "." => "src".to_owned(),
            folder => format!("{folder}/src"),
        };
        let mut files = product_files_in(&[sources.as_str()]).into_iter();
        let example = files.find(|(file, _)| {
            let text = fs::read_to_string(file).expect("source");
            let mut lines = text.lines().map(str::trim_start);
            lines.any(|line| line.starts_with("/// ```") || line.starts_with("//! ```"))
        });
        let example = example.map(|(file, _)| file);
        let runs = !manifest.contains("doctest = false");
        assert_eq!(example.is_some(), runs, "{folder}: {example:?}");
    }
}

#[test]
fn rows_wait_for_nothing() {
    let manifest = fs::read_to_string(root().join("crates/rows/Cargo.toml")).expect("manifest");
    for name in ["reqwest", "tokio"] {
        assert!(!manifest.contains(name), "rows names {name}");
    }
}

#[test]
fn the_reader_of_sources_leaves_tests_and_comments_out() {
    let text = "use a::B;\n// c\n#[cfg(test)]\nmod fakes;\n#[cfg(test)]\nuse d::E;\n\
                #[cfg(test)]\nmod tests {\n    use f::G;\n}\nuse h::I;\n";
    let product = product(text);
    assert_eq!(product.code, "use a::B;\nuse h::I;\n");
    assert_eq!(product.test_modules, ["fakes"]);
}

#[test]
fn the_door_is_small() {
    let main = fs::read_to_string(root().join("src/main.rs")).expect("main.rs");
    assert!(
        main.lines().count() <= 40,
        "main.rs is the door, nothing else"
    );
}

/// The name of the type that a line declares for everybody or for its whole crate.
fn shared_type(line: &str) -> Option<&str> {
    let line = line
        .strip_prefix("pub ")
        .or(line.strip_prefix("pub(crate) "))?;
    let (kind, rest) = line.split_once(' ')?;
    let is_type = ["enum", "struct", "trait", "type", "union"].contains(&kind);
    let name = rest.split(|c: char| !c.is_alphanumeric()).next();
    name.filter(|_| is_type)
}

#[test]
fn no_two_shared_types_have_one_name() {
    let mut files = product_files();
    files.extend(product_files_in(&["crates/rows/src"]));
    let mut places: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for (file, code) in &files {
        for name in code.lines().filter_map(shared_type) {
            places.entry(name).or_default().push(file);
        }
    }
    assert!(places.len() > 200, "{} types", places.len());
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}
