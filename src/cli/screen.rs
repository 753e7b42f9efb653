//! What people see: colors on a terminal only, and lines within its width.

use std::{borrow::Cow, io::Write as _, os::fd::AsFd, process::ExitCode};

use anstyle::{AnsiColor, Style};
use textwrap::{Options, WordSplitter};

/// Lines longer than that are hard to read, however wide the terminal.
const WIDEST: usize = 100;

/// What is as it should be.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();

/// What is not.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();

/// What matters less.
pub(super) const FAINT: Style = Style::new().dimmed();

/// The standard output, or the terminal that standard error leads to.
#[derive(Debug)]
pub(super) struct Screen {
    /// The width of the terminal; none when there is no terminal.
    width: Option<usize>,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self::of(std::io::stdout())
    }

    /// What is said beside the answer.
    pub(super) fn of_errors() -> Self {
        Self::of(std::io::stderr())
    }

    fn of(stream: impl AsFd) -> Self {
        let size = terminal_size::terminal_size_of(stream);
        Self {
            width: size.map(|(width, _)| usize::from(width.0).min(WIDEST)),
        }
    }

    /// A text in lines that fit.
    pub(super) fn wrapped<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.beside(0, text)
    }

    /// Prints a line: `head`, which takes `indent` columns, and `text`, which is wrapped beside it.
    pub(super) fn line(&self, head: &str, indent: usize, text: &str) -> anyhow::Result<()> {
        let text = self.beside(indent, text);
        Ok(writeln!(anstream::stdout(), "{head}{text}")?)
    }

    fn beside<'a>(&self, indent: usize, text: &'a str) -> Cow<'a, str> {
        let room = self.width.and_then(|width| width.checked_sub(indent));
        // Where there is no room, the terminal wraps as it likes.
        let Some(room) = room.filter(|room| *room >= 20) else {
            return text.into();
        };
        let options = Options::new(room).word_splitter(WordSplitter::NoHyphenation);
        let lines = textwrap::wrap(text, options);
        lines.join(&format!("\n{:indent$}", "")).into()
    }
}

/// A text in a style, filled up with blanks.
pub(super) fn styled(style: Style, text: &str, width: usize) -> String {
    let blanks = width.saturating_sub(text.chars().count());
    format!("{style}{text}{style:#}{:blanks$}", "")
}

/// Says something beside the answer, on standard error.
pub(super) fn say(text: &str) {
    // When even standard error is gone, the exit code must do.
    _ = writeln!(anstream::stderr(), "{text}");
}

/// Says on standard error why there is no answer.
pub(super) fn fail(text: &str) -> ExitCode {
    say(text);
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_beside_their_head() {
        let screen = |width| Screen { width };
        let text = "one two three four five six";
        assert_eq!(
            screen(Some(30)).beside(10, text),
            "one two three four\n          five six"
        );
        assert_eq!(screen(None).beside(10, text), text);
        assert_eq!(screen(Some(25)).beside(10, text), text, "no room");
    }

    #[test]
    fn styles_do_not_count_as_width() {
        assert_eq!(
            anstream::adapter::strip_str(&styled(BAD, "fail", 6)).to_string(),
            "fail  "
        );
    }
}
