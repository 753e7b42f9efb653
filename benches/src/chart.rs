//! Pictures of what was measured, as SVG.

use std::io;

use plotters::{
    coord::Shift,
    prelude::{
        ChartBuilder, Color, DrawingArea, DrawingAreaErrorKind, IntoDrawingArea, IntoLogRange,
        LineSeries, PathElement, RGBColor, SVGBackend, SeriesLabelPosition, WHITE,
    },
};

/// Lines over an axis whose steps multiply by ten.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) across: &'static str,
    pub(crate) up: &'static str,
    /// The name of each and its points.
    pub(crate) lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// Told apart by all kinds of eyes (Okabe and Ito); each has a paler and a darker line.
const COLORS: [RGBColor; 3] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
];

const PANEL: (u32, u32) = (520, 420);

/// Panels side by side. What cannot be drawn is left out of the picture.
pub(crate) fn draw<const N: usize>(panels: [Panel; N]) -> String {
    let mut text = String::new();
    {
        let size = (PANEL.0 * N as u32, PANEL.1);
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        _ = area.fill(&WHITE);
        for (area, panel) in area.split_evenly((1, N)).iter().zip(panels) {
            _ = draw_panel(area, panel);
        }
        _ = area.present();
    }
    text
}

fn draw_panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    panel: Panel,
) -> Result<(), DrawingAreaErrorKind<io::Error>> {
    let points = || panel.lines.iter().flat_map(|(_, points)| points);
    let least = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
    let most = points().map(|(x, _)| *x).fold(0.0, f64::max);
    let highest = points().map(|(_, y)| *y).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d((least..most).log_scale(), 0.0..highest * 1.6)?;
    chart
        .configure_mesh()
        .x_desc(panel.across)
        .y_desc(panel.up)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .light_line_style(WHITE)
        .draw()?;
    let styles = COLORS
        .iter()
        .flat_map(|color| [0.45, 1.0].map(|share| color.mix(share)));
    for ((name, points), color) in panel.lines.into_iter().zip(styles) {
        let style = color.stroke_width(2);
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 13))
        .draw()
}
