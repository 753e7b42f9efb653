//! JSON files are formatted as the vendor's linter wants them (contract T-01).

use crate::{items, text};

/// `text` with the white space of Python's `json.dumps(value, indent=2)`; all else stays as it is.
fn as_python_indents(text: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    let (mut in_string, mut escaped, mut opened) = (false, false, false);
    let line = |depth: usize| format!("\n{}", "  ".repeat(depth));
    for c in text.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            out.push(c);
            continue;
        }
        if c.is_whitespace() {
            continue;
        }
        let closes = matches!(c, '}' | ']');
        if closes {
            depth -= 1;
        }
        if opened != closes {
            out.push_str(&line(depth));
        }
        opened = matches!(c, '{' | '[');
        if opened {
            depth += 1;
        }
        in_string = c == '"';
        out.push(c);
        match c {
            ':' => out.push(' '),
            ',' => out.push_str(&line(depth)),
            _ => {}
        }
    }
    out
}

#[test]
fn the_reference_for_indentation_is_right() {
    let python = "{\n  \"a\": {},\n  \"b\": [\n    1,\n    \"x: \\\"{, y\"\n  ],\n  \"c\": []\n}";
    assert_eq!(as_python_indents(python), python);
    let compact = r#"{"a":{},"b":[1,"x: \"{, y"],"c":[]}"#;
    assert_eq!(as_python_indents(compact), python);
    assert_ne!(
        as_python_indents(&format!("{python}\n")),
        format!("{python}\n")
    );
}

/// T-01.
#[test]
fn json_files_are_formatted_as_python_formats_them() {
    let files = items().into_iter().map(|item| item.file);
    for file in files.chain(["manifest.json".to_owned()]) {
        let text = text(&file);
        assert!(
            text.is_ascii(),
            "{file}: escape what is not ASCII, as \\u with four digits"
        );
        assert_eq!(text, as_python_indents(&text), "{file}");
    }
}
