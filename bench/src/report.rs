//! One table for people, and one of each curve.
//!
//! A [`Row`] is one figure of one program: the median with the lowest and the highest run, the
//! ratio to the limit program in the same run, what issue 5 asks, and the faults, which must
//! be zero. The report knows nothing of how the figures came about.

use crate::curve::{Curve, number};
use crate::goals::Measure;
use crate::meter::OTHERS_MAX;
use crate::stats::Runs;
use crate::verify::Faults;
use serde::Serialize;
use std::fmt::Write;

#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub measure: Measure,
    pub target: String,
    pub is_peer: bool,
    pub runs: Runs,
    pub value: f64,
    /// The limit program's figure in the same run; absent for the limit itself.
    pub limit: Option<f64>,
    pub ratio: Option<f64>,
    /// As JSON has it: "aim", "reach" or "MISSED", with a question mark where others disturbed.
    pub verdict: String,
    /// The highest share of the cores that other programs took in a window, 0 to 1.
    pub others: f64,
    /// Absent where nothing is delivered.
    pub faults: Option<Faults>,
}

#[derive(Debug, Default)]
pub struct Report {
    pub rows: Vec<Row>,
    pub curves: Vec<Curve>,
}

const COLUMNS: [&str; 13] = [
    "workload", "measure", "program", "median", "lowest", "highest", "of limit", "reach", "aim",
    "verdict", "others", "lost", "dbl/ooo",
];
/// The first three columns are words and stand left.
const LEFT: usize = 3;

impl Report {
    /// Adds the figures of one measure, the limit's first, if it was run. Only programs that
    /// are no limit are judged.
    pub fn add(&mut self, measure: Measure, limit: Option<f64>, entries: Vec<Entry>) {
        for entry in entries {
            let limit = limit.filter(|_| !entry.is_limit);
            let value = entry.runs.median();
            let row = Row {
                measure,
                target: entry.target,
                is_peer: entry.is_peer,
                value,
                limit,
                ratio: limit.filter(|limit| *limit > 0.0).map(|limit| value / limit),
                verdict: match verdict(&measure, value, limit) {
                    "" => String::new(),
                    _ if entry.is_limit || entry.is_peer => String::new(),
                    word if entry.others > OTHERS_MAX => format!("{word}?"),
                    word => word.to_owned(),
                },
                others: entry.others,
                runs: entry.runs,
                faults: entry.faults,
            };
            self.rows.push(row);
        }
    }

    /// All faults. A workload's rows of one program tell the same ones, so only its first counts.
    pub fn faults(&self) -> Faults {
        let mut sum = Faults::default();
        for (at, row) in self.rows.iter().enumerate() {
            let same = |other: &Row| {
                other.measure.workload == row.measure.workload && other.target == row.target
            };
            if !row.is_peer && !self.rows[..at].iter().any(same) {
                sum += row.faults.unwrap_or_default();
            }
        }
        for curve in &self.curves {
            sum += curve.faults;
        }
        sum
    }

    /// The table of all rows, and behind it one of each curve.
    pub fn text(&self) -> String {
        let table = (!self.rows.is_empty()).then(|| self.table());
        let tables: Vec<String> =
            table.into_iter().chain(self.curves.iter().map(Curve::table)).collect();
        tables.join("\n")
    }

    fn table(&self) -> String {
        let mut lines = vec![COLUMNS.map(str::to_owned)];
        lines.extend(self.rows.iter().map(Row::cells));
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
        let widths: Vec<usize> = (0..COLUMNS.len()).filter_map(width).collect();
        let mut text = String::new();
        let mut workload = "";
        for (at, line) in lines.iter().enumerate() {
            if at > 0 && line[0] != workload {
                text.push('\n');
            }
            workload = &line[0];
            for (column, cell) in line.iter().enumerate() {
                let gap = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
                let (before, after) = if column < LEFT { ("", gap.as_str()) } else { (&*gap, "") };
                let _ = write!(text, "{before}{cell}{after}  ");
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    }
}

/// One program's runs of one measure.
#[derive(Debug)]
pub struct Entry {
    pub target: String,
    pub is_limit: bool,
    /// Somebody else's: neither judged nor a reason to fail.
    pub is_peer: bool,
    pub runs: Runs,
    pub faults: Option<Faults>,
    pub others: f64,
}

fn verdict(measure: &Measure, value: f64, limit: Option<f64>) -> &'static str {
    let Some((reach, aim)) = measure.marks else {
        return "";
    };
    let (Some(reach), Some(aim)) = (reach.resolve(limit), aim.resolve(limit)) else {
        return "";
    };
    match (measure.better.met(value, aim), measure.better.met(value, reach)) {
        (true, _) => "aim",
        (false, true) => "reach",
        (false, false) => "MISSED",
    }
}

impl Row {
    fn cells(&self) -> [String; 13] {
        let marks = self.measure.marks.filter(|_| !self.verdict.is_empty());
        let mark = |mark: Option<f64>| mark.map_or(String::new(), number);
        let faults = |of: fn(&Faults) -> String| self.faults.as_ref().map_or(String::new(), of);
        [
            self.measure.workload.to_owned(),
            self.measure.name.to_owned(),
            self.target.clone(),
            number(self.value),
            number(self.runs.lowest()),
            number(self.runs.highest()),
            self.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")),
            mark(marks.and_then(|(reach, _)| reach.resolve(self.limit))),
            mark(marks.and_then(|(_, aim)| aim.resolve(self.limit))),
            self.verdict.clone(),
            format!("{:.0} %", self.others * 100.0),
            faults(|faults| faults.lost.to_string()),
            faults(|faults| format!("{}/{}", faults.doubled, faults.out_of_order)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goals;

    fn entry(is_limit: bool, values: &[f64]) -> Entry {
        let runs = values.iter().copied().collect();
        let faults = Some(Faults::default());
        let is_peer = false;
        Entry { target: "x".to_owned(), is_limit, is_peer, runs, faults, others: 0.0 }
    }

    #[test]
    fn faults_that_several_rows_tell_count_once() {
        let mut report = Report::default();
        let lost = Faults { lost: 3, ..Faults::default() };
        for measure in [goals::W1.rate, goals::W1.cpu, goals::W2.rate] {
            let faulty = Entry { faults: Some(lost), ..entry(false, &[1.0]) };
            report.add(measure, None, vec![faulty]);
        }
        assert_eq!(report.faults(), Faults { lost: 6, ..Faults::default() });
    }

    #[test]
    fn the_verdict_follows_the_marks_and_the_limit_is_not_judged() {
        let mut report = Report::default();
        let latencies = |p50| vec![entry(true, &[100.0]), entry(false, &[p50])];
        for p50 in [105.0, 125.0, 140.0] {
            report.add(goals::LATENCY_P50, Some(100.0), latencies(p50));
        }
        let verdicts: Vec<_> = report.rows.iter().map(|row| row.verdict.as_str()).collect();
        assert_eq!(verdicts, ["", "aim", "", "reach", "", "MISSED"]);
        assert_eq!(report.rows[1].ratio, Some(1.05));
        assert_eq!(report.table().lines().count(), 8);
        let disturbed = Entry { others: 0.4, ..entry(false, &[105.0]) };
        report.add(goals::LATENCY_P50, Some(100.0), vec![disturbed]);
        assert_eq!(report.rows[6].verdict, "aim?");
    }
}
