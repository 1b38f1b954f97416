//! Is a history linearizable? Wing and Gong's search with Lowe's memory, for one register.
//!
//! A history is what clients asked, what they were told, and when, by a clock that only counts. It
//! is linearizable if every operation can be given one instant between its call and its answer, so
//! that one register, asked in that order, gives those answers. Keys are independent of each other,
//! so each is checked alone. An operation whose answer nobody got may have happened at any time
//! after its call, or not at all.

use std::collections::HashSet;

/// What is asked of the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// GET.
    Read,
    /// SET.
    Write(u64),
    /// SET .. GET: the value before is the answer.
    Swap(u64),
    /// INCR: the value after is the answer.
    Increment,
}

/// One operation of one client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) op: Op,
    /// What was answered; for a write without one, nothing counts.
    pub(crate) answer: Option<u64>,
    pub(crate) called: u64,
    /// When it was answered; never, if nobody knows what became of it.
    pub(crate) answered: Option<u64>,
}

/// The register after an operation, if the answer fits.
fn apply(state: Option<u64>, event: &Event) -> Option<Option<u64>> {
    let (next, answer) = match event.op {
        Op::Read => (state, state),
        Op::Write(value) => (Some(value), event.answer),
        Op::Swap(value) => (Some(value), state),
        Op::Increment => {
            let next = state.unwrap_or(0) + 1;
            (Some(next), Some(next))
        }
    };
    (event.answered.is_none() || answer == event.answer).then_some(next)
}

/// Which operations have been given their instant, as bits.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Done(Vec<u64>);

impl Done {
    fn flip(&mut self, index: usize) {
        self.0[index / 64] ^= 1 << (index % 64);
    }
}

/// Calls and answers in the order of time, as a list from which both of an operation are taken
/// out when it gets its instant. Places are counted from 1; 0 is the list itself.
struct Order {
    next: Vec<usize>,
    previous: Vec<usize>,
    /// The operation of each place, and whether it is its call.
    what: Vec<(usize, bool)>,
    /// Where each operation's answer is.
    answers: Vec<usize>,
}

impl Order {
    fn new(history: &[Event]) -> Order {
        let mut moments = Vec::new();
        for (index, event) in history.iter().enumerate() {
            moments.push((event.called, index, true));
            moments.push((event.answered.unwrap_or(u64::MAX), index, false));
        }
        moments.sort_unstable_by_key(|(at, _, called)| (*at, !called));
        let mut answers = vec![0; history.len()];
        let mut what = vec![(0, false)];
        for (place, (_, index, called)) in moments.into_iter().enumerate() {
            if !called {
                answers[index] = place + 1;
            }
            what.push((index, called));
        }
        let places = what.len();
        let next = (1..=places).map(|place| place % places).collect();
        let previous = (0..places).map(|place| (place + places - 1) % places).collect();
        Order { next, previous, what, answers }
    }

    fn take_out(&mut self, call: usize) {
        for place in [call, self.answers[self.what[call].0]] {
            let (previous, next) = (self.previous[place], self.next[place]);
            self.next[previous] = next;
            self.previous[next] = previous;
        }
    }

    fn put_back(&mut self, call: usize) {
        for place in [self.answers[self.what[call].0], call] {
            let (previous, next) = (self.previous[place], self.next[place]);
            self.next[previous] = place;
            self.previous[next] = place;
        }
    }
}

/// Whether there is such an order, from a register that holds `state`.
pub(crate) fn is_linearizable(history: &[Event], mut state: Option<u64>) -> bool {
    let mut order = Order::new(history);
    let mut done = Done(vec![0; history.len() / 64 + 1]);
    let mut seen = HashSet::new();
    let mut path: Vec<(usize, Option<u64>)> = Vec::new();
    let mut place = order.next[0];
    // Those whose answer nobody got need not have happened: they may be left over.
    while order.next[0] != 0 {
        let (index, called) = order.what[place];
        if place != 0 && called {
            let next = apply(state, &history[index]);
            done.flip(index);
            if let Some(next) = next
                && seen.insert((done.clone(), next))
            {
                path.push((place, state));
                state = next;
                order.take_out(place);
                place = order.next[0];
            } else {
                done.flip(index);
                place = order.next[place];
            }
        } else {
            if place != 0 && history[index].answered.is_none() {
                return true;
            }
            let Some((call, before)) = path.pop() else { return false };
            state = before;
            done.flip(order.what[call].0);
            order.put_back(call);
            place = order.next[call];
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(op: Op, answer: Option<u64>, called: u64, answered: u64) -> Event {
        Event { op, answer, called, answered: (answered != 0).then_some(answered) }
    }

    #[test]
    fn what_one_register_could_have_done_is_told_from_what_it_could_not() {
        use Op::{Increment, Read, Swap, Write};
        let (write, late) = (event(Write(1), None, 1, 4), event(Read, Some(1), 5, 6));
        let during = |answer| event(Read, answer, 2, 3);
        for (history, fits) in [
            (vec![write, during(None), late], true),
            (vec![write, during(Some(1)), late], true),
            (vec![write, during(Some(2)), late], false),
            // Once it was seen it stays.
            (vec![write, during(Some(1)), event(Read, None, 5, 6)], false),
            // Nobody knows: it happened, later, or not.
            (vec![event(Write(1), None, 1, 0), event(Read, None, 2, 3), late], true),
            (vec![event(Write(1), None, 1, 0), event(Read, None, 2, 3)], true),
            (vec![event(Write(1), None, 4, 0), event(Read, Some(1), 2, 3)], false),
            (vec![event(Increment, Some(1), 1, 3), event(Increment, Some(2), 2, 4)], true),
            (vec![event(Increment, Some(1), 1, 3), event(Increment, Some(1), 2, 4)], false),
            (vec![event(Increment, Some(2), 1, 2), event(Increment, Some(1), 3, 4)], false),
            (vec![event(Swap(1), None, 1, 9), event(Swap(2), Some(1), 2, 3)], true),
            (vec![event(Swap(1), None, 4, 9), event(Swap(2), Some(1), 2, 3)], false),
            (vec![event(Swap(1), None, 1, 2), event(Swap(2), None, 3, 4)], false),
        ] {
            assert_eq!(is_linearizable(&history, None), fits, "{history:?}");
        }
    }
}
