//! What is seen of work that takes a while: a bar on a terminal, nothing elsewhere. Troubles are
//! lines on standard error in both cases.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::moving::Watch;

const TICK: Duration = Duration::from_millis(250);

/// What the numbers of a bar are.
#[derive(Clone, Copy)]
pub enum Unit {
    Bytes,
    Records,
}

pub struct Progress(ProgressBar);

impl Progress {
    /// Of that size, if it is known.
    pub fn new(size: Option<u64>, unit: Unit) -> Self {
        // Hidden by itself where standard error is no terminal.
        let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
        let numbers = match (unit, size) {
            (Unit::Bytes, Some(_)) => "{bytes} of {total_bytes}, {eta} left",
            (Unit::Bytes, None) => "{bytes}",
            (Unit::Records, Some(_)) => "{human_pos} of {human_len} records, {eta} left",
            (Unit::Records, None) => "{human_pos} records",
        };
        let template = match size {
            Some(_) => format!("{{wide_bar}} {numbers}"),
            None => format!("{{spinner}} {numbers}"),
        };
        bar.set_style(ProgressStyle::with_template(&template).expect("the template is one"));
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

impl Watch for Progress {
    fn at(&mut self, position: u64) {
        self.0.set_position(position);
    }

    fn trouble(&mut self, text: &str) {
        self.0.suspend(|| eprintln!("left out: {text}"));
    }

    fn note(&mut self, text: &str) {
        self.0.suspend(|| eprintln!("changed: {text}"));
    }
}
