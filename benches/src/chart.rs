//! A chart of bars.

use std::fmt::Write as _;

/// A bar with its name.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    /// CPU seconds per million rows.
    pub(crate) value: f64,
    /// Whether it stands for the module.
    pub(crate) ours: bool,
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 70.0;
const TOP: f64 = 44.0;
const STEP: f64 = 34.0;

/// CPU per million rows of each contestant; shorter is better.
pub(crate) fn svg(bars: &[Bar]) -> String {
    let most = bars
        .iter()
        .map(|bar| bar.value)
        .fold(f64::MIN_POSITIVE, f64::max);
    #[allow(clippy::cast_precision_loss, reason = "there are few bars")]
    let height = TOP + STEP * bars.len() as f64 + 8.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"26\" font-weight=\"bold\">CPU seconds per million rows (shorter is \
         better)</text>\n"
    );
    let mut y = TOP;
    for bar in bars {
        let width = (bar.value / most * (WIDTH - LEFT - RIGHT)).max(1.0);
        let color = if bar.ours { "#3157d5" } else { "#9aa3b5" };
        let (middle, end) = (y + 18.0, LEFT + width + 8.0);
        _ = writeln!(
            text,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"26\" rx=\"3\" fill=\"{color}\"/>\
             <text x=\"{end:.1}\" y=\"{middle}\">{:.2}</text>",
            LEFT - 10.0,
            bar.name,
            bar.value
        );
        y += STEP;
    }
    text.push_str("</svg>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_chart() {
        let bar = |value| Bar {
            name: "x".to_owned(),
            value,
            ours: true,
        };
        let text = svg(&[bar(1.0), bar(10.0)]);
        assert!(
            text.contains("width=\"500.0\"") && text.contains("width=\"50.0\""),
            "{text}"
        );
    }
}
