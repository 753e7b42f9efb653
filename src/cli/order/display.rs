//! The screen while an order is under way: a bar on a terminal, else a line now and then.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::cli::screen::say;

/// Without a terminal, a line is printed at most this often.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Display {
    /// Hidden until there is progress.
    bar: ProgressBar,
    on_terminal: bool,
    said: Option<Instant>,
    last: String,
}

impl Display {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{bar:20} {percent:>3} %  {wide_msg}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        Self {
            bar,
            on_terminal: std::io::stderr().is_terminal(),
            said: None,
            last: String::new(),
        }
    }

    /// Says what stays, for who has no display.
    pub(super) fn speaker(&self) -> impl Fn(&str) + Send + Sync + use<> {
        let bar = self.bar.clone();
        move |text: &str| bar.suspend(|| say(text))
    }

    /// Says something that stays.
    pub(super) fn say(&self, text: &str) {
        self.bar.suspend(|| say(text));
    }

    /// Shows how many percent are done, and a text.
    pub(super) fn advance(&mut self, percent: u64, text: String) {
        if self.on_terminal {
            if self.bar.is_hidden() {
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            self.bar.set_length(100);
            self.bar.set_position(percent);
            self.bar.set_message(text);
            return;
        }
        let rested = self.said.is_none_or(|said| said.elapsed() >= BETWEEN_LINES);
        if rested && text != self.last {
            say(&format!("{percent:>3} %  {text}"));
            self.said = Some(Instant::now());
            self.last = text;
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
