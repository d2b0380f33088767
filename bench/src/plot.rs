//! A curve as an SVG picture: what a page of documentation needs, and no more.
//!
//! Sizes stand on a logarithmic axis (nothing at all stands at its left end), figures on one that
//! begins with 0, so that flat looks flat; where the highest is beyond [`LINEAR_MAX`] times the
//! lowest, it is logarithmic too. Bars show the lowest and the highest run. The colours follow
//! the reader's light or dark scheme, and each line has a mark of its own shape.

use crate::curve::{Curve, Line, number, round};
use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 376.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 48.0;
const TOP: f64 = 66.0;
const BOTTOM: f64 = 60.0;
/// The legend stands in one row; a letter takes about so much.
const LETTER: f64 = 7.2;
const LINEAR_MAX: f64 = 30.0;

const STYLE: &str = "<style>
text{font:13px system-ui,sans-serif;fill:#24292f}
.title{font-size:15px;font-weight:600}
.grid{stroke:#d0d7de}.axis{stroke:#57606a}
.a{stroke:#0969da;fill:#0969da}.b{stroke:#bc4c00;fill:#bc4c00}.c{stroke:#1a7f37;fill:#1a7f37}
.line{fill:none;stroke-width:2}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}.back{fill:#0d1117}.grid{stroke:#30363d}.axis{stroke:#8b949e}
.a{stroke:#58a6ff;fill:#58a6ff}.b{stroke:#f0883e;fill:#f0883e}.c{stroke:#3fb950;fill:#3fb950}
.line{fill:none}}
</style>";

const COLOURS: [&str; 3] = ["a", "b", "c"];

/// One axis: from a value to a place between 0 and 1.
#[derive(Debug)]
struct Axis {
    low: f64,
    high: f64,
    is_log: bool,
}

impl Axis {
    /// Powers of ten around all values; 0 stands where the lowest power is.
    fn log(values: &[f64]) -> Self {
        let positive = || values.iter().copied().filter(|value| *value > 0.0);
        let low = positive().fold(f64::INFINITY, f64::min).log10().floor();
        let high = positive().fold(1.0, f64::max).log10().ceil();
        let low = if low.is_finite() { low } else { 0.0 };
        let low = if values.contains(&0.0) { low - 1.0 } else { low };
        Self { low, high: high.max(low + 1.0), is_log: true }
    }

    /// From 0 to a round number above all values.
    fn linear(values: &[f64]) -> Self {
        let high = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max) * 1.1;
        let power = 10_f64.powf(high.log10().floor());
        let steps = [1.0, 2.0, 2.5, 4.0, 5.0, 8.0, 10.0];
        let high = steps.iter().map(|step| step * power).find(|round| *round >= high);
        Self { low: 0.0, high: high.unwrap_or(10.0 * power), is_log: false }
    }

    fn fitting(values: &[f64]) -> Self {
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(0.0, f64::max);
        if lowest > 0.0 && highest / lowest > LINEAR_MAX {
            Self::log(values)
        } else {
            Self::linear(values)
        }
    }

    fn place(&self, value: f64) -> f64 {
        let at = match value {
            _ if !self.is_log => value,
            value if value > 0.0 => value.log10(),
            _ => self.low,
        };
        ((at - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Where the lines of the grid stand.
    fn ticks(&self) -> Vec<f64> {
        if self.is_log {
            let decades = (self.high - self.low).round() as i32;
            return (0..=decades).map(|at| 10_f64.powf(self.low + f64::from(at))).collect();
        }
        (0..=4).map(|at| self.high * f64::from(at) / 4.0).collect()
    }
}

pub fn svg(curve: &Curve) -> String {
    let points = || curve.lines.iter().flat_map(|line| &line.points);
    let sizes: Vec<f64> = points().map(|point| point.x).collect();
    let values: Vec<f64> =
        points().flat_map(|point| [point.runs.lowest(), point.runs.highest()]).collect();
    let frame = Frame { x: Axis::log(&sizes), y: Axis::fitting(&values) };
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         role=\"img\">\n<title>{}</title>\n{STYLE}\n\
         <rect class=\"back\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n",
        escape(curve.title)
    );
    frame.draw_grid(&mut text, &sizes);
    label(&mut text, (LEFT, 24.0), ("start", "title"), curve.title);
    label(&mut text, ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 14.0), ("middle", ""), curve.x);
    let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
    let _ = writeln!(
        text,
        "<text transform=\"translate(16 {middle}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        escape(curve.y)
    );
    let mut legend = LEFT + 6.0;
    for (at, line) in curve.lines.iter().enumerate() {
        frame.draw_line(&mut text, at, line);
        if curve.lines.len() > 1 {
            mark(&mut text, at, (legend, TOP - 20.0));
            label(&mut text, (legend + 10.0, TOP - 16.0), ("start", ""), &line.name);
            legend += 34.0 + LETTER * line.name.chars().count() as f64;
        }
    }
    text + "</svg>\n"
}

#[derive(Debug)]
struct Frame {
    x: Axis,
    y: Axis,
}

impl Frame {
    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let right = LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT);
        let up = HEIGHT - BOTTOM - self.y.place(y) * (HEIGHT - TOP - BOTTOM);
        (right, up)
    }

    fn draw_grid(&self, text: &mut String, sizes: &[f64]) {
        let bottom = HEIGHT - BOTTOM;
        for (at, size) in self.x.ticks().into_iter().enumerate() {
            let x = self.at(size, 0.0).0;
            let _ = writeln!(
                text,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>"
            );
            let is_nothing = at == 0 && sizes.contains(&0.0);
            let name = if is_nothing { "0".to_owned() } else { round(size) };
            label(text, (x, bottom + 18.0), ("middle", ""), &name);
        }
        for value in self.y.ticks() {
            let y = self.at(1.0, value).1;
            let right = WIDTH - RIGHT;
            let class = if y > bottom - 0.5 { "axis" } else { "grid" };
            let _ = writeln!(
                text,
                "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
            );
            let name = if value == 0.0 { "0".to_owned() } else { number(value) };
            label(text, (LEFT - 8.0, y + 4.0), ("end", ""), &name);
        }
    }

    fn draw_line(&self, text: &mut String, at: usize, line: &Line) {
        let colour = COLOURS[at % COLOURS.len()];
        let mut path = String::new();
        for point in &line.points {
            let (x, y) = self.at(point.x, point.value);
            let _ = write!(path, "{x:.1},{y:.1} ");
        }
        let path = path.trim_end();
        let _ = writeln!(text, "<polyline class=\"{colour} line\" points=\"{path}\"/>");
        for point in &line.points {
            let (x, y) = self.at(point.x, point.value);
            let (low, high) =
                (self.at(point.x, point.runs.lowest()).1, self.at(point.x, point.runs.highest()).1);
            let _ = writeln!(
                text,
                "<line class=\"{colour}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{low:.1}\" \
                 y2=\"{high:.1}\"/>"
            );
            mark(text, at, (x, y));
        }
    }
}

/// A circle, a square, a diamond.
fn mark(text: &mut String, line: usize, (x, y): (f64, f64)) {
    let colour = COLOURS[line % COLOURS.len()];
    let _ = match line % COLOURS.len() {
        0 => writeln!(text, "<circle class=\"{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"),
        1 => writeln!(
            text,
            "<rect class=\"{colour}\" x=\"{:.1}\" y=\"{:.1}\" width=\"8\" height=\"8\"/>",
            x - 4.0,
            y - 4.0
        ),
        _ => writeln!(text, "<path class=\"{colour}\" d=\"M{:.1} {y:.1}l5-5 5 5-5 5z\"/>", x - 5.0),
    };
}

fn label(text: &mut String, (x, y): (f64, f64), (anchor, class): (&str, &str), words: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = writeln!(
        text,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{class}>{}</text>",
        escape(words)
    );
}

fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Runs;

    #[test]
    fn nothing_stands_at_the_left_end_and_flat_looks_flat() {
        let sizes = Axis::log(&[0.0, 1_000.0, 100_000.0]);
        assert_eq!((sizes.place(0.0), sizes.place(100_000.0)), (0.0, 1.0));
        assert!(sizes.place(1_000.0) > 0.3);
        let flat = Axis::fitting(&[10.0, 11.0]);
        assert!(!flat.is_log && flat.low == 0.0 && flat.high >= 11.0);
        assert!(Axis::fitting(&[1.0, 900.0]).is_log);
    }

    #[test]
    fn a_picture_has_its_words_and_one_mark_a_point() {
        let mut curve = Curve::new("x", "A < B", ("sessions", "µs"), &["one"]);
        curve.add(0, 10, Runs::from_iter([1.0]), 0.0);
        curve.add(0, 100, Runs::from_iter([2.0, 3.0]), 0.0);
        let picture = svg(&curve);
        assert!(picture.contains("A &lt; B") && picture.contains(">sessions<"));
        assert_eq!(picture.matches("<circle").count(), 2);
        assert!(picture.ends_with("</svg>\n"));
    }
}
