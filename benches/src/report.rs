//! What was measured, as Markdown.

use std::{
    fmt::{Display, Write as _},
    fs,
    io::Write as _,
    path::Path,
};

use crate::circumstances::Circumstances;

/// What the profile says of a target that is missed, and what was tried; kept by hand.
const NOTES: &str = "NOTES.md";

const MIB: f64 = 1_048_576.0;

/// Shows a line.
pub(crate) fn say(text: impl Display) {
    // When nobody listens, the files must do.
    _ = writeln!(std::io::stdout(), "{text}");
}

/// Bytes in MiB.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

/// A count for tables.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

/// A figure that has a target.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    pub(crate) measured: String,
    pub(crate) met: bool,
}

/// What a part of the benchmark has found out.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) figures: Vec<Figure>,
    /// Beside the figures, in Markdown.
    pub(crate) section: String,
    /// Pictures that the section shows: names of files, and SVG.
    pub(crate) pictures: Vec<(&'static str, String)>,
}

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Report {
    circumstances: Circumstances,
    outcomes: Vec<Outcome>,
}

impl Report {
    pub(crate) fn new(circumstances: Circumstances) -> Self {
        Self {
            circumstances,
            outcomes: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    /// Writes the report.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        for (name, picture) in self.outcomes.iter().flat_map(|outcome| &outcome.pictures) {
            fs::write(folder.join(name), picture)?;
        }
        fs::write(folder.join("RESULTS.md"), self.markdown(Some(folder)))?;
        Ok(())
    }

    /// The report; the notes that lie in `folder` are named where a target is missed.
    pub(crate) fn markdown(&self, folder: Option<&Path>) -> String {
        let notes = folder.is_some_and(|folder| folder.join(NOTES).is_file());
        let missed = if notes {
            format!("**missed** ([why]({NOTES}))")
        } else {
            "**missed**".to_owned()
        };
        let mut figures = Table::new(["Figure", "Target", "Measured", ""]).of_words();
        for figure in self.outcomes.iter().flat_map(|outcome| &outcome.figures) {
            let verdict = if figure.met { "met" } else { &missed };
            figures.row([figure.name, figure.target, &figure.measured, verdict]);
        }
        let mut text = format!("# Results\n\n{}\n{figures}", self.circumstances);
        for outcome in self.outcomes.iter().filter(|one| !one.section.is_empty()) {
            _ = write!(text, "\n{}", outcome.section);
        }
        text
    }
}

/// A table of Markdown: words in the first column, numbers in the others.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    text: String,
    columns: usize,
}

impl Table {
    pub(crate) fn new<const N: usize>(heads: [&str; N]) -> Self {
        let text = format!("| {} |\n|---|{}\n", heads.join(" | "), "--:|".repeat(N - 1));
        Self { text, columns: N }
    }

    /// The same with words in all columns.
    pub(crate) fn of_words(self) -> Self {
        Self {
            text: self.text.replace("--:|", "---|"),
            ..self
        }
    }

    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let mut cells = cells.into_iter();
        for _ in 0..self.columns {
            let cell = cells.next();
            let cell = cell.as_ref().map_or("", AsRef::as_ref);
            _ = write!(self.text, "| {cell} ");
        }
        self.text.push_str("|\n");
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}
