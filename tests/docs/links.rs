//! Links between the pages lead somewhere.

use std::path::{Path, PathBuf};

/// The pages: those of `docs/`, and the first one.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(root.join("docs")).unwrap();
    let pages = entries.map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.chain([root.join("README.md")]).collect()
}

/// The anchors of a page, as GitHub makes them from its headings.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|heading| heading.trim_start_matches(['#', ' ']).to_lowercase())
        .map(|heading| heading.chars().filter(kept).collect::<String>())
        .map(|heading| heading.replace(' ', "-"))
        .collect()
}

/// The targets of a page's links that are neither on the web nor pictures from elsewhere.
fn targets(page: &str) -> impl Iterator<Item = &str> {
    // A link may be broken between its text and the line's end, never inside its target.
    let targets = page.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.filter(|target| !target.contains("://"))
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        for target in targets(&text) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            let there = file.exists() && {
                let page = std::fs::read_to_string(&file).unwrap_or_default();
                anchor.is_empty() || anchors(&page).iter().any(|known| known == anchor)
            };
            if !there {
                broken.push(format!("{} to {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
