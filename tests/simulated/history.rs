//! What was seen of histories, and what has to hold of it.

use std::collections::{BTreeMap, BTreeSet};

/// Keys that writes set besides the list: a number goes to the key of its remainder.
pub(crate) const KEYS: u64 = 5;

/// The whole data of a node in one instant, as far as the list and its keys go.
#[derive(Debug)]
pub(crate) struct Look {
    /// Which history it has a prefix of, and which one.
    pub(crate) id: String,
    pub(crate) offset: u64,
    /// The history that this one began as, and the end of what they share.
    pub(crate) parent: Option<(String, u64)>,
    /// Numbers of the list.
    pub(crate) len: usize,
    /// The last of them.
    pub(crate) tail: Vec<u64>,
    /// What the keys have.
    pub(crate) keys: Vec<Option<u64>>,
    /// How many writes were counted.
    pub(crate) count: u64,
}

/// What does not fit.
#[derive(Debug)]
pub(crate) enum Odd {
    /// Too little of the list was asked for to say.
    Gap,
    /// A promise is broken.
    Broken(String),
}

#[derive(Debug, Default)]
struct History {
    numbers: Vec<u64>,
    /// How long the list was at which offset.
    places: BTreeMap<u64, usize>,
    parent: Option<(String, u64)>,
}

/// A write, by the order of what clients did.
#[derive(Debug, Default)]
struct Write {
    asked: u64,
    answered: Option<u64>,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    known: BTreeMap<String, History>,
    writes: BTreeMap<u64, Write>,
    refused: BTreeSet<u64>,
    moments: u64,
}

impl Histories {
    fn moment(&mut self) -> u64 {
        self.moments += 1;
        self.moments
    }

    /// A number for a write that is about to be asked for.
    pub(crate) fn ask(&mut self) -> u64 {
        let asked = self.moment();
        let number = self.writes.len() as u64 + 1;
        self.writes.insert(number, Write { asked, answered: None });
        number
    }

    /// A write was answered.
    pub(crate) fn answered(&mut self, number: u64) {
        let now = self.moment();
        self.writes.get_mut(&number).unwrap().answered = Some(now);
    }

    /// A write was refused, so it must be nowhere.
    pub(crate) fn refused(&mut self, number: u64) {
        self.refused.insert(number);
    }

    /// How many writes were answered.
    pub(crate) fn answered_writes(&self) -> usize {
        self.writes.values().filter(|write| write.answered.is_some()).count()
    }

    /// Takes in what was seen of a node.
    pub(crate) fn see(&mut self, look: &Look) -> Result<(), Odd> {
        let broken = |why: String| Err(Odd::Broken(format!("{why}: {look:?}")));
        let history = self.known.entry(look.id.clone()).or_default();
        let start = look.len - look.tail.len();
        if start > history.numbers.len() {
            return Err(Odd::Gap);
        }
        let shared = history.numbers.len().min(look.len);
        if shared > start && history.numbers[start..shared] != look.tail[..shared - start] {
            return broken(format!("two histories of one id, {:?}", &history.numbers[start..]));
        }
        if look.len > history.numbers.len() {
            history.numbers.extend(&look.tail[shared - start..]);
        }
        let before = history.places.range(..=look.offset).next_back();
        let after = history.places.range(look.offset..).next();
        let fits = |place: Option<(&u64, &usize)>, fits: fn(usize, usize) -> bool| {
            place.is_none_or(|(at, len)| {
                if *at == look.offset { *len == look.len } else { fits(*len, look.len) }
            })
        };
        if !fits(before, |before, now| before <= now) || !fits(after, |after, now| after >= now) {
            return broken(format!("offsets disagree, {before:?} and {after:?}"));
        }
        history.places.insert(look.offset, look.len);
        history.parent = history.parent.take().or_else(|| look.parent.clone());
        let numbers = &history.numbers[..look.len];
        for (key, value) in (0..KEYS).zip(&look.keys) {
            let last = numbers.iter().rev().find(|number| *number % KEYS == key);
            if last != value.as_ref() {
                return broken(format!("key {key} is not {last:?}, as the list says"));
            }
        }
        if look.count != look.len as u64 {
            return broken("the count is not that of the list".to_owned());
        }
        Ok(())
    }

    /// What has to hold of everything that was seen. `end` is the history with which all ended;
    /// answers how many writes of those that were answered are not in it.
    pub(crate) fn check(&self, end: &str, may_lose: bool) -> u64 {
        for (id, history) in &self.known {
            self.check_order(id, &history.numbers);
            self.check_parent(id, history);
        }
        let end = &self.known[end].numbers;
        if !may_lose {
            for (id, history) in &self.known {
                assert!(
                    end.starts_with(&history.numbers),
                    "{id} is no prefix of what all ended with"
                );
            }
        }
        let there: BTreeSet<u64> = end.iter().copied().collect();
        let answered = self.writes.iter().filter(|(_, write)| write.answered.is_some());
        let lost: Vec<u64> =
            answered.map(|(number, _)| *number).filter(|n| !there.contains(n)).collect();
        assert!(may_lose || lost.is_empty(), "answered and gone: {lost:?}");
        lost.len() as u64
    }

    /// Nothing twice, nothing that was refused, and who was answered before another asked is first.
    fn check_order(&self, id: &str, numbers: &[u64]) {
        let once: BTreeSet<&u64> = numbers.iter().collect();
        assert_eq!(once.len(), numbers.len(), "{id} has a write twice");
        assert_eq!(
            self.refused.iter().find(|n| once.contains(n)),
            None,
            "{id} has a refused write"
        );
        let mut earliest = u64::MAX;
        for number in numbers.iter().rev() {
            let write = &self.writes[number];
            assert!(write.asked < earliest, "{id} has {number} too early");
            earliest = earliest.min(write.answered.unwrap_or(u64::MAX));
        }
    }

    /// A history that began as another has all that they share.
    fn check_parent(&self, id: &str, history: &History) {
        let Some((parent, end)) = &history.parent else { return };
        let Some(parent) = self.known.get(parent) else { return };
        let Some((_, len)) = parent.places.range(..=*end).next_back() else { return };
        // Nobody may have looked at it before it was replaced in turn.
        let shared = (*len).min(history.numbers.len());
        assert_eq!(
            history.numbers[..shared],
            parent.numbers[..shared],
            "{id} has another beginning"
        );
        assert!(history.numbers.len() >= *len, "{id} is shorter than what it began as");
    }
}
