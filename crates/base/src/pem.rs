//! PEM texts as forms and environments leave them.

/// The text with a line for each mark and for each 64 characters between, as PEM has them. Forms
/// and environments turn line ends into blanks or into the two characters `\\n`, or leave them out.
/// What is no PEM text, and what stands around the blocks, is left as it is.
pub fn with_line_ends(text: &str) -> String {
    let text = text.replace("\\r", "").replace("\\n", "\n");
    let mut mended = String::with_capacity(text.len() + 64);
    let mut rest = text.as_str();
    while let Some((before, block)) = split_at(rest, "-----BEGIN ") {
        let Some(block_end) = end_of_block(block) else {
            break;
        };
        let (block, after) = block.split_at_checked(block_end).unwrap_or((block, ""));
        mended.push_str(before);
        push_block(&mut mended, block);
        rest = after;
    }
    mended.push_str(rest);
    mended
}

/// The text up to where a part begins, and from there on.
fn split_at<'a>(text: &'a str, part: &str) -> Option<(&'a str, &'a str)> {
    text.split_at_checked(text.find(part)?)
}

/// How long a block is that begins a text; none when it does not end.
fn end_of_block(block: &str) -> Option<usize> {
    let end = block.find("-----END ")? + "-----END ".len();
    let label = block.get(end..)?;
    Some(end + label.find("-----")? + "-----".len())
}

/// Lays a block out in lines.
fn push_block(mended: &mut String, block: &str) {
    let parts = split_at(block, "-----END ").and_then(|(head, last)| {
        let (mark, inside) = head.get("-----BEGIN ".len()..)?.split_once("-----")?;
        Some((mark, inside, last))
    });
    // A header, as an encrypted key has it, must keep its lines.
    let Some((mark, inside, last)) = parts.filter(|(_, inside, _)| !inside.contains(':')) else {
        mended.push_str(block);
        return;
    };
    if !mended.is_empty() && !mended.ends_with('\n') {
        mended.push('\n');
    }
    mended.push_str(&format!("-----BEGIN {mark}-----\n"));
    let inside: Vec<char> = inside.chars().filter(|c| !c.is_whitespace()).collect();
    for line in inside.chunks(64) {
        mended.extend(line);
        mended.push('\n');
    }
    mended.push_str(last);
    mended.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = include_str!("http/tests/cert.pem");

    #[test]
    fn lost_line_ends_are_put_back() {
        for lost in [
            PEM.replace('\n', ""),
            PEM.replace('\n', " "),
            PEM.replace('\n', "\\n"),
            PEM.replace('\n', "\\r\\n"),
            PEM.replace('\n', "\r\n"),
            PEM.to_owned(),
        ] {
            assert_eq!(with_line_ends(&lost).trim_end(), PEM.trim_end(), "{lost}");
            let twice = with_line_ends(&format!("{lost}{lost}"));
            assert_eq!(twice.matches(PEM.trim_end()).count(), 2, "{twice}");
        }
    }

    #[test]
    fn what_is_no_pem_is_left_alone() {
        for text in [
            "",
            "a b",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN A----- x -----END",
            "-----BEGIN é-----END ",
        ] {
            assert_eq!(with_line_ends(text), text);
        }
        let encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----";
        assert_eq!(with_line_ends(encrypted), encrypted);
    }
}
