//! Decides whether a condition of a path holds for a value.
//!
//! A missing value equals nothing and is less than nothing. Numbers compare as numbers, whatever
//! their form, strings by their bytes; values of different kinds are unequal and in no order. Of
//! a path that matches several values the first counts.

use std::cmp::Ordering;

use regex_lite::Regex;

use super::find::{Budget, first};
use super::read::compile;
use super::{JsonError, Step};
use crate::value::json::document::{Node, Value};

/// A condition: what is decided, one after the other, each on what came before.
#[derive(Debug)]
pub(super) struct Filter(Vec<Op>);

#[derive(Debug)]
pub(super) enum Op {
    /// Whether there is such a value.
    Exists(Operand),
    /// How two values compare.
    Compare(Operand, Comparison, Operand),
    /// The contrary of the last.
    Not,
    /// Both of the last two.
    And,
    /// One of the last two.
    Or,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Matches,
}

#[derive(Debug)]
pub(super) enum Operand {
    /// A path from the value in question, or from the whole document.
    Path { from_root: bool, steps: Vec<Step> },
    /// A value, as a document.
    Literal(Vec<u8>),
    /// What `=~` looks for.
    Pattern(Pattern),
}

/// What `=~` looks for.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) regex: Regex,
    /// Steps of the budget for each byte of a text.
    pub(super) cost: usize,
}

impl Filter {
    pub(super) fn new(ops: Vec<Op>) -> Filter {
        Filter(ops)
    }

    /// Whether it holds for `node`.
    pub(super) fn holds(&self, node: Node<'_>, budget: &mut Budget) -> Result<bool, JsonError> {
        let mut decided: smallvec::SmallVec<[bool; 8]> = smallvec::SmallVec::new();
        for op in &self.0 {
            let next = match op {
                Op::Exists(Operand::Literal(value)) => {
                    Node::root(value).value() != Value::Boolean(false)
                }
                Op::Exists(operand) => operand.of(node, budget)?.is_some(),
                Op::Compare(left, comparison, right) => {
                    let (left, comparison) = (left.of(node, budget)?, *comparison);
                    match right {
                        Operand::Pattern(pattern) => matches(left, pattern, budget)?,
                        right => compare(left, comparison, right.of(node, budget)?, budget)?,
                    }
                }
                Op::Not => !decided.pop().unwrap_or_default(),
                Op::And | Op::Or => {
                    let sides = (decided.pop(), decided.pop());
                    let (one, two) = (sides.0.unwrap_or_default(), sides.1.unwrap_or_default());
                    if matches!(op, Op::And) { one && two } else { one || two }
                }
            };
            decided.push(next);
        }
        Ok(decided.pop().unwrap_or_default())
    }
}

impl Operand {
    /// The value that it is for `node`.
    fn of<'a>(
        &'a self,
        node: Node<'a>,
        budget: &mut Budget,
    ) -> Result<Option<Node<'a>>, JsonError> {
        match self {
            Operand::Path { from_root: true, steps } => {
                first(Node::root(node.document()), steps, budget)
            }
            Operand::Path { from_root: false, steps } => first(node, steps, budget),
            Operand::Literal(value) => Ok(Some(Node::root(value))),
            Operand::Pattern(_) => Ok(None),
        }
    }
}

fn compare(
    left: Option<Node<'_>>,
    comparison: Comparison,
    right: Option<Node<'_>>,
    budget: &mut Budget,
) -> Result<bool, JsonError> {
    if comparison == Comparison::Matches {
        let pattern = right.and_then(Node::as_string);
        let pattern = pattern.and_then(|pattern| std::str::from_utf8(pattern).ok());
        // Compiled for each value: it costs what some hundred steps do.
        budget.spend(pattern.map_or(0, |pattern| 100 + 10 * pattern.len()))?;
        return match pattern.and_then(compile) {
            Some(pattern) => matches(left, &pattern, budget),
            None => Ok(false),
        };
    }
    let (Some(left), Some(right)) = (left, right) else {
        return Ok(comparison == Comparison::Unequal);
    };
    let order = order(left.value(), right.value());
    let equal = match order {
        Some(order) => order == Ordering::Equal,
        None => {
            budget.spend((left.end() - left.offset()).min(right.end() - right.offset()))?;
            left.equals(right)
        }
    };
    Ok(match comparison {
        Comparison::Equal => equal,
        Comparison::Unequal => !equal,
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::AtMost => order.is_some_and(Ordering::is_le),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::AtLeast => order.is_some_and(Ordering::is_ge),
        Comparison::Matches => false,
    })
}

/// How two values stand to each other, where there is an order.
fn order(left: Value<'_>, right: Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Boolean(left), Value::Boolean(right)) => Some(left.cmp(&right)),
        _ => match (integer(left), integer(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => float(left)?.partial_cmp(&float(right)?),
        },
    }
}

fn integer(value: Value<'_>) -> Option<i128> {
    match value {
        Value::Integer(number) => Some(number.into()),
        Value::Unsigned(number) => Some(number.into()),
        _ => None,
    }
}

fn float(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Float(number) => Some(number),
        value => integer(value).map(|number| number as f64),
    }
}

/// Whether a string has something that fits a pattern.
fn matches(
    node: Option<Node<'_>>,
    pattern: &Pattern,
    budget: &mut Budget,
) -> Result<bool, JsonError> {
    let Some(text) = node.and_then(Node::as_string) else { return Ok(false) };
    budget.spend(text.len().saturating_mul(pattern.cost))?;
    Ok(std::str::from_utf8(text).is_ok_and(|text| pattern.regex.is_match(text)))
}
