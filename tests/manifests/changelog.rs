//! The changelog, and the version that it tells (contract S-01 to S-09, T-02, T-04).

use crate::{json, text};

#[derive(Debug)]
struct Version {
    title: String,
    number: Option<[u64; 3]>,
    body: String,
}

fn parse_version(text: &str) -> Option<[u64; 3]> {
    let parts: Option<Vec<u64>> = text.split('.').map(|part| part.parse().ok()).collect();
    parts?.try_into().ok()
}

/// The changelog's level-2 sections, in the order of the file.
fn versions() -> Vec<Version> {
    let text = text("CHANGELOG.md");
    let sections = text.split("\n## ").skip(1);
    sections
        .map(|section| {
            let (title, body) = section.split_once('\n').expect("a line");
            let number = title
                .split(|c: char| !c.is_ascii_digit() && c != '.')
                .find_map(parse_version);
            Version {
                title: title.to_owned(),
                number,
                body: body.to_owned(),
            }
        })
        .collect()
}

/// S-01 to S-03.
#[test]
fn the_changelog_opens_as_keep_a_changelog_asks() {
    let text = text("CHANGELOG.md");
    assert!(text.starts_with("# Changelog\n"));
    assert_eq!(
        text.lines().filter(|line| line.starts_with("# ")).count(),
        1
    );
    let preamble = text
        .split("\n## ")
        .next()
        .expect("preamble")
        .replace('\n', " ");
    for sentence in [
        "All notable changes to this project will be documented in this file.",
        "The format is based on [Keep a Changelog](https://keepachangelog.com/en/1.0.0/), \
         and this project adheres to [Semantic Versioning](https://semver.org/spec/v2.0.0.html).",
    ] {
        assert!(preamble.contains(sentence), "{sentence}");
    }
}

/// S-04 to S-09.
#[test]
fn the_changelog_lists_versions_newest_first() {
    let versions = versions();
    assert!(!versions.is_empty());
    for version in &versions {
        let unreleased = version.title.to_lowercase().contains("unreleased");
        assert!(unreleased || version.number.is_some(), "{}", version.title);
        assert!(unreleased || has_date(&version.title), "{}", version.title);
        assert!(
            version.body.trim_start().starts_with("### "),
            "{}",
            version.title
        );
        for heading in version
            .body
            .lines()
            .filter_map(|line| line.strip_prefix("### "))
        {
            let kinds = [
                "Added",
                "Changed",
                "Deprecated",
                "Removed",
                "Fixed",
                "Security",
            ];
            assert!(kinds.contains(&heading), "{}: {heading}", version.title);
        }
    }
    let numbers: Vec<_> = versions
        .iter()
        .filter_map(|version| version.number)
        .collect();
    assert!(
        numbers.is_sorted_by(|newer, older| newer > older),
        "{numbers:?}"
    );
}

fn has_date(title: &str) -> bool {
    title
        .split_whitespace()
        .any(|word| word.parse::<chrono::NaiveDate>().is_ok())
}

/// T-04: the image's tag and the platform's restarts follow the manifest's version.
#[test]
fn the_version_is_the_same_everywhere() {
    let manifest = json("manifest.json");
    let version = manifest["version"].as_str().expect("text");
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert!(
        parse_version(version).is_some(),
        "no pre-release: PEP 440 would rewrite the tag"
    );
    let newest = versions()
        .into_iter()
        .find(|version| version.number.is_some());
    assert_eq!(
        newest.expect("a released version").number,
        parse_version(version)
    );
    let deployed = text("deploy/kubernetes/base/kustomization.yaml");
    assert!(
        deployed.contains(&format!("newTag: {version}\n")),
        "{deployed}"
    );
}
