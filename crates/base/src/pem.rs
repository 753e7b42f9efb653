//! PEM texts as forms and environments leave them.

/// The text with a line for each mark and for each 64 characters between, as PEM has them. Forms
/// and environments turn line ends into blanks or into the two characters `\\n`, or leave them out.
/// What is no PEM text, and what stands around the blocks, is left as it is.
pub fn with_line_ends(text: &str) -> String {
    let text = text.replace("\\r", "").replace("\\n", "\n");
    let mut mended = String::with_capacity(text.len() + 64);
    let mut rest = text.as_str();
    while let Some([before, begin, inside, end, after]) = first_block(rest) {
        mended.push_str(before);
        // A header, as an encrypted key has it, must keep its lines.
        if inside.contains(':') {
            mended.push_str(&format!(
                "-----BEGIN {begin}-----{inside}-----END {end}-----"
            ));
        } else {
            if !mended.is_empty() && !mended.ends_with('\n') {
                mended.push('\n');
            }
            mended.push_str(&format!("-----BEGIN {begin}-----\n"));
            let inside: Vec<char> = inside.chars().filter(|c| !c.is_whitespace()).collect();
            for line in inside.chunks(64) {
                mended.extend(line);
                mended.push('\n');
            }
            mended.push_str(&format!("-----END {end}-----\n"));
        }
        rest = after;
    }
    mended.push_str(rest);
    mended
}

/// A text around its first block, and that block: what comes before it, its label, what is inside, its
/// label at the end, what comes after it.
fn first_block(text: &str) -> Option<[&str; 5]> {
    let (before, block) = text.split_once("-----BEGIN ")?;
    let (begin, block) = block.split_once("-----")?;
    let (inside, block) = block.split_once("-----END ")?;
    let (end, after) = block.split_once("-----")?;
    Some([before, begin, inside, end, after])
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
