//! How often each kind of error was answered: INFO errorstats.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::limits::ERROR_KINDS;

/// Counts by the code of the error, its first word.
#[derive(Debug, Default)]
pub struct Errors(Mutex<BTreeMap<String, u64>>);

impl Errors {
    /// Counts an error by its text.
    pub fn count(&self, text: &str) {
        let code = text.split(' ').next().unwrap_or_default();
        let mut kinds = self.0.lock();
        if let Some(count) = kinds.get_mut(code) {
            *count += 1;
        } else if kinds.len() < ERROR_KINDS {
            kinds.insert(code.to_owned(), 1);
        }
    }

    /// Every code with its count.
    pub fn all(&self) -> Vec<(String, u64)> {
        self.0.lock().iter().map(|(code, count)| (code.clone(), *count)).collect()
    }

    /// Starts to count anew.
    pub fn reset(&self) {
        self.0.lock().clear();
    }
}
