//! What happened to a message, told as one more member of its row.

use crate::{exclude::Exclusions, json::Scanner, reader::Naming};

/// The name of the member.
const MEMBER: &str = "details";

/// The statuses of rows of which a person wants to know what happened. A row is found by them as one that is
/// left out is.
#[derive(Clone, Debug)]
pub struct WantedStatuses(Exclusions);

impl WantedStatuses {
    /// These, of rows whose fields have such names; none when the list is empty.
    pub fn new(naming: Naming, statuses: &[String]) -> Option<Self> {
        Exclusions::new(naming, &[], &[], statuses).map(Self)
    }

    /// Whether a row has one of them, without regard to letter case.
    pub fn include(&self, row: &[u8]) -> bool {
        self.0.rule(row).is_some()
    }
}

/// The row with the details, which are JSON, as its last member; all else stays byte for byte. None when it
/// is no JSON object, or has a member of that name already.
pub fn joined(row: &str, details: &str) -> Option<String> {
    let mut scanner = Scanner::new(row);
    let mut is_empty = true;
    scanner.object(|scanner, name| {
        is_empty = false;
        scanner.value()?;
        (name != MEMBER).then_some(())
    })?;
    // The bracket is its last byte.
    let (members, rest) = row.split_at_checked(scanner.position().checked_sub(1)?)?;
    let comma = if is_empty { "" } else { "," };
    Some(format!("{members}{comma}\"{MEMBER}\":{details}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::{Field, Known};

    fn naming(name: &str) -> Field {
        match name {
            "status" => Field::Known(Known::Status),
            _ => Field::Other,
        }
    }

    #[test]
    fn a_row_is_told_by_its_status() {
        assert!(WantedStatuses::new(naming, &[]).is_none());
        let wanted = ["failed", "filteredAsSpam"].map(str::to_owned);
        let wanted = WantedStatuses::new(naming, &wanted).unwrap();
        for (row, expected) in [
            (r#"{"a":1,"status":"Failed"}"#, true),
            (r#"{"st\u0061tus":"FILTEREDASSPAM","b":{}}"#, true),
            (r#"{"status":"delivered"}"#, false),
            (r#"{"status":null}"#, false),
            (r#"{"other":"failed"}"#, false),
            (r#"{"status":"failed""#, false),
            (r#"["failed"]"#, false),
        ] {
            assert_eq!(wanted.include(row.as_bytes()), expected, "{row}");
        }
        assert!(!wanted.include(b"{\"status\":\"failed\",\"a\":\"\xff\"}"));
    }

    #[test]
    fn details_are_the_last_member_and_nothing_else_changes() {
        for (row, expected) in [
            (
                r#"{"a":"}","b":[{}]}"#,
                Some(r#"{"a":"}","b":[{}],"details":[5]}"#),
            ),
            ("{ \"a\" : 1 }\n", Some("{ \"a\" : 1 ,\"details\":[5]}\n")),
            ("{ }", Some("{ \"details\":[5]}")),
            (r#"{"details":null}"#, None),
            (r#"{"a":1"#, None),
            ("[]", None),
        ] {
            assert_eq!(joined(row, "[5]").as_deref(), expected, "{row}");
        }
    }
}
