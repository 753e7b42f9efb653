//! A list of what happened, without what people write and who they are.

use crate::json::Scanner;

/// Appends a list of objects, each with the members of these names alone that are no list or object; null
/// when it is no such list.
pub(super) fn reduce(list: &str, names: &[&str], to: &mut Vec<u8>) {
    let reduced = reduced(list, names);
    to.extend_from_slice(reduced.as_deref().unwrap_or("null").as_bytes());
}

fn reduced(list: &str, names: &[&str]) -> Option<String> {
    let mut events = Vec::new();
    Scanner::new(list).array(|scanner| {
        let mut members = Vec::new();
        scanner.object(|scanner, name| {
            let value = scanner.value()?;
            let is_scalar = !value.json.starts_with(['{', '[']);
            if is_scalar && names.contains(&name) {
                members.push(format!("\"{name}\":{}", value.json));
            }
            Some(())
        })?;
        events.push(format!("{{{}}}", members.join(",")));
        Some(())
    })?;
    Some(format!("[{}]", events.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_stays() {
        let reduced = |list| {
            let mut to = Vec::new();
            reduce(list, &["event", "at"], &mut to);
            String::from_utf8(to).unwrap()
        };
        for (list, expected) in [
            (
                r#"[ {"at":"x", "who":"a@b", "event":"Fail"} ,{"event":{"who":"a@b"}}, {}]"#,
                r#"[{"at":"x","event":"Fail"},{},{}]"#,
            ),
            (r#"[{"\u0061t":null,"AT":1}]"#, r#"[{"at":null}]"#),
            ("[]", "[]"),
            (r#"["a@b"]"#, "null"),
            (r#"{"event":"a@b"}"#, "null"),
            ("null", "null"),
        ] {
            assert_eq!(reduced(list), expected, "{list}");
        }
    }
}
