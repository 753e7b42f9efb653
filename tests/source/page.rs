//! The pages of `docs/`, as tests read them.

use std::path::Path;

/// A page.
pub(crate) fn page(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let path = folder.join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands as code in the first column of the tables of a page.
pub(crate) fn entries(page: &str) -> Vec<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = rows.map(|row| row.split(" | ").next().unwrap_or_default());
    cells.flat_map(spans).collect()
}

/// The code in a line.
pub(crate) fn spans(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('`') {
        let inside = rest[start..].trim_start_matches('`');
        let fence = &rest[start..rest.len() - inside.len()];
        let Some((code, after)) = inside.split_once(fence) else {
            panic!("code without an end in: {text}")
        };
        found.push(code.trim().to_owned());
        rest = after;
    }
    found
}

/// The blocks of code with this info string.
pub(crate) fn blocks(page: &str, info: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(opened) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let inside = lines.by_ref().take_while(|line| line.trim() != "```");
        let text = inside.map(|line| line.get(indent..).unwrap_or_default().to_owned() + "\n");
        let text: String = text.collect();
        if opened == info {
            blocks.push(text);
        }
    }
    blocks
}
