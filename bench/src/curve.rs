//! A figure that is measured at several sizes, and whether it stays the same.
//!
//! A [`Curve`] has one or more lines over one axis of sizes. Each point keeps all its runs; the
//! table shows their median with the lowest and the highest, and for each line the ratio of the
//! last point to the first, which is the verdict: up to [`FLAT_MAX`] it is flat. A first point
//! that may be nothing by its nature (memory that grew, say) has no ratio.

use crate::stats::Runs;
use crate::verify::Faults;
use serde::Serialize;
use std::fmt::Write;

/// The last point may be so much dearer than the first.
pub const FLAT_MAX: f64 = 1.25;

#[derive(Debug, Clone, Serialize)]
pub struct Curve {
    /// Names the plot's file.
    pub slug: &'static str,
    pub title: &'static str,
    /// What grows.
    pub x: &'static str,
    /// What is measured, with its unit.
    pub y: &'static str,
    pub lines: Vec<Line>,
    pub faults: Faults,
}

#[derive(Debug, Clone, Serialize)]
pub struct Line {
    pub name: String,
    pub points: Vec<Point>,
    /// The last point's median by the first one's.
    pub ratio: Option<f64>,
    pub verdict: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub struct Point {
    pub x: f64,
    pub value: f64,
    pub runs: Runs,
    /// The highest share of the cores that other programs took, 0 to 1.
    pub others: f64,
}

impl Curve {
    pub fn new(
        slug: &'static str,
        title: &'static str,
        (x, y): (&'static str, &'static str),
        names: &[&str],
    ) -> Self {
        let line = |name: &&str| Line {
            name: (*name).to_owned(),
            points: Vec::new(),
            ratio: None,
            verdict: "",
        };
        let lines = names.iter().map(line).collect();
        Self { slug, title, x, y, lines, faults: Faults::default() }
    }

    /// Adds a point to one of the lines.
    pub fn add(&mut self, line: usize, x: usize, runs: Runs, others: f64) {
        let line = &mut self.lines[line];
        line.points.push(Point { x: x as f64, value: runs.median(), runs, others });
        let first = line.points.first().map_or(0.0, |point| point.value);
        line.ratio = line.points.last().filter(|_| first > 0.0).map(|point| point.value / first);
        line.verdict = match line.ratio {
            _ if line.points.len() < 2 => "",
            None => "",
            Some(ratio) if ratio <= FLAT_MAX => "flat",
            Some(_) => "GROWS",
        };
    }

    pub fn table(&self) -> String {
        let mut text = format!("{} ({}, by {})\n", self.title, self.y, self.x);
        for line in &self.lines {
            let _ = writeln!(text, "  {}", line.name);
            for point in &line.points {
                let _ = writeln!(
                    text,
                    "  {:>12}  {:>10}  ({} to {})  others {:.0} %",
                    round(point.x),
                    number(point.value),
                    number(point.runs.lowest()),
                    number(point.runs.highest()),
                    point.others * 100.0
                );
            }
            if let Some(ratio) = line.ratio {
                let _ = writeln!(text, "  last / first: {ratio:.2}  {}", line.verdict);
            }
        }
        let Faults { lost, doubled, out_of_order } = self.faults;
        let _ = writeln!(text, "  lost {lost}, doubled {doubled}, out of order {out_of_order}");
        text
    }
}

/// A whole number with its thousands set apart.
pub fn round(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits that matter, thousands set apart.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => round(value),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_the_last_point_by_the_first() {
        let mut curve = Curve::new("x", "X", ("n", "µs"), &["one", "two"]);
        for (x, y) in [(10, 20.0), (100, 40.0), (1000, 22.0)] {
            curve.add(0, x, Runs::from_iter([y]), 0.0);
            curve.add(1, x, Runs::from_iter([y + x as f64]), 0.0);
        }
        assert_eq!((curve.lines[0].ratio, curve.lines[0].verdict), (Some(1.1), "flat"));
        assert_eq!(curve.lines[1].verdict, "GROWS");
        assert!(curve.table().contains("last / first: 1.10  flat"));
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(number(1_234_567.2), "1,234,567");
        assert_eq!(number(123.4), "123");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(1.234), "1.23");
    }
}
