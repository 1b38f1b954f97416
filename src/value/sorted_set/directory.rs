//! The order of the runs of a large sorted set: which run holds which ranks.
//!
//! A head tells of one run what a search needs: its first score, how many elements it has, and
//! where it is kept. Heads lie in groups of at most `GROUP`, so that a run that comes or goes
//! moves little. A search halves groups, then heads; a rank adds up the groups in front, then
//! the heads, which at ten million elements is some hundreds of each. Runs have some dozens of
//! elements, so this is flat where a tree would be three levels deep.
//!
//! No run is empty, and no group is. Left out on purpose: the runs themselves.

/// Heads of the largest group.
const GROUP: usize = 512;

/// What is known of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Head {
    /// The score of its first element.
    pub(super) first: f64,
    /// The number under which it is kept.
    pub(super) run: u32,
    /// How many elements it has.
    pub(super) len: u32,
}

/// Heads of neighbours.
#[derive(Debug, Clone, Default)]
struct Group {
    heads: Vec<Head>,
    /// Elements of all its runs.
    len: usize,
}

/// A head's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    group: usize,
    head: usize,
}

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub(super) struct Directory {
    groups: Vec<Group>,
}

impl Directory {
    pub(super) fn heap_bytes(&self) -> usize {
        let heads: usize = self.groups.iter().map(|group| group.heads.capacity()).sum();
        self.groups.capacity() * size_of::<Group>() + heads * size_of::<Head>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(super) fn head(&self, place: Place) -> Head {
        self.groups[place.group].heads[place.head]
    }

    /// Whether no run comes behind this one.
    pub(super) fn is_last(&self, place: Place) -> bool {
        place.group + 1 == self.groups.len()
            && place.head + 1 == self.groups[place.group].heads.len()
    }

    /// Adds the first run of all.
    pub(super) fn start(&mut self, head: Head) -> Place {
        self.groups = vec![Group { heads: vec![head], len: head.len as usize }];
        Place { group: 0, head: 0 }
    }

    /// The last run whose first element lies in front of a cut, as `is_before` says of heads;
    /// the first run when there is none. There is a run.
    pub(super) fn find(&self, mut is_before: impl FnMut(Head) -> bool) -> Place {
        let group = self.groups.partition_point(|group| is_before(group.heads[0]));
        let group = group.saturating_sub(1);
        let head = self.groups[group].heads.partition_point(|head| is_before(*head));
        Place { group, head: head.saturating_sub(1) }
    }

    /// How many elements lie in front of a run.
    pub(super) fn rank(&self, place: Place) -> usize {
        let groups: usize = self.groups[..place.group].iter().map(|group| group.len).sum();
        let heads = &self.groups[place.group].heads[..place.head];
        groups + heads.iter().map(|head| head.len as usize).sum::<usize>()
    }

    /// The run with the element of a rank, and how many of the run lie in front of it.
    pub(super) fn by_rank(&self, rank: usize) -> Option<(Place, usize)> {
        let mut left = rank;
        let group = self.groups.iter().position(|group| take(&mut left, group.len))?;
        let heads = self.groups[group].heads.iter();
        let head = { heads }.position(|head| take(&mut left, head.len as usize))?;
        Some((Place { group, head }, left))
    }

    /// The runs from one on, upwards.
    pub(super) fn from(&self, place: Place) -> impl Iterator<Item = Head> {
        let (first, behind) = self.groups[place.group..].split_at(1);
        let heads = behind.iter().flat_map(|group| &group.heads);
        first[0].heads[place.head..].iter().chain(heads).copied()
    }

    /// The runs from one on, downwards.
    pub(super) fn down_from(&self, place: Place) -> impl Iterator<Item = Head> {
        let before = self.groups[..place.group].iter().rev();
        let heads = before.flat_map(|group| group.heads.iter().rev());
        self.groups[place.group].heads[..=place.head].iter().rev().chain(heads).copied()
    }

    /// Every run, upwards.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Head> {
        self.groups.iter().flat_map(|group| &group.heads).copied()
    }

    /// Says what has become of a run.
    pub(super) fn put(&mut self, place: Place, first: f64, len: usize) {
        let group = &mut self.groups[place.group];
        let head = &mut group.heads[place.head];
        group.len = group.len - head.len as usize + len;
        (head.first, head.len) = (first, len as u32);
    }

    /// Adds a run behind another one.
    pub(super) fn insert_behind(&mut self, place: Place, head: Head) {
        let group = &mut self.groups[place.group];
        group.heads.insert(place.head + 1, head);
        group.len += head.len as usize;
        if group.heads.len() > GROUP {
            // What grows at the end is left full.
            let last = place.group + 1 == self.groups.len() && place.head + 2 > GROUP;
            self.split(place.group, if last { GROUP } else { GROUP / 2 });
        }
    }

    fn split(&mut self, at: usize, keep: usize) {
        let group = &mut self.groups[at];
        let heads = group.heads.split_off(keep);
        let len = heads.iter().map(|head| head.len as usize).sum();
        group.len -= len;
        self.groups.insert(at + 1, Group { heads, len });
    }

    /// Takes a run out, which may be the last of its group.
    pub(super) fn remove(&mut self, place: Place) {
        let group = &mut self.groups[place.group];
        group.len -= group.heads.remove(place.head).len as usize;
        if group.heads.is_empty() {
            self.groups.remove(place.group);
        } else if group.heads.len() <= GROUP / 8 {
            self.join(place.group);
        }
    }

    /// Puts the group behind a small one into it, if together they are not large.
    fn join(&mut self, at: usize) {
        let Some(next) = self.groups.get(at + 1) else { return };
        if self.groups[at].heads.len() + next.heads.len() <= GROUP / 2 {
            let next = self.groups.remove(at + 1);
            let group = &mut self.groups[at];
            group.heads.extend(next.heads);
            group.len += next.len;
        }
    }

    /// The run behind another one of the same group.
    pub(super) fn next_in_group(&self, place: Place) -> Option<Place> {
        let next = Place { head: place.head + 1, ..place };
        (next.head < self.groups[place.group].heads.len()).then_some(next)
    }

    /// The run in front of another one of the same group.
    pub(super) fn previous_in_group(&self, place: Place) -> Option<Place> {
        Some(Place { head: place.head.checked_sub(1)?, ..place })
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        for group in &self.groups {
            assert!(!group.heads.is_empty() && group.heads.len() <= GROUP);
            assert_eq!(group.len, group.heads.iter().map(|head| head.len as usize).sum::<usize>());
        }
        assert!(self.iter().is_sorted_by(|a, b| super::order(a.first, b.first).is_le()));
    }
}

/// Whether what is left lies within `len`; otherwise it is that much less.
fn take(left: &mut usize, len: usize) -> bool {
    if *left < len {
        return true;
    }
    *left -= len;
    false
}
