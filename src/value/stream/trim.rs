//! Trimming: what MAXLEN and MINID take away.

use super::node::Place;
use super::{Id, Stream};

/// What is to be left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// So many entries.
    Length(u64),
    /// Entries from this id on.
    Id(Id),
}

/// How close to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To the entry.
    Exact,
    /// To the node, and no more than so many entries.
    Nodes(Option<u64>),
}

/// What becomes of groups for which an entry is pending that is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum References {
    /// They keep it pending.
    #[default]
    Keep,
    /// It is pending no longer.
    Drop,
    /// Only what all groups have read and acknowledged goes.
    Acknowledged,
}

/// A trim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    /// What is to be left.
    pub until: Until,
    /// How close to that.
    pub reach: Reach,
    /// What becomes of references.
    pub references: References,
}

/// The oldest entries, as so many whole nodes and so many entries of the next.
#[derive(Debug, Clone, Copy, Default)]
struct Cut {
    nodes: usize,
    entries: usize,
    /// How many that is in all.
    removed: u64,
}

impl Stream {
    /// Takes the oldest entries away; answers how many.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        if trim.references == References::Acknowledged {
            return self.trim_acknowledged(trim);
        }
        let cut = self.cut(trim);
        if trim.references == References::Drop {
            // What is pending of what goes, and of nothing else.
            let oldest = self.entries(Id::MIN, Id::MAX).map(|entry| entry.id);
            let gone: Vec<Id> = oldest.take(cut.removed as usize).collect();
            gone.into_iter().for_each(|id| self.drop_references(id));
        }
        for _ in 0..cut.nodes {
            self.nodes.pop_first();
        }
        self.len = self.len.saturating_sub(cut.removed);
        if let Some(mut node) = self.nodes.first_entry().filter(|_| cut.entries > 0) {
            let first = *node.key();
            let places: Vec<Place> = node.get().live_places(first).take(cut.entries).collect();
            // A node of which only deleted entries are left stays, as in Redis.
            places.into_iter().for_each(|place| node.get_mut().delete(place));
        }
        cut.removed
    }

    fn cut(&self, Trim { until, reach, .. }: Trim) -> Cut {
        let mut cut = Cut::default();
        for (first, node) in &self.nodes {
            let live = node.live as u64;
            // A node without entries would fit any length.
            if matches!(until, Until::Length(len) if self.len.saturating_sub(cut.removed) <= len) {
                break;
            }
            let whole = match until {
                Until::Length(len) => self.len.saturating_sub(cut.removed + live) >= len,
                Until::Id(id) => node.places(*first).last().is_none_or(|last| last.id < id),
            };
            match reach {
                Reach::Nodes(Some(most)) if cut.removed.saturating_add(live) > most => break,
                Reach::Nodes(_) if !whole => break,
                _ => {}
            }
            if !whole {
                cut.entries = match until {
                    // Less than the whole node.
                    Until::Length(len) => {
                        self.len.saturating_sub(cut.removed).saturating_sub(len) as usize
                    }
                    // A deleted entry ends it too, and since XSETID can go back behind one,
                    // others of lower ids may follow.
                    Until::Id(id) => {
                        let older = node.places(*first).take_while(|place| place.id < id);
                        older.filter(|place| !place.deleted).count()
                    }
                };
                cut.removed += cut.entries as u64;
                break;
            }
            cut.nodes += 1;
            cut.removed += live;
        }
        cut
    }

    fn trim_acknowledged(&mut self, trim: Trim) -> u64 {
        let (gone, has_holes) = match trim.reach {
            Reach::Exact => self.acknowledged(trim.until),
            Reach::Nodes(_) => (self.acknowledged_nodes(trim), false),
        };
        for id in &gone {
            if let Some((first, place)) = self.find(*id) {
                self.delete(first, place);
            }
        }
        // What goes from between others is missed by who counts what is left to read.
        if let Some(last) = gone.last().filter(|_| has_holes) {
            self.past.max_deleted = self.past.max_deleted.max(*last);
        }
        gone.len() as u64
    }

    /// The oldest entries that may go, and whether others stay between them.
    fn acknowledged(&self, until: Until) -> (Vec<Id>, bool) {
        let (mut gone, mut stays, mut has_holes) = (Vec::new(), false, false);
        for entry in self.entries(Id::MIN, Id::MAX) {
            let enough = match until {
                Until::Length(len) => self.len.saturating_sub(gone.len() as u64) <= len,
                Until::Id(id) => entry.id >= id,
            };
            if enough {
                break;
            }
            if self.is_acknowledged(entry.id) {
                gone.push(entry.id);
                has_holes |= stays;
            } else {
                stays = true;
            }
        }
        (gone, has_holes)
    }

    /// The entries of the whole nodes in front that may go.
    fn acknowledged_nodes(&self, trim: Trim) -> Vec<Id> {
        let mut gone = Vec::new();
        for (first, node) in self.nodes.iter().take(self.cut(trim).nodes) {
            let len = gone.len();
            gone.extend(node.live_places(*first).map(|place| place.id));
            if !gone[len..].iter().all(|id| self.is_acknowledged(*id)) {
                gone.truncate(len);
                break;
            }
        }
        gone
    }
}
