//! Finds what a path matches in a document.
//!
//! Step by step: from the values that the steps before have come to, to those that this one
//! takes of them. Going down to any depth is a loop with a stack of open containers; those that
//! lie deeper, and so end first, are asked first.

use super::{JsonError, Selector, Slice, Step};
use crate::value::json::document::{Content, Node, Value};

/// How much may be looked at: some passes over the document. `$..*..*..*` and filters within
/// filters would else cost the product of what they match.
#[derive(Debug)]
pub(super) struct Budget(usize);

/// Steps that any path may take.
const LEAST_STEPS: usize = 1_000_000;

/// Steps that a match costs: it takes memory.
const MATCH: usize = 4;

/// Passes over a document that a path may take.
const PASSES: usize = 8;

impl Budget {
    fn for_document(document: &[u8]) -> Budget {
        Budget(LEAST_STEPS.saturating_add(document.len().saturating_mul(PASSES)))
    }

    /// Takes some of it.
    #[inline]
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), JsonError> {
        self.0 = self.0.checked_sub(steps).ok_or(JsonError::Matches)?;
        Ok(())
    }
}

/// What `steps` match from the root of a document on.
pub(super) fn find(document: &[u8], steps: &[Step]) -> Result<Vec<usize>, JsonError> {
    let mut budget = Budget::for_document(document);
    find_from(Node::root(document), steps, &mut budget)
}

/// The first of what `steps` match from `node` on.
pub(super) fn first<'a>(
    node: Node<'a>,
    steps: &[Step],
    budget: &mut Budget,
) -> Result<Option<Node<'a>>, JsonError> {
    if !steps.iter().all(Step::is_static) {
        let found = find_from(node, steps, budget)?;
        return Ok(found.first().map(|at| Node::at(node.document(), *at)));
    }
    let mut at = Some(node);
    for selector in steps.iter().flat_map(|step| &step.selectors) {
        let Some(node) = at else { break };
        at = one(node, selector, budget)?;
    }
    Ok(at)
}

fn find_from(node: Node<'_>, steps: &[Step], budget: &mut Budget) -> Result<Vec<usize>, JsonError> {
    let document = node.document();
    let mut found = vec![node.offset()];
    for step in steps {
        let mut next = Vec::new();
        for at in found {
            let node = Node::at(document, at);
            if step.deep {
                descend(node, &step.selectors, &mut next, budget)?;
            } else {
                select(node, &step.selectors, &mut next, budget)?;
            }
        }
        found = next;
    }
    Ok(found)
}

/// A container that is being gone through.
struct Open<'a> {
    node: Node<'a>,
    at: usize,
    end: usize,
    keyed: bool,
}

impl<'a> Open<'a> {
    fn of(node: Node<'a>) -> Option<Open<'a>> {
        let (content, keyed) = match node.value() {
            Value::Array(content) => (content, false),
            Value::Object(content) => (content, true),
            _ => return None,
        };
        Some(Open { node, at: content.start, end: content.end, keyed })
    }

    fn next(&mut self) -> Option<Node<'a>> {
        if self.at >= self.end {
            return None;
        }
        let mut node = Node::at(self.node.document(), self.at);
        if self.keyed {
            node = Node::at(self.node.document(), node.end());
        }
        self.at = node.end();
        Some(node)
    }
}

/// Selects from a value and from all that it holds, what lies deeper first.
fn descend(
    node: Node<'_>,
    selectors: &[Selector],
    found: &mut Vec<usize>,
    budget: &mut Budget,
) -> Result<(), JsonError> {
    let mut open: Vec<Open<'_>> = Open::of(node).into_iter().collect();
    while let Some(top) = open.last_mut() {
        budget.spend(1)?;
        match top.next() {
            Some(child) => open.extend(Open::of(child)),
            None => {
                select(top.node, selectors, found, budget)?;
                open.pop();
            }
        }
    }
    Ok(())
}

fn select(
    node: Node<'_>,
    selectors: &[Selector],
    found: &mut Vec<usize>,
    budget: &mut Budget,
) -> Result<(), JsonError> {
    for selector in selectors {
        match selector {
            Selector::Name(_) | Selector::Index(_) => {
                if let Some(child) = one(node, selector, budget)? {
                    budget.spend(MATCH)?;
                    found.push(child.offset());
                }
            }
            Selector::Slice(slice) => {
                if let Some(content) = node.as_array() {
                    slice_of(content, *slice, found, budget)?;
                }
            }
            Selector::All => {
                let Some(mut open) = Open::of(node) else { continue };
                while let Some(child) = open.next() {
                    budget.spend(MATCH)?;
                    found.push(child.offset());
                }
            }
            Selector::Filter(filter) => {
                let Some(mut open) = Open::of(node) else { continue };
                while let Some(child) = open.next() {
                    budget.spend(1)?;
                    if filter.holds(child, budget)? {
                        budget.spend(MATCH)?;
                        found.push(child.offset());
                    }
                }
            }
        }
    }
    Ok(())
}

/// What a name or an index takes of a value.
fn one<'a>(
    node: Node<'a>,
    selector: &Selector,
    budget: &mut Budget,
) -> Result<Option<Node<'a>>, JsonError> {
    match (selector, node.value()) {
        (Selector::Name(name), Value::Object(content)) => {
            let mut passed = 1;
            let found = content.members().inspect(|_| passed += 1).find(|(key, _)| *key == &**name);
            budget.spend(passed)?;
            Ok(found.map(|(_, value)| value))
        }
        (Selector::Index(index), Value::Array(content)) => {
            let Some(place) = content.place(*index) else { return Ok(None) };
            budget.spend(place + 1)?;
            Ok(content.values().nth(place))
        }
        _ => Ok(None),
    }
}

/// The values of an array that a range takes, in its order.
fn slice_of(
    content: Content<'_>,
    slice: Slice,
    found: &mut Vec<usize>,
    budget: &mut Budget,
) -> Result<(), JsonError> {
    budget.spend(content.count)?;
    let count = i64::try_from(content.count).unwrap_or(i64::MAX);
    let from_start = |index: i64| if index < 0 { index.saturating_add(count) } else { index };
    let Slice { from, to, step } = slice;
    if step == 0 {
        return Ok(());
    }
    // The places that are taken, in the order of the array: from `low` to before `high`.
    let (low, high) = if step > 0 {
        let low = from.map_or(0, from_start).clamp(0, count);
        (low, to.map_or(count, from_start).clamp(0, count))
    } else {
        let high = from.map_or(count - 1, from_start).clamp(-1, count - 1);
        (to.map_or(-1, from_start).clamp(-1, count - 1) + 1, high + 1)
    };
    let anchor = if step > 0 { low } else { high - 1 };
    let taken = |place: i64| (place - anchor) % step == 0 && (low..high).contains(&place);
    let before = found.len();
    for (place, value) in (0..).zip(content.values()) {
        if taken(place) {
            budget.spend(MATCH)?;
            found.push(value.offset());
        }
    }
    if step < 0 {
        found[before..].reverse();
    }
    Ok(())
}
