//! What people see: colors on a terminal only, and lines within its width.

use std::{io::Write as _, os::fd::AsFd};

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use textwrap::{Options, WordSplitter, core::display_width};

/// Lines longer than that are hard to read, however wide the terminal.
const WIDEST: usize = 100;

/// A text beside its head needs so many columns.
const LEAST_BESIDE: usize = 20;

/// How far a text below its head is moved in.
const BELOW: usize = 4;

/// What is as it should be.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();

/// What a person should know.
pub(super) const WARNED: Style = AnsiColor::Yellow.on_default();

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
        Self {
            width: width_of(&std::io::stdout()),
        }
    }

    /// Prints a line: `head`, which takes `indent` columns, and `text`, which is wrapped beside it,
    /// or below it where the terminal is narrow.
    pub(super) fn line(&self, head: &str, indent: usize, text: &str) -> anyhow::Result<()> {
        let line = self.laid_out(head, indent, text);
        Ok(writeln!(anstream::stdout(), "{line}")?)
    }

    /// How many columns there are beside a head of so many; those of a wide line without a terminal.
    pub(super) fn room(&self, indent: usize) -> usize {
        let width = self.width.unwrap_or(WIDEST);
        width.saturating_sub(indent).max(LEAST_BESIDE)
    }

    /// Whether there is room for a text beside a head of so many columns.
    pub(super) fn has_room(&self, indent: usize) -> bool {
        self.width
            .is_none_or(|width| width >= indent + LEAST_BESIDE)
    }

    fn laid_out(&self, head: &str, indent: usize, text: &str) -> String {
        let Some(width) = self.width else {
            return format!("{head}{text}");
        };
        if self.has_room(indent) {
            return format!("{head}{}", wrapped(text, width, indent));
        }
        let head = head.trim_end();
        if display_width(head) + 2 + display_width(text) <= width {
            return format!("{head}  {text}");
        }
        format!("{head}\n{:BELOW$}{}", "", wrapped(text, width, BELOW))
    }
}

/// The width of a terminal; none when it is none.
fn width_of(stream: &impl AsFd) -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(stream)?;
    Some(usize::from(width.0).min(WIDEST))
}

/// A text within the width, of which the lines but the first are moved in.
fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let room = width.saturating_sub(indent).max(LEAST_BESIDE - BELOW);
    let lines = textwrap::wrap(text, options(room));
    lines.join(&format!("\n{:indent$}", ""))
}

fn options(width: usize) -> Options<'static> {
    Options::new(width).word_splitter(WordSplitter::NoHyphenation)
}

/// A text in a style, filled up with blanks.
pub(super) fn styled(style: Style, text: &str, width: usize) -> String {
    let blanks = width.saturating_sub(text.chars().count());
    format!("{style}{text}{style:#}{:blanks$}", "")
}

/// Prints the answer for machines.
pub(super) fn print_document(document: &Value) -> anyhow::Result<()> {
    Ok(writeln!(anstream::stdout(), "{document:#}")?)
}

/// Says something beside the answer, on standard error.
pub(super) fn say(text: &str) {
    let text = match width_of(&std::io::stderr()) {
        Some(width) => textwrap::fill(text, options(width)),
        None => text.to_owned(),
    };
    // When even standard error is gone, the exit code must do.
    _ = writeln!(anstream::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_beside_or_below_their_head() {
        let screen = |width| Screen { width };
        let text = "one two three four five six";
        let line = |width| screen(width).laid_out("head:     ", 10, text);
        assert_eq!(
            line(Some(30)),
            "head:     one two three four\n          five six"
        );
        assert_eq!(line(None), format!("head:     {text}"));
        let narrow = "head:\n    one two three four five\n    six";
        assert_eq!(line(Some(29)), narrow);
        let short = screen(Some(29)).laid_out("\u{1b}[2mhead:\u{1b}[0m     ", 10, "one two");
        assert_eq!(short, "\u{1b}[2mhead:\u{1b}[0m  one two");
        let narrowest = "head:\n    one two three\n    four five six";
        assert_eq!(line(Some(1)), narrowest);
    }

    #[test]
    fn styles_do_not_count_as_width() {
        assert_eq!(
            anstream::adapter::strip_str(&styled(BAD, "fail", 6)).to_string(),
            "fail  "
        );
    }
}
