//! SORT and SORT_RO: the elements of a list, a set or a sorted set, in another order, or what
//! is found by them.
//!
//! What a pattern finds may lie anywhere in the database, so a command with one holds every
//! shard, to read. The log has the list that STORE has made, not how: a replica may still hold
//! keys that are due.

use std::cmp::Ordering;
use std::ops::Range;

use super::args::{integer, is, next};
use super::keys::GENERIC;
use super::{Argv, Command, Flags, Keys, Positions, Run};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, Kind, NEVER, ReadView, StrRef, WriteView};
use crate::limits::{SORT_BYTES, SORT_VALUES};
use crate::resp::Reply;
use crate::value::list::List;
use crate::value::packed::Text;
use crate::value::sort::{Pattern, Weight, c_string, number};

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        keys: Keys::Reaching { range: (1, 1, 1), find: named_with_store, beyond: has_pattern },
        complexity: COMPLEXITY,
        ..GENERIC.row(
            "sort",
            "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]",
            "Sorts the elements in a list, a set, or a sorted set, optionally storing the result.",
            "1.0.0",
            -2,
            SORTING.union(Flags::DENYOOM),
            Run::Write(sort),
        )
    },
    Command {
        keys: Keys::Reaching { range: (1, 1, 1), find: named, beyond: has_pattern },
        complexity: COMPLEXITY,
        ..GENERIC.row(
            "sort_ro",
            "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
            "Returns the sorted elements of a list, a set, or a sorted set.",
            "7.0.0",
            -2,
            SORTING,
            Run::Read(sort_ro),
        )
    },
];

const SORTING: Flags = Flags::MOVABLE_KEYS.union(Flags::DANGEROUS).union(Flags::COLLECTIONS);
const COMPLEXITY: &str = "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N).";

/// Elements of the list that STORE makes that go into the log as one command.
const LOGGED: usize = 256;

/// How many words follow an option.
fn words_of(option: &[u8]) -> usize {
    match option {
        _ if is(option, "LIMIT") => 2,
        _ if is(option, "BY") || is(option, "GET") || is(option, "STORE") => 1,
        _ => 0,
    }
}

/// The options and what follows each, as far as there is something.
fn options(argv: Argv<'_>) -> impl Iterator<Item = (&[u8], usize)> {
    let mut at = 2;
    std::iter::from_fn(move || {
        let option = *argv.get(at)?;
        let behind = at + 1;
        at = behind + words_of(option);
        Some((option, behind))
    })
}

/// The key that is sorted.
fn named(argv: Argv<'_>) -> Positions {
    (1..argv.len().min(2)).collect()
}

/// That one, and the last that STORE names.
fn named_with_store(argv: Argv<'_>) -> Positions {
    let mut found = named(argv);
    found.extend(stores_at(argv));
    found
}

/// The position of the key that STORE names.
pub fn stores_at(argv: Argv<'_>) -> Option<usize> {
    options(argv)
        .filter(|(option, at)| is(option, "STORE") && *at < argv.len())
        .last()
        .map(|(_, at)| at)
}

/// The first option that reads other keys than those named, BY or GET, if there is one.
pub fn reaches(argv: Argv<'_>) -> Option<&'static str> {
    options(argv).find_map(|(option, at)| {
        let word = argv.get(at)?;
        match () {
            () if is(option, "BY") && word.contains(&b'*') => Some("BY"),
            () if is(option, "GET") => Some("GET"),
            () => None,
        }
    })
}

/// Whether other keys may be read.
fn has_pattern(argv: Argv<'_>) -> bool {
    options(argv).any(|(option, at)| {
        let word = argv.get(at).filter(|_| is(option, "BY") || is(option, "GET"));
        word.is_some_and(|word| word.contains(&b'*'))
    })
}

/// What is asked for besides the key.
#[derive(Debug, Default)]
struct Wish<'a> {
    /// By what the elements are ordered, if not by themselves.
    by: Option<&'a [u8]>,
    /// BY something that is no pattern: the order stays.
    unsorted: bool,
    /// LIMIT's offset and count.
    limit: Option<(i64, i64)>,
    /// What is answered for each element, if not itself.
    get: Vec<Pattern<'a>>,
    descending: bool,
    alpha: bool,
    store: Option<&'a [u8]>,
}

impl<'a> Wish<'a> {
    /// Reads the options; `may_store` says whether STORE is one.
    fn parse(words: Argv<'a>, may_store: bool) -> Result<Wish<'a>, Fault> {
        let mut wish = Wish::default();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            if at + words_of(word) >= words.len() {
                return Err(Fault::SYNTAX);
            }
            if is(word, "ASC") {
                wish.descending = false;
            } else if is(word, "DESC") {
                wish.descending = true;
            } else if is(word, "ALPHA") {
                wish.alpha = true;
            } else if is(word, "LIMIT") {
                let offset = integer(next(words, &mut at)?)?;
                wish.limit = Some((offset, integer(next(words, &mut at)?)?));
            } else if is(word, "STORE") && may_store {
                wish.store = Some(next(words, &mut at)?);
            } else if is(word, "BY") {
                let by = next(words, &mut at)?;
                wish.by = Some(by);
                wish.unsorted |= !by.contains(&b'*');
            } else if is(word, "GET") {
                wish.get.push(Pattern::parse(next(words, &mut at)?));
            } else {
                return Err(Fault::SYNTAX);
            }
            at += 1;
        }
        Ok(wish)
    }

    /// The part of `len` elements that is answered.
    fn range(&self, len: usize) -> Range<usize> {
        let (offset, count) = self.limit.unwrap_or((0, -1));
        let start = usize::try_from(offset.max(0)).unwrap_or(len).min(len);
        let count = usize::try_from(count).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }

    /// How many values are answered for so many elements.
    ///
    /// # Errors
    /// When they are out of all proportion to what is stored.
    fn values(&self, elements: usize) -> Result<usize, Fault> {
        let each = self.get.len().max(1);
        let values = elements.saturating_mul(each);
        if each > 1 && values > SORT_VALUES {
            return Err(Fault::new("ERR too many GET patterns for so many elements"));
        }
        Ok(values)
    }
}

fn sort_ro(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let wish = Wish::parse(&argv[2..], false)?;
    let elements = elements(view, argv[1], &wish)?;
    answer(view, &elements, &wish, reply)
}

fn sort(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let wish = Wish::parse(&argv[2..], true)?;
    let Some(target) = wish.store else {
        let view = view.as_read();
        let elements = elements(&view, argv[1], &wish)?;
        return answer(&view, &elements, &wish, reply);
    };
    let (list, count) = make_list(&view.as_read(), argv[1], &wish)?;
    if count == 0 {
        if view.discard(target) {
            view.modified(target);
            view.notify(Classes::GENERIC, "del", target);
            view.reword(&[b"DEL", target]);
        }
    } else {
        log_list(view, target, &list);
        view.discard(target);
        view.insert(target, Entry::collection(target, list, NEVER));
        view.modified(target);
        view.notify(Classes::LIST, "sortstore", target);
    }
    reply.integer(count as i64);
    Ok(())
}

fn answer(
    view: &ReadView<'_, '_>,
    elements: &[Text<'_>],
    wish: &Wish<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    reply.array(wish.values(elements.len())?);
    let mut finder = Finder::new(view);
    for element in elements {
        if wish.get.is_empty() {
            reply.bulk(element);
        }
        for pattern in &wish.get {
            match finder.find(*pattern, element) {
                Some(found) => reply.bulk(found.as_ref()),
                None => reply.null(),
            }
        }
    }
    Ok(())
}

/// The list that STORE keeps, and its length. What GET does not find is an empty text in it.
fn make_list(view: &ReadView<'_, '_>, key: &[u8], wish: &Wish<'_>) -> Result<(List, usize), Fault> {
    let elements = elements(view, key, wish)?;
    let count = wish.values(elements.len())?;
    let limits = view.around.config.encodings.list;
    if wish.get.is_empty() {
        let texts = elements.iter().map(|element| &**element);
        return Ok((List::from_texts(texts, limits), count));
    }
    let (mut finder, mut bytes) = (Finder::new(view), 0usize);
    let mut values = Vec::with_capacity(count);
    for element in &elements {
        for pattern in &wish.get {
            let found = finder.find(*pattern, element);
            bytes = bytes.saturating_add(found.as_ref().map_or(0, |found| found.as_ref().len()));
            if bytes > SORT_BYTES {
                return Err(Fault::new("ERR the list would be too large"));
            }
            values.push(found.unwrap_or(Found::Text(Text::EMPTY)));
        }
    }
    Ok((List::from_texts(&values, limits), count))
}

/// Puts a list into the log, in place of what made it.
fn log_list(view: &mut WriteView<'_, '_>, key: &[u8], list: &List) {
    view.reword(&[b"DEL", key]);
    if !view.effects.is_written() {
        return;
    }
    let mut elements = list.as_ref().forward(0).peekable();
    while elements.peek().is_some() {
        let texts: Vec<Text<'_>> =
            elements.by_ref().take(LOGGED).map(|element| element.text()).collect();
        let mut words: Vec<&[u8]> = vec![b"RPUSH", key];
        words.extend(texts.iter().map(|text| &**text));
        view.reword(&words);
    }
}

/// The elements of a key that are answered, in their order; none when there is no key.
fn elements<'a>(
    view: &ReadView<'a, '_>,
    key: &[u8],
    wish: &Wish<'_>,
) -> Result<Vec<Text<'a>>, Fault> {
    let Some(entry) = view.get(key) else { return Ok(Vec::new()) };
    let mut sorting = Sorting {
        by: wish.by.map(Pattern::parse),
        unsorted: wish.unsorted,
        alpha: wish.alpha,
        storing: wish.store.is_some(),
    };
    let all: Vec<Text<'a>> = match entry.kind() {
        Kind::List => {
            let list = entry.as_list().ok_or(Fault::WRONG_TYPE)?;
            if sorting.unsorted {
                let range = wish.range(list.len());
                return Ok(in_place(list.len(), range, wish.descending, |range| {
                    let part = list.forward(range.start).take(range.len());
                    part.map(|element| element.text()).collect()
                }));
            }
            list.forward(0).map(|element| element.text()).collect()
        }
        Kind::SortedSet => {
            let set = entry.as_sorted_set().ok_or(Fault::WRONG_TYPE)?;
            if sorting.unsorted {
                let range = wish.range(set.len());
                return Ok(in_place(set.len(), range, wish.descending, |range| {
                    let part = set.iter().skip(range.start).take(range.len());
                    part.map(|(member, _)| member).collect()
                }));
            }
            set.iter().map(|(member, _)| member).collect()
        }
        Kind::Set => {
            if sorting.unsorted && sorting.storing {
                // A set has no order of its own, and a list needs one.
                sorting = Sorting { by: None, unsorted: false, alpha: true, storing: true };
            }
            entry.as_set().ok_or(Fault::WRONG_TYPE)?.iter().collect()
        }
        _ => return Err(Fault::WRONG_TYPE),
    };
    let range = wish.range(all.len());
    let mut all = if sorting.unsorted { all } else { sorting.sort(view, all, wish.descending)? };
    all.truncate(range.end);
    all.drain(..range.start);
    Ok(all)
}

/// The part of `len` elements that `range` means, counted from the last one if `descending`.
fn in_place<T>(
    len: usize,
    range: Range<usize>,
    descending: bool,
    part: impl FnOnce(Range<usize>) -> Vec<T>,
) -> Vec<T> {
    if !descending {
        return part(range);
    }
    let mut part = part(len - range.end..len - range.start);
    part.reverse();
    part
}

/// By what elements are ordered.
#[derive(Debug, Clone, Copy)]
struct Sorting<'a> {
    by: Option<Pattern<'a>>,
    unsorted: bool,
    alpha: bool,
    /// The order must be the same wherever it is made.
    storing: bool,
}

impl Sorting<'_> {
    fn sort<'a>(
        self,
        view: &ReadView<'a, '_>,
        elements: Vec<Text<'a>>,
        descending: bool,
    ) -> Result<Vec<Text<'a>>, Fault> {
        let mut finder = Finder::new(view);
        let mut weighed = Vec::with_capacity(elements.len());
        for element in elements {
            let found = match self.by {
                None => Some(Found::Text(element)),
                Some(pattern) => finder.find(pattern, &element),
            };
            weighed.push((self.weigh(found)?, element));
        }
        // As in Redis equal numbers are in the order of the elements, and equal texts stay as
        // they are, unless the result is kept.
        let by_element = !self.alpha || self.storing;
        weighed.sort_by(|(a, one), (b, other)| {
            let then = || if by_element { one[..].cmp(&other[..]) } else { Ordering::Equal };
            let order = a.compare(b).then_with(then);
            if descending { order.reverse() } else { order }
        });
        Ok(weighed.into_iter().map(|(_, element)| element).collect())
    }

    fn weigh<'a>(self, found: Option<Found<'a>>) -> Result<Weight<Collated<'a>>, Fault> {
        if self.alpha {
            return Ok(found.map_or(Weight::Nothing, |found| {
                Weight::Text(Collated { found, whole: self.storing })
            }));
        }
        let Some(found) = found else { return Ok(Weight::Number(0.0)) };
        number(found.as_ref())
            .map(Weight::Number)
            .ok_or(Fault::new("ERR One or more scores can't be converted into double"))
    }
}

/// A text as it is compared: like C's strings, unless the result is kept.
#[derive(Debug)]
struct Collated<'a> {
    found: Found<'a>,
    whole: bool,
}

impl AsRef<[u8]> for Collated<'_> {
    fn as_ref(&self) -> &[u8] {
        let text = self.found.as_ref();
        if self.whole { text } else { c_string(text) }
    }
}

/// What a pattern has found.
#[derive(Debug)]
enum Found<'a> {
    Text(Text<'a>),
    Bytes(&'a [u8]),
}

impl AsRef<[u8]> for Found<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Found::Text(text) => text,
            Found::Bytes(bytes) => bytes,
        }
    }
}

/// Looks up what patterns name.
#[derive(Debug)]
struct Finder<'v, 'a, 'k> {
    view: &'v ReadView<'a, 'k>,
    /// The name of the last key.
    name: Vec<u8>,
}

impl<'v, 'a, 'k> Finder<'v, 'a, 'k> {
    fn new(view: &'v ReadView<'a, 'k>) -> Self {
        Finder { view, name: Vec::new() }
    }

    /// The string, or the field of a hash, that a pattern means for an element.
    fn find(&mut self, pattern: Pattern<'_>, element: &Text<'a>) -> Option<Found<'a>> {
        let (prefix, suffix, field) = match pattern {
            Pattern::Element => return Some(Found::Text(*element)),
            Pattern::Nothing => return None,
            Pattern::Key { prefix, suffix, field } => (prefix, suffix, field),
        };
        self.name.clear();
        for part in [prefix, element, suffix] {
            self.name.extend_from_slice(part);
        }
        let entry = self.view.get(&self.name)?;
        match field {
            Some(field) => entry.as_hash()?.live(self.view.around.now).get(field).map(Found::Text),
            None => Some(match entry.as_string()? {
                StrRef::Integer(number) => Found::Text(Text::integer(number)),
                StrRef::Bytes(bytes) => Found::Bytes(bytes),
            }),
        }
    }
}
