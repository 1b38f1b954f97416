//! How many tests passed, failed, or could not run, and how cargo's runners say so.
//!
//! Left out on purpose: the names of Rust tests that failed; the runner has just printed
//! them.

use std::ops::AddAssign;

/// What came out of a stage.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Name and reason of every test that could not run.
    pub(crate) not_run: Vec<String>,
}

impl Counts {
    /// One test that passed.
    pub(crate) fn pass() -> Self {
        Self { passed: 1, ..Self::default() }
    }

    /// One test that failed.
    pub(crate) fn fail() -> Self {
        Self { failed: 1, ..Self::default() }
    }

    /// One test that could not run.
    pub(crate) fn not_run(name: &str, reason: &str) -> Self {
        Self { not_run: vec![format!("{name}: {reason}")], ..Self::default() }
    }

    /// Counts what could not run as failed: what CI does, so that nothing goes missing there.
    pub(crate) fn strict(mut self) -> Self {
        self.failed += self.not_run.len() as u64;
        self
    }

    /// The closing line.
    pub(crate) fn line(&self) -> String {
        format!("{} passed, {} failed", self.passed, self.failed)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.not_run.extend(other.not_run);
    }
}

/// Reads nextest's `Summary` line, or nothing when it never came to print one.
///
/// Shapes: `Summary [ 0.1s] 3 tests run: 2 passed (1 slow), 1 failed, 0 skipped`, with
/// `timed out` and `exec failed` as further ways to fail.
pub(crate) fn of_nextest(text: &str) -> Option<Counts> {
    let line = text.lines().rfind(|line| line.trim_start().starts_with("Summary ["))?;
    let (_, tail) = line.split_once("run:")?;
    let mut counts = Counts::default();
    for part in without_asides(tail).split(',') {
        let mut words = part.split_whitespace();
        let number: u64 = words.next()?.parse().ok()?;
        match words.next()? {
            "passed" => counts.passed += number,
            "failed" | "timed" | "exec" => counts.failed += number,
            "skipped" => counts.add_skipped(number),
            _ => return None,
        }
    }
    Some(counts)
}

/// Takes out what stands in parentheses: remarks such as `(1 slow, 2 leaky)`.
fn without_asides(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, aside)) = rest.split_once('(') {
        plain.push_str(before);
        rest = aside.split_once(')').map_or("", |(_, after)| after);
    }
    plain + rest
}

/// Adds up libtest's `test result:` lines, or nothing when there is none.
///
/// Shape: `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; ...`
pub(crate) fn of_libtest(text: &str) -> Option<Counts> {
    let mut counts = None;
    for line in text.lines().filter(|line| line.starts_with("test result:")) {
        let counts: &mut Counts = counts.get_or_insert_default();
        let (_, tail) = line.split_once(". ")?;
        for part in tail.split(';') {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
            match (number.parse::<u64>(), what) {
                (Ok(number), "passed") => counts.passed += number,
                (Ok(number), "failed") => counts.failed += number,
                (Ok(number), "ignored") => counts.add_skipped(number),
                _ => {}
            }
        }
    }
    counts
}

impl Counts {
    fn add_skipped(&mut self, number: u64) {
        self.not_run.extend((0..number).map(|_| "a Rust test: ignored".to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_summaries_are_read() {
        let text = "  PASS a\n     Summary [   0.0s] 4 tests run: 2 passed (1 slow, 1 leaky), 1 failed, \
                    1 timed out, 2 skipped\n";
        let counts = of_nextest(text).unwrap();
        assert_eq!((counts.passed, counts.failed, counts.not_run.len()), (2, 2, 2));
        let stopped = "     Summary [  0.1s] 1/3 tests run: 0 passed, 1 failed, 0 skipped";
        assert_eq!(of_nextest(stopped).unwrap(), Counts::fail());
        assert_eq!(of_nextest("error: could not compile"), None);
    }

    #[test]
    fn libtest_results_are_added_up() {
        let text = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                    test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; finished in 1s";
        let counts = of_libtest(text).unwrap();
        assert_eq!((counts.passed, counts.failed, counts.not_run.len()), (4, 2, 1));
        assert_eq!(of_libtest("nothing"), None);
    }

    #[test]
    fn ci_counts_what_could_not_run_as_failed() {
        let mut counts = Counts::pass();
        counts += Counts::not_run("ioredis", "no node");
        assert_eq!(counts.line(), "1 passed, 0 failed");
        assert_eq!(counts.strict().line(), "1 passed, 1 failed");
    }
}
