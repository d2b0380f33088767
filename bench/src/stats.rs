//! Medians, percentiles and spreads.
//!
//! The machine is noisy, so no figure of one run is told: a [`Runs`] keeps them all, the table
//! shows the median with the lowest and the highest, and the JSON file has every one.

use serde::Serialize;

/// One figure, measured several times.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Runs(pub Vec<f64>);

impl Runs {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The middle one, the mean of the middle two for an even count; 0 when nothing ran.
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        match sorted.len() {
            0 => 0.0,
            n if n % 2 == 1 => sorted[n / 2],
            n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        }
    }

    pub fn lowest(&self) -> f64 {
        self.sorted().first().copied().unwrap_or(0.0)
    }

    pub fn highest(&self) -> f64 {
        self.sorted().last().copied().unwrap_or(0.0)
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

impl FromIterator<f64> for Runs {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// The value below which the share `p` (0 to 1) of `values` lies: nearest rank. Sorts them.
pub fn percentile(values: &mut [u32], p: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.sort_unstable();
    let rank = (p * values.len() as f64).ceil().max(1.0) as usize;
    f64::from(values[rank.min(values.len()) - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_the_sorted_runs() {
        assert_eq!(Runs::from_iter([9.0, 1.0, 4.0]).median(), 4.0);
        assert_eq!(Runs::from_iter([9.0, 1.0, 4.0, 6.0]).median(), 5.0);
        assert_eq!(Runs::default().median(), 0.0);
        let runs = Runs::from_iter([9.0, 1.0, 4.0]);
        assert_eq!((runs.lowest(), runs.highest()), (1.0, 9.0));
    }

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        let mut values: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(percentile(&mut values, 0.50), 50.0);
        assert_eq!(percentile(&mut values, 0.99), 99.0);
        assert_eq!(percentile(&mut values, 1.0), 100.0);
        assert_eq!(percentile(&mut [7], 0.5), 7.0);
        assert_eq!(percentile(&mut [], 0.5), 0.0);
    }
}
