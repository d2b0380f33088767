//! How the last commit went; the writer's word to everybody else.

use std::sync::{Mutex, PoisonError};

use crate::store::Result;

/// What the last commit failed with, until one goes well again.
#[derive(Default)]
pub struct Outcome(Mutex<Option<String>>);

impl Outcome {
    pub fn get(&self) -> std::result::Result<(), String> {
        let failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failure.clone().map_or(Ok(()), Err)
    }

    pub fn set(&self, outcome: &Result<()>) {
        let text = outcome.as_ref().err().map(ToString::to_string);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}
