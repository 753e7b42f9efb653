//! A terminal with a line that stays at its foot, or plain lines where there is no terminal.

use std::{
    fmt::Display,
    io::{IsTerminal, Write, stdin, stdout},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::{
    process::getpgrp,
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr},
};

/// Where the playground shows what happens.
#[derive(Debug)]
pub(crate) enum Screen {
    /// The status line is drawn again and again below the lines.
    Terminal(ProgressBar, Quiet),
    /// The status is a line among the others.
    Plain,
}

impl Screen {
    /// The process's standard output.
    pub(crate) fn open() -> Self {
        if !stdout().is_terminal() {
            return Self::Plain;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        let style = ProgressStyle::with_template("{spinner:.cyan} {wide_msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self::Terminal(bar.with_style(style), Quiet::begin())
    }

    /// Whether somebody may be looking.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(..))
    }

    /// How often the status should be shown.
    pub(crate) fn interval(&self) -> Duration {
        match self {
            Self::Terminal(..) => Duration::from_millis(240),
            Self::Plain => Duration::from_secs(5),
        }
    }

    /// Shows a line, above the status if that stays.
    pub(crate) fn line(&self, text: impl Display) {
        match self {
            Self::Terminal(bar, _) => bar.suspend(|| write_line(&text)),
            Self::Plain => write_line(&text),
        }
    }

    /// Shows the status.
    pub(crate) fn status(&self, status: impl Display) {
        match self {
            Self::Terminal(bar, _) => {
                bar.set_message(status.to_string());
                bar.tick();
            }
            Self::Plain => write_line(&format_args!("-- {status}")),
        }
    }

    /// Takes the line that stays away.
    pub(crate) fn close(&self) {
        if let Self::Terminal(bar, quiet) = self {
            bar.finish_and_clear();
            quiet.restore();
        }
    }
}

/// A terminal that does not print `^C`: behind a status that fills its line that would begin another
/// one, and the status would stay above it.
#[derive(Debug)]
pub(crate) struct Quiet(Option<Termios>);

impl Quiet {
    fn begin() -> Self {
        let before = tcgetattr(stdin()).ok().filter(|_| !is_background());
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ECHOCTL);
            // A terminal that cannot do it prints two more signs.
            _ = tcsetattr(stdin(), OptionalActions::Now, &quiet);
        }
        Self(before)
    }

    fn restore(&self) {
        if let Some(before) = self.0.as_ref().filter(|_| !is_background()) {
            // It may have been closed.
            _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Whether the terminal belongs to others now: it stops a job that sets it from the background.
fn is_background() -> bool {
    tcgetpgrp(stdin()).is_ok_and(|foreground| foreground != getpgrp())
}

fn write_line(text: &impl Display) {
    // Who has closed the output does not want to be told.
    _ = writeln!(stdout().lock(), "{text}");
}
