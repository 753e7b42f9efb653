//! The screen while a backfill is under way: a bar on a terminal, else a line now and then.

use std::{io::IsTerminal as _, time::Duration};

use chrono::{DateTime, Utc};
use collect::backfill::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sekoia::{Console, Level};
use tokio::time::Instant;

use super::super::screen::say;

/// Without a terminal, a line is printed at most this often.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// What is shown on standard error.
#[derive(Debug)]
pub(super) struct Display {
    /// Hidden until there is progress.
    bar: ProgressBar,
    on_terminal: bool,
    said: Option<Instant>,
    last: String,
    /// Whether nothing leaves.
    dry_run: bool,
}

impl Display {
    pub(super) fn new(dry_run: bool) -> Self {
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
            dry_run,
        }
    }

    /// Shows warnings and errors of the log.
    pub(super) fn console(&self) -> Console {
        let bar = self.bar.clone();
        Console::of_messages(move |level, message| {
            if level >= Level::Warning {
                above(&bar, message);
            }
        })
    }

    /// Says something that stays.
    pub(super) fn say(&self, text: &str) {
        above(&self.bar, text);
    }

    /// Shows how far it has got.
    pub(super) fn show(&mut self, progress: &Progress, now: DateTime<Utc>) {
        let (asked, left) = (
            progress.asked.max(1),
            progress.left.clamp(0, progress.asked.max(1)),
        );
        let text = told(progress, self.dry_run, now);
        if self.on_terminal {
            if self.bar.is_hidden() {
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            self.bar.set_length(asked.cast_unsigned());
            self.bar.set_position((asked - left).cast_unsigned());
            self.bar.set_message(text);
            return;
        }
        let rested = self.said.is_none_or(|said| said.elapsed() >= BETWEEN_LINES);
        if rested && text != self.last {
            say(&format!("{:>3} %  {text}", (asked - left) * 100 / asked));
            self.said = Some(Instant::now());
            self.last = text;
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn above(bar: &ProgressBar, text: &str) {
    bar.suspend(|| say(text));
}

fn told(progress: &Progress, dry_run: bool, now: DateTime<Utc>) -> String {
    let (count, word) = match dry_run {
        true => (progress.new, "new"),
        false => (progress.accepted, "accepted"),
    };
    let mut text = format!(
        "{count} {word}, {} known, until {}",
        progress.known,
        progress.complete_until.format("%m-%d %H:%M:%S"),
    );
    if let Some(seconds) = progress.seconds_left() {
        text.push_str(&format!(", {} min left", seconds / 60 + 1));
    }
    if let Some(next) = progress.next_request.filter(|next| *next > now) {
        let seconds = (next - now).num_seconds() + 1;
        text.push_str(&format!(", quota: next request in {seconds} s"));
    }
    text
}
