//! How rows are made, and what becomes of their values, found out once for all rows that are made alike.

use super::{Cover, Exposing, Exposure, Unhidden, events};
use crate::{
    json::{Extent, Raw, Scanner},
    literal::Literal,
};

/// A row with more values cannot be hidden; those of the services have a dozen.
const MOST_VALUES: usize = 1024;

/// What stands before each value, what becomes of the value, and what stands behind the last.
#[derive(Debug, Default)]
pub(super) struct Layout {
    parts: Vec<Part>,
    end: Between,
}

/// A value, with what stands before it.
#[derive(Debug)]
struct Part {
    before: Between,
    /// What the value tells of people; nothing when it stays, or is left out.
    exposure: Exposure,
}

/// What stands between two values. Here may begin what is left out, and may end.
#[derive(Debug, Default)]
struct Between {
    text: Literal,
    /// What is left out begins so far behind the value before.
    left_out: Option<usize>,
    /// And it ends so far behind the value before.
    goes_on: Option<usize>,
}

impl Layout {
    /// How a row is made. `unknown` is told the names of members that nobody knows. None when it is no JSON
    /// object, or has too many values.
    pub(super) fn of(row: &str, exposing: Exposing, mut unknown: impl FnMut(&str)) -> Option<Self> {
        let mut scanner = Scanner::new(row);
        scanner.peek()?;
        let mut learner = Learner {
            layout: Self::default(),
            end: 0,
            member: scanner.position() + 1,
            leaves_out: false,
            has_member: false,
            left_out: None,
            goes_on: None,
        };
        scanner.object(|scanner, name| {
            let exposure = exposing(name);
            match exposure {
                Exposure::Needless | Exposure::Unknown => {
                    learner.leave_out();
                    if exposure == Exposure::Unknown {
                        unknown(name);
                    }
                    // What is in it differs from row to row, and is passed value by value.
                    if exposure == Exposure::Needless && scanner.peek()? == b'{' {
                        let pass =
                            |scanner: &mut _, _: &str| learner.value(scanner, Exposure::Plain);
                        scanner.object(pass)?;
                    } else {
                        learner.value(scanner, Exposure::Plain)?;
                    }
                }
                _ => {
                    learner.go_on(row)?;
                    learner.value(scanner, exposure)?;
                }
            }
            learner.member = scanner.position();
            Some(())
        })?;
        scanner.peek().is_none().then(|| learner.finish(row))?
    }

    /// Appends a row that is made so, with what `cover` says in the place of its values; the error when that
    /// says so. None when it is made otherwise.
    #[inline]
    pub(super) fn copy(
        &self,
        text: &str,
        to: &mut Vec<u8>,
        mut cover: impl FnMut(Exposure, Raw<'_>) -> Result<Option<Cover>, Unhidden>,
    ) -> Option<Result<(), Unhidden>> {
        let bytes = text.as_bytes();
        // Up to here all is copied, or left out; and here is what is read next.
        let (mut done, mut at) = (0, 0);
        for part in &self.parts {
            let start = part.before.text.behind(bytes, at)?;
            done = part.before.pass(bytes, at, done, to)?;
            let extent = Extent::of_value(text, start)?;
            at = extent.end;
            if part.exposure == Exposure::Plain {
                continue;
            }
            let value = extent.since(start, text)?;
            if let Exposure::Events(names) = part.exposure {
                to.extend_from_slice(bytes.get(done..start)?);
                events::reduce(value.json, names, to);
                done = at;
                continue;
            }
            match cover(part.exposure, value) {
                Ok(None) => {}
                Ok(Some(cover)) => {
                    to.extend_from_slice(bytes.get(done..start)?);
                    cover.write(to);
                    done = at;
                }
                Err(unhidden) => return Some(Err(unhidden)),
            }
        }
        let end = self.end.text.behind(bytes, at)?;
        if end == 0 || end != bytes.len() {
            return None;
        }
        done = self.end.pass(bytes, at, done, to)?;
        to.extend_from_slice(bytes.get(done..)?);
        Some(Ok(()))
    }
}

impl Between {
    /// Copies what is to be copied up to what is left out here; up to where all is copied then.
    #[inline]
    fn pass(&self, row: &[u8], at: usize, done: usize, to: &mut Vec<u8>) -> Option<usize> {
        if let Some(left_out) = self.left_out {
            to.extend_from_slice(row.get(done..at + left_out)?);
        }
        Some(self.goes_on.map_or(done, |goes_on| at + goes_on))
    }
}

/// Learns how a row is made.
struct Learner {
    layout: Layout,
    /// Where the last value ended.
    end: usize,
    /// Where the last member ended, or where the first may begin.
    member: usize,
    /// Whether the last member is left out, and whether there is one that is not.
    leaves_out: bool,
    has_member: bool,
    /// Where what is left out begins and ends in what stands before the value that comes next.
    left_out: Option<usize>,
    goes_on: Option<usize>,
}

impl Learner {
    /// A member comes that is left out.
    fn leave_out(&mut self) {
        if !std::mem::replace(&mut self.leaves_out, true) {
            self.left_out = Some(self.member);
        }
    }

    /// A member comes that is not left out. Where it is the first, the comma before it is.
    fn go_on(&mut self, row: &str) -> Option<()> {
        if std::mem::take(&mut self.leaves_out) {
            let comma = match self.has_member {
                true => 0,
                false => row.get(self.member..)?.find(',')? + 1,
            };
            self.goes_on = Some(self.member + comma);
        }
        self.has_member = true;
        Some(())
    }

    /// Passes a value.
    fn value(&mut self, scanner: &mut Scanner<'_>, exposure: Exposure) -> Option<()> {
        scanner.peek()?;
        if self.layout.parts.len() >= MOST_VALUES {
            return None;
        }
        let before = self.between(scanner.since(self.end)?);
        self.layout.parts.push(Part { before, exposure });
        scanner.pass_value()?;
        self.end = scanner.position();
        Some(())
    }

    fn between(&mut self, text: &str) -> Between {
        let end = self.end;
        let behind = |place: usize| place - end;
        Between {
            text: Literal::new(text),
            left_out: self.left_out.take().map(behind),
            goes_on: self.goes_on.take().map(behind),
        }
    }

    fn finish(mut self, row: &str) -> Option<Layout> {
        if self.leaves_out {
            self.goes_on = Some(self.member);
        }
        self.layout.end = self.between(row.get(self.end..)?);
        Some(self.layout)
    }
}
