//! How far the pages of a window have come, for an estimate of how many rows it has.

use chrono::{DateTime, Utc};
use rows::{Page, RowRef, Window};

use crate::reader::MARGIN;

/// How far pages have come down a window, as long as they come newest first. Only the ends of pages
/// are looked at: nothing but an estimate depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descent {
    window: Window,
    /// The oldest row so far; none when pages have turned out not to come newest first.
    pub(super) oldest: Option<DateTime<Utc>>,
}

impl Descent {
    pub(super) fn of(window: Window) -> Self {
        let oldest = Some(window.end());
        Self { window, oldest }
    }

    /// The part of the window that has been read with this page.
    pub(super) fn go_on<L>(&mut self, page: &Page<L>) -> Option<Window> {
        let received = |row: Option<RowRef<'_>>| row?.received;
        let first = received(page.rows().next());
        let last = received(page.rows().next_back());
        let before = self.oldest.take()?;
        // Services look a little beyond a window, whose end belongs to it for them.
        let (first, last) = first.zip(last)?;
        self.oldest = (last <= first && first <= before + MARGIN).then_some(last);
        Window::new(self.oldest?.max(self.window.start()), self.window.end())
    }
}

#[cfg(test)]
mod tests {
    use rows::{RowKeyer, RowSpan};

    use super::*;
    use crate::testing::at_second as at;

    /// What of a window of 1000 seconds is read with each page of rows, as seconds since its start.
    fn read(pages: &[&[Option<i64>]]) -> Vec<Option<i64>> {
        let window = Window::new(at(0), at(1000)).unwrap();
        let mut descent = Descent::of(window);
        let key = RowKeyer::new([7; 16]).key(&["a"], "");
        let read = pages.iter().map(|rows| {
            let rows = rows
                .iter()
                .map(|row| RowSpan::new(0..2, key, row.map(at)).unwrap());
            let page = Page::<()>::of("{}", rows.collect(), None).unwrap();
            let within = descent.go_on(&page)?;
            assert_eq!(within.end(), window.end());
            Some((within.start() - at(0)).num_seconds())
        });
        read.collect()
    }

    #[test]
    fn pages_that_come_newest_first_tell_how_far_they_have_come() {
        let page = |first, last| [Some(first), Some(500), Some(last)];
        let down = [page(1002, 900), page(902, 700), page(700, -1)];
        let down: Vec<&[_]> = down.iter().map(|page| &page[..]).collect();
        assert_eq!(read(&down), [Some(900), Some(700), Some(0)]);
    }

    #[test]
    fn what_comes_in_another_order_tells_nothing_from_then_on() {
        let (newest, below): (&[_], &[_]) = (&[Some(1000), Some(900)], &[Some(900), Some(800)]);
        for odd in [
            &[Some(850), Some(860)][..],
            &[Some(903), Some(850)],
            &[None, Some(850)],
            &[Some(880), None],
            &[],
        ] {
            assert_eq!(
                read(&[newest, odd, below]),
                [Some(900), None, None],
                "{odd:?}"
            );
        }
        assert_eq!(
            read(&[&[Some(1003), Some(900)]]),
            [None],
            "far behind the end"
        );
    }
}
