//! Sorts as much of a slice as is wanted, and leaves equal elements in the order in which Redis
//! leaves them.
//!
//! The quicksort of Bentley and McIlroy, "Engineering a Sort Function" (1993), which does not go
//! into parts that lie outside of the wanted range. It is not stable, and which of equal
//! elements come first shows in answers with a limit. There are orders for which it takes
//! quadratic time; then another sort goes on, and equal elements come as they may.

use std::cmp::Ordering;
use std::ops::Range;

/// Elements below which parts are sorted by insertion.
const FEW: usize = 7;

/// Elements from which the pivot is a median of nine.
const MANY: usize = 40;

/// How often each element may be compared with a pivot, beside the logarithm of their number.
const ROUNDS: usize = 4;

/// Makes the elements of `wanted` those that are there when all are in order.
pub fn partial_sort<T>(
    items: &mut [T],
    wanted: Range<usize>,
    compare: impl Fn(&T, &T) -> Ordering,
) {
    let depth = usize::BITS - items.len().leading_zeros();
    let mut budget = items.len().saturating_mul(ROUNDS * depth as usize);
    let mut parts: Vec<_> = std::iter::once(0..items.len()).collect();
    while let Some(part) = parts.pop() {
        if part.len() < FEW {
            insertion_sort(&mut items[part], &compare);
            continue;
        }
        if budget < part.len() {
            items[part].sort_unstable_by(&compare);
            continue;
        }
        budget -= part.len();
        let (less, greater) = partition(&mut items[part.clone()], &compare);
        let end = part.end;
        parts.extend(
            [part.start..part.start + less, end - greater..end]
                .into_iter()
                .filter(|part| part.len() > 1)
                .filter(|part| part.start < wanted.end && wanted.start < part.end),
        );
    }
}

fn insertion_sort<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) {
    for end in 1..items.len() {
        let mut at = end;
        while at > 0 && compare(&items[at - 1], &items[at]).is_gt() {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// Puts what is less than a pivot first and what is greater last; answers how many those are.
fn partition<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) -> (usize, usize) {
    let len = items.len();
    items.swap(0, pivot(items, compare));
    // Those equal to the pivot are gathered at both ends first.
    let (mut front, mut low) = (1, 1);
    let (mut high, mut back) = (len, len);
    loop {
        while low < high {
            let order = compare(&items[low], &items[0]);
            if order.is_gt() {
                break;
            }
            if order.is_eq() {
                items.swap(front, low);
                front += 1;
            }
            low += 1;
        }
        while low < high {
            let order = compare(&items[high - 1], &items[0]);
            if order.is_lt() {
                break;
            }
            if order.is_eq() {
                items.swap(high - 1, back - 1);
                back -= 1;
            }
            high -= 1;
        }
        if low >= high {
            break;
        }
        items.swap(low, high - 1);
        low += 1;
        high -= 1;
    }
    // Then they are moved to the middle.
    let (less, greater) = (low - front, back - low);
    let moved = front.min(less);
    swap_ranges(items, 0, low - moved, moved);
    let moved = greater.min(len - back);
    swap_ranges(items, low, len - moved, moved);
    (less, greater)
}

fn swap_ranges<T>(items: &mut [T], from: usize, to: usize, count: usize) {
    (0..count).for_each(|at| items.swap(from + at, to + at));
}

/// The index of the element that the others are compared with.
fn pivot<T>(items: &[T], compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let len = items.len();
    let median = |a: usize, b: usize, c: usize| {
        let order = |a: usize, b: usize| compare(&items[a], &items[b]);
        if order(a, b).is_lt() {
            if order(b, c).is_lt() {
                b
            } else if order(a, c).is_lt() {
                c
            } else {
                a
            }
        } else if order(b, c).is_gt() {
            b
        } else if order(a, c).is_lt() {
            a
        } else {
            c
        }
    };
    let middle = len / 2;
    if len <= FEW {
        return middle;
    }
    let last = len - 1;
    if len <= MANY {
        return median(0, middle, last);
    }
    let step = len / 8;
    median(
        median(0, step, 2 * step),
        median(middle - step, middle, middle + step),
        median(last - 2 * step, last - step, last),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_wanted_is_in_order(
            mut items in prop::collection::vec(0u16..500, 0..300),
            few in any::<bool>(), a in 0usize..300, b in 0usize..300,
        ) {
            if few {
                items.iter_mut().for_each(|item| *item %= 4);
            }
            let wanted = a.min(b).min(items.len())..a.max(b).min(items.len());
            let mut sorted = items.clone();
            sorted.sort_unstable();
            partial_sort(&mut items, wanted.clone(), u16::cmp);
            prop_assert_eq!(&items[wanted.clone()], &sorted[wanted]);
            items.sort_unstable();
            prop_assert_eq!(items, sorted);
        }
    }

    #[test]
    fn many_in_any_order_take_little_time() {
        let compared = std::cell::Cell::new(0u64);
        for make in [|at: u64| at, |at| 100_000 - at, |at| at % 2, |at| at ^ 0x5555, |_| 0] {
            let mut items: Vec<u64> = (0..100_000).map(make).collect();
            partial_sort(&mut items, 0..100_000, |a, b| {
                compared.set(compared.get() + 1);
                a.cmp(b)
            });
            assert!(items.is_sorted());
        }
        assert!(compared.get() < 5 * 100_000 * 17 * 8, "{}", compared.get());
    }
}
