//! Which objects hold the additions to a file.

use std::{cmp::Reverse, fmt};

/// Additions that are one object, from the first number to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Span {
    pub(super) const fn one(number: u64) -> Self {
        Self {
            first: number,
            last: number,
        }
    }

    /// From the end of a key; none when it is no part.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last && last < u64::MAX).then_some(Self { first, last })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        write!(f, "{first:08}")?;
        match first == last {
            true => Ok(()),
            false => write!(f, "-{last:08}"),
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// Those that make it up, in their order.
    pub(super) whole: Vec<Span>,
    /// Those whose content is in one of the others, too.
    pub(super) doubled: Vec<Span>,
}

impl Parts {
    /// Of those that begin alike, the longest counts: the others were joined to it. The number of the
    /// addition that is missing, when one is.
    pub(super) fn arrange(mut found: Vec<Span>) -> Result<Self, u64> {
        found.sort_unstable_by_key(|span| (span.first, Reverse(span.last)));
        let mut parts = Self::default();
        let mut due = 1;
        for span in found {
            if span.first == due {
                due = span.last + 1;
                parts.whole.push(span);
            } else if span.last < due {
                parts.doubled.push(span);
            } else {
                return Err(due);
            }
        }
        Ok(parts)
    }

    /// The number of the next addition.
    pub(super) fn next(&self) -> u64 {
        self.whole.last().map_or(1, |span| span.last + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(names: &[&str]) -> Result<(Vec<String>, Vec<String>), u64> {
        let found = names.iter().filter_map(|name| Span::parse(name)).collect();
        let shown = |spans: Vec<Span>| spans.iter().map(Span::to_string).collect();
        Parts::arrange(found).map(|parts| (shown(parts.whole), shown(parts.doubled)))
    }

    #[test]
    fn of_parts_that_were_joined_the_longest_counts() {
        let whole = |names: &[&str]| arranged(names).unwrap().0;
        assert_eq!(whole(&[]), [""; 0]);
        assert_eq!(
            whole(&["00000002", "other", "00000001"]),
            ["00000001", "00000002"]
        );
        let (whole, doubled) = arranged(&[
            "00000001",
            "00000001-00000003",
            "00000002",
            "00000003",
            "00000004",
        ])
        .unwrap();
        assert_eq!(whole, ["00000001-00000003", "00000004"]);
        assert_eq!(doubled, ["00000001", "00000002", "00000003"]);
    }

    #[test]
    fn a_missing_one_is_told() {
        assert_eq!(arranged(&["00000002"]), Err(1));
        assert_eq!(arranged(&["00000001", "00000003"]), Err(2));
        assert_eq!(
            arranged(&["00000001-00000003", "00000002-00000005"]),
            Err(4)
        );
        for name in ["3-2", "-1", "1-", "x", "1-2-3", "18446744073709551615"] {
            assert_eq!(Span::parse(name), None, "{name}");
        }
    }
}
