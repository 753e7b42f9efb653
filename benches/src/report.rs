//! What was measured, as Markdown.

use std::{
    fmt::{Display, Write as _},
    fs,
    io::Write as _,
    path::Path,
};

/// The notes, kept by hand, say why a target is missed, and what was tried.
const MISSED: &str = "**missed** ([why](NOTES.md))";

pub(crate) fn say(text: impl Display) {
    // When nobody listens, the files must do.
    _ = writeln!(std::io::stdout(), "{text}");
}

pub(crate) fn mib(bytes: u64) -> f64 {
    number(bytes) / 1_048_576.0
}

/// A count for tables.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

/// The most of these values, none of which is negative.
pub(crate) fn most(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, f64::max)
}

/// The middle of the values; of an even number of them, the mean of the two in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let upper = values.len() / 2;
    let lower = values.len().saturating_sub(1) / 2;
    f64::midpoint(middle(lower), middle(upper))
}

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
    /// A picture that the section shows: the name of its file, and SVG.
    pub(crate) picture: Option<(&'static str, String)>,
}

pub(crate) fn write(folder: &Path, head: &str, outcomes: &[Outcome]) -> anyhow::Result<()> {
    for (name, picture) in outcomes.iter().filter_map(|one| one.picture.as_ref()) {
        fs::write(folder.join(name), picture)?;
    }
    fs::write(folder.join("RESULTS.md"), markdown(head, outcomes))?;
    Ok(())
}

pub(crate) fn markdown(head: &str, outcomes: &[Outcome]) -> String {
    let figures = outcomes.iter().flat_map(|one| &one.figures);
    let figures = table(
        "Figure | Target | Measured | ",
        figures.map(|figure| {
            let met = if figure.met { "met" } else { MISSED };
            format!(
                "{} | {} | {} | {met}",
                figure.name, figure.target, figure.measured
            )
        }),
    );
    let figures = figures.replacen("--:|", "---|", 3);
    let mut text = format!("# Results\n\n{head}\n{figures}");
    for outcome in outcomes.iter().filter(|one| !one.section.is_empty()) {
        _ = write!(text, "\n{}", outcome.section);
    }
    text
}

/// A table of Markdown, each row with its cells joined: words in the first column, numbers in the
/// others.
pub(crate) fn table(heads: &str, rows: impl IntoIterator<Item = String>) -> String {
    let numbers = "--:|".repeat(heads.matches('|').count());
    let mut text = format!("| {heads} |\n|---|{numbers}\n");
    for row in rows {
        _ = writeln!(text, "| {row} |");
    }
    text
}
