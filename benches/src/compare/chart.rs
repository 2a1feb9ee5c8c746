//! Two charts as SVG: ratios as bars, and times over a width. They follow the reader's choice of light or dark.

use std::fmt::Write;

/// A bar of [`bars`].
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What it is about, to the left.
    pub label: String,
    /// How many times; above 0.
    pub ratio: f64,
    /// A word to the right.
    pub note: String,
}

/// A line of [`curves`].
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name, at its end.
    pub name: String,
    /// Its points, from left to right; both coordinates above 0.
    pub points: Vec<(f64, f64)>,
}

// Colours that also the colour-blind can tell apart (Okabe and Ito 2008), lighter where it is dark.
const STYLE: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;font-size:12px;fill:#1f2328}
.title{font-size:16px;font-weight:600}
.muted{fill:#59636e}
.card{fill:#ffffff;stroke:#d1d9e0}
.grid{stroke:#d1d9e0;stroke-width:1}
.one{stroke:#59636e;stroke-width:1.5}
.ahead{fill:#0072b2}.behind{fill:#d55e00}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}
.ours{stroke-width:3.2}
.c0{color:#0072b2}.c1{color:#d55e00}.c2{color:#009e73}.c3{color:#b5568c}.c4{color:#b07d00}.c5{color:#3a8fbf}.c6{color:#59636e}.c7{color:#7a4fbf}
.c{stroke:currentColor}.dot{fill:currentColor}.name{fill:currentColor}
@media(prefers-color-scheme:dark){
text{fill:#e6edf3}.muted{fill:#9198a1}.card{fill:#0d1117;stroke:#3d444d}.grid{stroke:#3d444d}.one{stroke:#9198a1}
.ahead{fill:#56b4e9}.behind{fill:#f0883e}
.c0{color:#56b4e9}.c1{color:#f0883e}.c2{color:#2fc79b}.c3{color:#dd8fbd}.c4{color:#e6b422}.c5{color:#8ccdf0}.c6{color:#9198a1}.c7{color:#b392f0}
}";

const WIDTH: f64 = 820.0;

/// Bars on a logarithmic axis, from 1 to the right or to the left.
///
/// # Panics
/// If a ratio is not above 0, or not finite.
pub fn bars(title: &str, subtitle: &str, bars: &[Bar]) -> String {
    assert!(bars.iter().all(|bar| bar.ratio.is_finite() && bar.ratio > 0.0), "ratios are above 0: {bars:?}");
    const LEFT: f64 = 64.0;
    const RIGHT: f64 = 176.0;
    const TOP: f64 = 76.0;
    const ROW: f64 = 30.0;
    let exponents = || bars.iter().map(|bar| bar.ratio.log2());
    let low = exponents().fold(-1.0, f64::min).floor();
    let high = exponents().fold(1.0, f64::max).ceil();
    let bottom = TOP + ROW * bars.len() as f64;
    let x = |exponent: f64| LEFT + (exponent - low) / (high - low) * (WIDTH - LEFT - RIGHT);

    let mut svg = open(bottom + 40.0, title, subtitle);
    for exponent in low as i32..=high as i32 {
        let class = if exponent == 0 { "one" } else { "grid" };
        let at = x(f64::from(exponent));
        let _ = writeln!(svg, r#"<line class="{class}" x1="{at:.1}" x2="{at:.1}" y1="{TOP:.1}" y2="{bottom:.1}"/>"#);
        text(&mut svg, at, bottom + 18.0, "middle", "muted", &format!("{}×", power_of_two(exponent)));
    }
    for (place, bar) in bars.iter().enumerate() {
        let (y, end) = (TOP + ROW * place as f64, x(bar.ratio.log2()));
        let (from, to) = (x(0.0).min(end), x(0.0).max(end));
        let class = if bar.ratio >= 1.0 { "ahead" } else { "behind" };
        let _ = writeln!(
            svg,
            r#"<rect class="{class}" x="{from:.1}" y="{:.1}" width="{:.1}" height="{:.1}" rx="2"/>"#,
            y + 5.0,
            (to - from).max(1.0),
            ROW - 10.0
        );
        let middle = y + ROW / 2.0 + 4.0;
        text(&mut svg, LEFT - 10.0, middle, "end", "", &bar.label);
        text(&mut svg, to + 6.0, middle, "start", "", &format!("{}×", short(bar.ratio)));
        text(&mut svg, WIDTH - 16.0, middle, "end", "muted", &bar.note);
    }
    svg + "</svg>\n"
}

/// Lines over two logarithmic axes: x in powers of two, y in powers of ten. The first series is drawn boldly.
///
/// # Panics
/// If a coordinate is not above 0, or not finite.
pub fn curves(title: &str, subtitle: &str, axis: &str, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|series| &series.points);
    let positive = |x: f64| x.is_finite() && x > 0.0;
    assert!(points().all(|&(x, y)| positive(x) && positive(y)), "coordinates are above 0: {series:?}");
    const LEFT: f64 = 72.0;
    const RIGHT: f64 = 148.0;
    const TOP: f64 = 76.0;
    const HEIGHT: f64 = 360.0;
    let bounds = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low <= high { (low.floor(), high.ceil()) } else { (0.0, 1.0) };
        if low < high { (low, high) } else { (low, low + 1.0) }
    };
    let (left, right) = bounds(&mut points().map(|point| point.0.log2()));
    let (low, high) = bounds(&mut points().map(|point| point.1.log10()));
    let x = |value: f64| LEFT + (value.log2() - left) / (right - left) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| TOP + (high - value.log10()) / (high - low) * HEIGHT;

    let bottom = TOP + HEIGHT;
    let mut svg = open(bottom + 56.0, title, subtitle);
    for exponent in low as i32..=high as i32 {
        let at = y(10f64.powi(exponent));
        let _ =
            writeln!(svg, r#"<line class="grid" x1="{LEFT:.1}" x2="{:.1}" y1="{at:.1}" y2="{at:.1}"/>"#, WIDTH - RIGHT);
        text(&mut svg, LEFT - 8.0, at + 4.0, "end", "muted", &grouped(10f64.powi(exponent)));
    }
    for exponent in left as i32..=right as i32 {
        let at = x(2f64.powi(exponent));
        let _ = writeln!(svg, r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="{TOP:.1}" y2="{bottom:.1}"/>"#);
        text(&mut svg, at, bottom + 18.0, "middle", "muted", &power_of_two(exponent));
    }
    text(&mut svg, (LEFT + WIDTH - RIGHT) / 2.0, bottom + 40.0, "middle", "muted", axis);

    // Names stand at the ends of their lines, moved apart where those are close.
    let mut names: Vec<(f64, usize)> = Vec::new();
    for (place, one) in series.iter().enumerate() {
        let Some(last) = one.points.last() else { continue };
        let path: Vec<String> = one.points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        let class = if place == 0 { "line c ours" } else { "line c" };
        let _ = writeln!(svg, r#"<g class="c{}"><polyline class="{class}" points="{}"/>"#, place % 8, path.join(" "));
        for point in &one.points {
            let radius = if place == 0 { 4.0 } else { 2.8 };
            let _ =
                writeln!(svg, r#"<circle class="dot" cx="{:.1}" cy="{:.1}" r="{radius}"/>"#, x(point.0), y(point.1));
        }
        svg += "</g>\n";
        names.push((y(last.1) + 4.0, place));
    }
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    for place in 1..names.len() {
        names[place].0 = names[place].0.max(names[place - 1].0 + 15.0);
    }
    for (at, place) in names {
        let class = format!("name c{}", place % 8);
        text(&mut svg, WIDTH - RIGHT + 10.0, at, "start", &class, &series[place].name);
    }
    svg + "</svg>\n"
}

fn open(height: f64, title: &str, subtitle: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n",
        escaped(title)
    );
    let _ = writeln!(
        svg,
        r#"<rect class="card" x="0.5" y="0.5" width="{}" height="{}" rx="6"/>"#,
        WIDTH - 1.0,
        height - 1.0
    );
    text(&mut svg, 16.0, 30.0, "start", "title", title);
    text(&mut svg, 16.0, 52.0, "start", "muted", subtitle);
    svg
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, class: &str, words: &str) {
    let class = if class.is_empty() { String::new() } else { format!(r#" class="{class}""#) };
    let _ = writeln!(svg, r#"<text{class} x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#, escaped(words));
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Three digits: 0.875, 1.36, 12.4, 318.
pub(super) fn short(value: f64) -> String {
    let digits = match value {
        v if v < 1.0 => 3,
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

/// A whole number, its digits in groups of three.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

fn power_of_two(exponent: i32) -> String {
    if exponent < 0 { format!("1/{}", 1u64 << exponent.unsigned_abs().min(63)) } else { (1u64 << exponent).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether every element that is opened is closed, in the right order, and no bare sign is left in its text.
    fn well_formed(svg: &str) -> bool {
        let mut open = Vec::new();
        let mut rest = svg;
        while let Some(start) = rest.find('<') {
            if rest[..start].contains('>') {
                return false;
            }
            let Some(end) = rest[start..].find('>') else { return false };
            let tag = &rest[start + 1..start + end];
            match (tag.strip_prefix('/'), tag.ends_with('/')) {
                (Some(name), _) if open.pop() != Some(name) => return false,
                (None, false) => open.push(tag.split_whitespace().next().unwrap_or_default()),
                _ => {}
            }
            if !tag.matches('"').count().is_multiple_of(2) {
                return false;
            }
            rest = &rest[start + end + 1..];
        }
        open.is_empty() && rest.trim().is_empty()
    }

    fn attribute(element: &str, name: &str) -> f64 {
        let after = element.split_once(&format!("{name}=\"")).unwrap().1;
        after.split_once('"').unwrap().0.parse().unwrap()
    }

    #[test]
    fn the_oracle_can_fail() {
        assert!(well_formed("<svg><text>a &lt; b</text><line x=\"1\"/></svg>"));
        for bad in ["<svg><text>a</svg></text>", "<svg>", "<svg>a > b</svg>", "<svg x=\"1></svg>"] {
            assert!(!well_formed(bad), "{bad}");
        }
    }

    #[test]
    fn bars_are_as_long_as_their_ratios() {
        let bar = |label: &str, ratio| Bar { label: label.into(), ratio, note: "a <b> & \"c\"".into() };
        let svg = bars("Ratios & more", "of <all>", &[bar("T1", 4.0), bar("T2", 2.0), bar("T3", 0.5)]);
        assert!(well_formed(&svg), "{svg}");
        assert!(svg.contains("a &lt;b&gt; &amp; &quot;c&quot;") && svg.contains("prefers-color-scheme:dark"));
        let of = |class: &str| -> Vec<f64> {
            let head = format!("<rect class=\"{class}\"");
            svg.lines().filter(|line| line.starts_with(&head)).map(|line| attribute(line, "width")).collect()
        };
        let (ahead, behind) = (of("ahead"), of("behind"));
        assert_eq!((ahead.len(), behind.len()), (2, 1));
        // log₂ 4 is twice log₂ 2, and log₂ ½ as far to the other side. Coordinates have one decimal.
        assert!((ahead[0] - 2.0 * ahead[1]).abs() < 0.3 && (ahead[1] - behind[0]).abs() < 0.2, "{ahead:?} {behind:?}");
        assert!(well_formed(&bars("none", "", &[])));
    }

    #[test]
    fn curves_go_through_their_points() {
        let series = |name: &str, points: &[(f64, f64)]| Series { name: name.into(), points: points.into() };
        let all = [series("ours", &[(8.0, 10.0), (16.0, 100.0), (64.0, 1000.0)]), series("peer", &[(64.0, 1000.0)])];
        let svg = curves("Streams", "ns", "units", &all);
        assert!(well_formed(&svg), "{svg}");
        let dots: Vec<(f64, f64)> = svg
            .lines()
            .filter(|line| line.starts_with("<circle"))
            .map(|line| (attribute(line, "cx"), attribute(line, "cy")))
            .collect();
        assert_eq!(dots.len(), 4);
        // Even steps of the logarithms are even steps on paper; 8 → 16 → 64 is one and two.
        assert!((2.0 * (dots[1].0 - dots[0].0) - (dots[2].0 - dots[1].0)).abs() < 0.3, "{dots:?}");
        assert!(((dots[0].1 - dots[1].1) - (dots[1].1 - dots[2].1)).abs() < 0.3 && dots[0].1 > dots[1].1);
        assert_eq!(dots[2], dots[3]);
        // The same end for both names: they stand apart.
        let names: Vec<f64> = svg
            .lines()
            .filter(|line| line.starts_with("<text class=\"name"))
            .map(|line| attribute(line, "y"))
            .collect();
        assert!((names[0] - names[1]).abs() >= 15.0, "{names:?}");
        assert!(well_formed(&curves("none", "", "", &[])));
    }

    #[test]
    fn numbers() {
        assert_eq!([0.12345, 1.357, 12.35, 318.4].map(short), ["0.123", "1.36", "12.3", "318"]);
        assert_eq!([1.0, 1000.0, 1234567.0].map(grouped), ["1", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
        assert_eq!([-2, 0, 4].map(power_of_two), ["1/4", "1", "16"]);
    }
}
