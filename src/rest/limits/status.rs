//! What the limiter answers, taken apart: the statuses of one limit or several.

use std::io::Write as _;

use hyper::StatusCode;
use smallvec::SmallVec;

use super::super::refusal::Refusal;
use super::super::reply::write_string;
use crate::resp::Reply;

/// What the limiter says of a limit. See the commands' own description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) allowed: i64,
    pub(crate) limit: i64,
    pub(crate) remaining: i64,
    /// Milliseconds; 0 if allowed, -1 if it can never be.
    pub(crate) retry_after: i64,
    /// Milliseconds.
    pub(crate) reset_after: i64,
}

impl Status {
    pub(crate) fn allowed(&self) -> bool {
        self.allowed != 0
    }

    /// Whether a list has turned it away: nothing is left though nothing was taken.
    pub(crate) fn denied(&self) -> bool {
        !self.allowed() && self.remaining == 0 && self.reset_after == 0
    }

    /// The members of its JSON object.
    pub(super) fn members(&self, body: &mut Vec<u8>, rule: Option<&str>) {
        // Writing to a Vec does not fail.
        let _ = write!(
            body,
            "\"allowed\":{},\"limit\":{},\"remaining\":{},\"retryAfterMs\":{},\"resetAfterMs\":{}",
            self.allowed(),
            self.limit,
            self.remaining,
            self.retry_after,
            self.reset_after,
        );
        if let Some(rule) = rule {
            body.extend_from_slice(b",\"rule\":");
            write_string(body, rule.as_bytes());
        }
        if self.denied() {
            body.extend_from_slice(b",\"denied\":true");
        }
    }
}

/// Numbers of a status.
const NUMBERS: usize = 5;

/// Gathers an answer: its numbers in order, and the text in it if there is one.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    numbers: SmallVec<[i64; 8]>,
    /// The id of a hold.
    pub(super) text: Option<Vec<u8>>,
    pub(super) error: Option<String>,
}

impl Collected {
    /// The statuses, of which there are `count` behind `before` other numbers.
    ///
    /// # Errors
    /// What the limiter has refused.
    pub(in crate::rest) fn statuses(
        &self,
        before: usize,
        count: usize,
    ) -> Result<SmallVec<[Status; 1]>, Refusal> {
        if let Some(text) = &self.error {
            return Err(Refusal::of_limiter(text.clone()));
        }
        let numbers = self.numbers.get(before..).unwrap_or_default();
        let (statuses, rest) = numbers.as_chunks::<NUMBERS>();
        if statuses.len() != count || !rest.is_empty() {
            return Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "ERR internal error: the limiter answered in another form",
            ));
        }
        let status = |numbers: &[i64; NUMBERS]| {
            let [allowed, limit, remaining, retry_after, reset_after] = *numbers;
            Status { allowed, limit, remaining, retry_after, reset_after }
        };
        Ok(statuses.iter().map(status).collect())
    }

    /// The first statuses.
    ///
    /// # Errors
    /// What the limiter has refused.
    pub(crate) fn first(&self, count: usize) -> Result<Vec<Status>, String> {
        self.some(0, count)
    }

    /// So many statuses behind other numbers.
    ///
    /// # Errors
    /// What the limiter has refused.
    pub(crate) fn behind(&self, before: usize, count: usize) -> Result<Vec<Status>, String> {
        self.some(before, count)
    }

    fn some(&self, before: usize, count: usize) -> Result<Vec<Status>, String> {
        let mut part = Collected { error: self.error.clone(), ..Collected::default() };
        let numbers = self.numbers.iter().skip(before).take(NUMBERS * count);
        part.numbers.extend(numbers.copied());
        part.statuses(0, count).map(|all| all.to_vec()).map_err(|refusal| refusal.text.into_owned())
    }

    /// The one number of an answer.
    pub(super) fn number(&self) -> Result<i64, Refusal> {
        match &self.error {
            Some(text) => Err(Refusal::of_limiter(text.clone())),
            None => Ok(self.numbers.first().copied().unwrap_or(0)),
        }
    }
}

impl Reply for Collected {
    fn integer(&mut self, value: i64) {
        self.numbers.push(value);
    }

    fn error(&mut self, text: &str) {
        self.error.get_or_insert_with(|| text.to_owned());
    }

    fn bulk(&mut self, bytes: &[u8]) {
        self.text = Some(bytes.to_vec());
    }

    fn status(&mut self, _: &str) {}
    fn null(&mut self) {}
    fn null_array(&mut self) {}
    fn array(&mut self, _: usize) {}
    fn map(&mut self, _: usize) {}
    fn set(&mut self, _: usize) {}
    fn double(&mut self, _: f64) {}
    fn verbatim(&mut self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json() {
        let refused =
            Status { allowed: 0, limit: 100, remaining: 0, retry_after: 29_001, reset_after: 60 };
        let mut body = vec![b'{'];
        refused.members(&mut body, Some("a\"b"));
        body.push(b'}');
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let wanted = serde_json::json!({
            "allowed": false, "limit": 100, "remaining": 0, "retryAfterMs": 29_001,
            "resetAfterMs": 60, "rule": "a\"b",
        });
        assert_eq!(body, wanted);
    }

    #[test]
    fn an_answer_in_another_form_is_no_status() {
        let mut collected = Collected::default();
        for n in 0..6 {
            assert_eq!(collected.statuses(0, 1).is_ok(), n == 5);
            collected.integer(n);
        }
        assert_eq!(collected.statuses(0, 1).unwrap_err().status, 500);
        assert!(collected.statuses(1, 1).is_ok());
        assert_eq!(collected.statuses(9, 1).unwrap_err().status, 500);
        collected.error("ERR no");
        collected.error("ERR later");
        assert_eq!(collected.statuses(1, 1).unwrap_err().text, "ERR no");
    }
}
