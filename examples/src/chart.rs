//! Charts as SVG, written whole or not at all.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use plotters::prelude::*;

/// A line of a chart.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it shows.
    pub name: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
    /// Its colour.
    pub color: RGBColor,
    /// Its width.
    pub width: u32,
}

/// One panel of a picture.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Above it.
    pub title: String,
    /// Below its horizontal axis.
    pub x: String,
    /// Beside its vertical axis.
    pub y: String,
    /// Whether the vertical axis is logarithmic.
    pub log: bool,
    /// What it shows.
    pub lines: Vec<Line>,
}

/// Colours that also the colour-blind can tell apart (Okabe and Ito 2008).
pub const COLORS: [RGBColor; 6] = [
    RGBColor(0, 0, 0),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
];

/// The panels one below the other.
///
/// # Errors
/// If the picture cannot be drawn or the file cannot be written; a file that was there stays as it was.
pub fn write(path: &Path, panels: &[Panel]) -> Result<(), Box<dyn Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (960, 360 * panels.len() as u32)).into_drawing_area();
        root.fill(&WHITE)?;
        for (panel, area) in panels.iter().zip(root.split_evenly((panels.len(), 1))) {
            if panel.log { draw_log(panel, &area)? } else { draw_linear(panel, &area)? }
        }
        root.present()?;
    }
    replace(path, svg.as_bytes())?;
    Ok(())
}

/// Writes a file beside `path`, then puts it in its place.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = std::fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let moved = written.and_then(|()| std::fs::rename(&temporary, path));
    if moved.is_err() {
        // What was half written goes; what was there stays.
        let _ = std::fs::remove_file(&temporary);
    }
    moved
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn range(panel: &Panel, coordinate: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
    let all = panel.lines.iter().flat_map(|line| &line.points).map(coordinate).filter(|x| x.is_finite());
    let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low < high { (low, high) } else { (low.min(0.0) - 0.5, high.max(0.0) + 0.5) }
}

/// Two decimals at most, none that are zero.
fn short(y: f64) -> String {
    format!("{y:.2}").trim_end_matches('0').trim_end_matches('.').to_string()
}

macro_rules! draw {
    ($name:ident, $panel:ident, ($low:ident, $high:ident) => $axis:expr) => {
        fn $name($panel: &Panel, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
            let (left, right) = range($panel, |point| point.0);
            let ($low, $high) = range($panel, |point| point.1);
            let mut chart = ChartBuilder::on(area)
                .caption(&$panel.title, ("sans-serif", 18))
                .margin(12)
                .x_label_area_size(36)
                .y_label_area_size(56)
                .build_cartesian_2d(left..right, $axis)?;
            chart
                .configure_mesh()
                .x_desc(&$panel.x)
                .y_desc(&$panel.y)
                .x_label_formatter(&|x| format!("{x:.0}"))
                .y_label_formatter(&|y| short(*y))
                .light_line_style(WHITE)
                .draw()?;
            for line in &$panel.lines {
                let style = line.color.stroke_width(line.width);
                chart
                    .draw_series(LineSeries::new(line.points.iter().copied(), style))?
                    .label(&line.name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperRight)
                .background_style(WHITE.mix(0.8))
                .draw()?;
            Ok(())
        }
    };
}
draw!(draw_linear, panel, (low, high) => low - 0.05 * (high - low)..high + 0.05 * (high - low));
draw!(draw_log, panel, (low, high) => (low.max(1e-9) * 0.8..high * 1.25).log_scale());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_what_was_there() {
        let folder = std::env::temp_dir().join(format!("tapeloop-chart-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let points = vec![(0.0, 1.0), (1.0, 2.0)];
        let line = Line { name: "a line".into(), points, color: COLORS[0], width: 1 };
        let panel = |log| Panel { title: "t".into(), x: "x".into(), y: "y".into(), log, lines: vec![line.clone()] };
        let path = folder.join("chart.svg");
        write(&path, &[panel(false), panel(true)]).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(svg.contains("<svg") && svg.contains("a line"), "{svg}");
        assert!(write(&folder.join("no such folder").join("chart.svg"), &[panel(false)]).is_err());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "no stray files");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
