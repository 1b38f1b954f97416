//! Named rules: what `@pro` means, whom it lets pass or turns away, and what came of it.
//!
//! A name stands for a rule that can be changed while the server runs, with other rules for single
//! identifiers. The table of names is replaced as a whole when it changes; who takes from a limit keeps
//! what a name meant and compares one number with the table's, so a named rule costs no lock.
//! Rules and lists are no keys: FLUSHALL leaves them, as it leaves functions. They are in the log as the
//! commands that made them, in full copies as facts about the file (`carry`), and with `rules-file` in a
//! file of these commands (`file`), which is written anew behind every change (`keep`).
//!
//! An identifier is what a request says behind FOR, or else its key, or what follows the rule's
//! name and a colon in its key: under `@pro` both `pro:alice` and `alice` are Alice.
//!
//! Left out on purpose: keeping on a disk what was taken and what statistics have counted, and counts
//! over regions: a rule says only whether they are shared (`crate::regions`).

pub mod carry;
pub mod file;
pub mod keep;
pub mod list;
mod network;
pub mod stats;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use eave_ratelimit::Rule;
use eave_ratelimit::regions::Span;
use parking_lot::{Mutex, MutexGuard, RwLock};
use smallvec::{SmallVec, smallvec};
use tokio::sync::watch;

use self::list::{List, Side};
use self::stats::RuleStats;
use crate::fault::Fault;
use crate::hashing::{ByBytes, hash_bytes};
use crate::limits::{LIST_VALUES, NAMED_RULES, RULE_LISTS, RULE_NAME_BYTES, RULE_OVERRIDES};
use crate::regions::Within;

/// The time of what never ends.
pub const FOREVER: u64 = u64::MAX;

/// What a name or an identifier has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// How much may pass.
    pub rule: Rule,
    /// The list whose denied values are turned away.
    pub deny: Option<Box<[u8]>>,
    /// The list whose allowed values pass without being counted.
    pub allow: Option<Box<[u8]>>,
    /// When it is over, in unix milliseconds, or `FOREVER`.
    pub expires_at: u64,
    /// Who decides.
    pub regions: Regions,
}

/// How regions share a rule. A third way, shares that the leader lends, has its place here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Regions {
    /// The leader decides.
    #[default]
    Leader,
    /// Each node decides, by what it has taken and what it last heard of the others.
    Local,
}

impl Regions {
    /// The word behind REGIONS.
    pub fn word(self) -> &'static str {
        match self {
            Regions::Leader => "leader",
            Regions::Local => "local",
        }
    }
}

/// A rule with a name.
#[derive(Debug)]
pub struct Named {
    /// The name, without the `@`.
    pub name: Box<[u8]>,
    /// What it means.
    pub spec: Spec,
    /// Other rules, by identifier: what outlives a change of the rule itself.
    pub overrides: Arc<Overrides>,
    /// What came of it.
    pub stats: Arc<RuleStats>,
    /// What this node admits of one key while reports to other regions are late.
    pub within: Arc<Within>,
}

/// The rule of an identifier, and when it is over.
pub type Own = (Rule, u64);

/// Rules for single identifiers.
#[derive(Debug, Default)]
pub struct Overrides {
    /// How many, so that a rule without any takes no lock.
    count: AtomicUsize,
    /// In parts, so that telling of all holds nobody up for long; made with the first.
    stripes: OnceLock<Box<[Stripe; STRIPES]>>,
}

/// Parts of the identifiers of a rule.
const STRIPES: usize = 64;

type Stripe = RwLock<HashMap<Box<[u8]>, Own, ByBytes>>;

/// All names and lists at one time.
#[derive(Clone, Debug, Default)]
struct Table {
    rules: HashMap<Box<[u8]>, Arc<Named>>,
    lists: HashMap<Box<[u8]>, Arc<List>>,
}

/// See the module's description.
#[derive(Debug)]
pub struct Rules {
    table: ArcSwap<Table>,
    /// Changes whenever the table does; no two tables of a process have the same.
    generation: AtomicU64,
    /// Whether some rule is shared by regions.
    shared: AtomicBool,
    /// How many changes there were, of what a file would have: rules, those of identifiers, lists.
    changes: watch::Sender<u64>,
    changing: Mutex<()>,
}

/// The next generation of a table: of whatever node, since threads remember names of all.
fn next_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            table: ArcSwap::default(),
            generation: AtomicU64::new(next_generation()),
            shared: AtomicBool::new(false),
            changes: watch::Sender::new(0),
            changing: Mutex::default(),
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// This rule decides.
    Rule(Rule),
    /// This rule decides, by counts that nodes share.
    Shared(Rule),
    /// It passes, and is not counted.
    Pass(Rule),
    /// It is turned away.
    Deny(Rule),
}

/// What an argument means that stands where a rule is expected.
#[derive(Debug)]
pub struct Known {
    token: Vec<u8>,
    rule: Rule,
    /// Of a name: what it stands for, in which generation.
    named: Option<(Arc<Named>, u64)>,
    /// The lists that the name has, if there are such lists.
    deny: Option<Arc<List>>,
    allow: Option<Arc<List>>,
}

/// Arguments whose meaning a thread remembers.
const REMEMBERED: usize = 8;

thread_local! {
    static KNOWN: RefCell<[Option<Box<Known>>; REMEMBERED]> = const { RefCell::new([const { None }; REMEMBERED]) };
}

fn slot_of(token: &[u8]) -> usize {
    let [first, .., last] = token else { return token.len() };
    let middle = token[token.len() / 2];
    let mix = usize::from(*first) * 31 + usize::from(*last) * 7 + usize::from(middle);
    (mix + token.len()) % REMEMBERED
}

impl Rules {
    /// Runs `judge` with what an argument means.
    ///
    /// # Errors
    /// `ERR invalid rule '<token>': <why>`, `NORULE` for a name that there is not, and what
    /// `judge` answers.
    #[inline]
    pub fn with<R>(
        &self,
        token: &[u8],
        now: u64,
        judge: impl FnOnce(&Known) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        // Callers mostly ask by few rules again and again; parsing one costs more than deciding.
        let slot = slot_of(token) % REMEMBERED;
        let found = KNOWN.with_borrow_mut(|known| known[slot].take());
        let known = match found {
            Some(known) if known.token == token && self.is_current(&known, now) => known,
            _ => self.look_up(token, now)?,
        };
        let result = judge(&known);
        KNOWN.with_borrow_mut(|all| all[slot] = Some(known));
        result
    }

    #[inline]
    fn is_current(&self, known: &Known, now: u64) -> bool {
        known.named.as_ref().is_none_or(|(named, generation)| {
            *generation == self.generation.load(Ordering::Acquire) && named.spec.expires_at > now
        })
    }

    #[cold]
    fn look_up(&self, token: &[u8], now: u64) -> Result<Box<Known>, Fault> {
        let Some(name) = token.strip_prefix(b"@") else {
            let rule = Rule::parse(token).map_err(|error| {
                Fault::text(format!("ERR invalid rule {}: {error}", shown(token)))
            })?;
            let token = token.to_vec();
            return Ok(Box::new(Known { token, rule, named: None, deny: None, allow: None }));
        };
        // Read before the table: what is older than its number is looked up once more.
        let generation = self.generation.load(Ordering::Acquire);
        let named = self.get(name, now)?;
        let list = |name: &Option<Box<[u8]>>| name.as_ref().and_then(|name| self.list(name));
        Ok(Box::new(Known {
            token: token.to_vec(),
            rule: named.spec.rule,
            deny: list(&named.spec.deny),
            allow: list(&named.spec.allow),
            named: Some((named, generation)),
        }))
    }

    /// The rule of a name.
    ///
    /// # Errors
    /// `NORULE` if there is none, or its time is over.
    pub fn get(&self, name: &[u8], now: u64) -> Result<Arc<Named>, Fault> {
        let table = self.table.load();
        let named = table.rules.get(name).filter(|named| named.spec.expires_at > now);
        named.cloned().ok_or_else(|| no_rule(name))
    }

    /// Every rule of which the time is not over, by name.
    pub fn all(&self, now: u64) -> Vec<Arc<Named>> {
        let table = self.table.load();
        let live = table.rules.values().filter(|named| named.spec.expires_at > now);
        let mut rules: Vec<_> = live.cloned().collect();
        rules.sort_by(|a, b| a.name.cmp(&b.name));
        rules
    }

    /// The list of a name.
    pub fn list(&self, name: &[u8]) -> Option<Arc<List>> {
        self.table.load().lists.get(name).cloned()
    }

    /// The names of all lists, in order.
    pub fn lists(&self) -> Vec<Box<[u8]>> {
        let mut names: Vec<_> = self.table.load().lists.keys().cloned().collect();
        names.sort();
        names
    }

    /// How many changes there were, to look at or to wait for.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Says that something has changed; it is seen already.
    fn has_changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn has_changed_if(&self, removed: bool) {
        if removed {
            self.has_changed();
        }
    }

    /// Begins a change.
    pub fn change(&self) -> Change<'_> {
        Change { rules: self, _changing: self.changing.lock() }
    }

    /// Takes over what another registry has: a full copy's.
    pub fn replace(&self, other: &Rules) {
        let _changing = self.changing.lock();
        self.publish(Table::clone(&other.table.load()));
        self.has_changed();
    }

    /// Whether there is a rule that nodes share.
    #[inline]
    pub fn are_shared(&self) -> bool {
        self.shared.load(Ordering::Relaxed)
    }

    fn publish(&self, table: Table) {
        let shared = table.rules.values().any(|named| named.spec.regions != Regions::Leader);
        self.shared.store(shared, Ordering::Relaxed);
        self.table.store(Arc::new(table));
        self.generation.store(next_generation(), Ordering::Release);
    }
}

/// No rule of that name.
#[cold]
pub fn no_rule(name: &[u8]) -> Fault {
    Fault::text(format!("NORULE no rule named {}", shown(name)))
}

/// Bytes of a rule or a name that an error shows.
const SHOWN_BYTES: usize = 64;

/// Errors are lines of text, and a token is any bytes.
fn shown(token: &[u8]) -> String {
    let cut = if token.len() > SHOWN_BYTES { "..." } else { "" };
    format!("'{}{cut}'", token[..token.len().min(SHOWN_BYTES)].escape_ascii())
}

impl Judgement {
    /// The rule that was asked, whoever has decided.
    #[inline]
    pub fn rule(&self) -> &Rule {
        match self {
            Judgement::Rule(rule)
            | Judgement::Shared(rule)
            | Judgement::Pass(rule)
            | Judgement::Deny(rule) => rule,
        }
    }
}

impl Known {
    /// The rule, unless the identifier or a list says otherwise.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// What becomes of a request by a key, or by `ids` if there are any.
    #[inline]
    pub fn judge(&self, key: &[u8], ids: &[&[u8]], now: u64) -> Judgement {
        match &self.named {
            Some((named, _)) if self.is_particular(named) => {
                let of_key = named.ids_in(key);
                self.judge_one(named, if ids.is_empty() { &of_key } else { ids }, now)
            }
            _ => Judgement::Rule(self.rule),
        }
    }

    /// Whether more than the name decides.
    #[inline]
    fn is_particular(&self, named: &Named) -> bool {
        named.spec.regions != Regions::Leader
            || self.deny.is_some()
            || self.allow.is_some()
            || named.overrides.are_some()
    }

    fn judge_one(&self, named: &Named, ids: &[&[u8]], now: u64) -> Judgement {
        let own = named.overrides.find(ids, now);
        let rule = own.map_or(self.rule, |(rule, _)| rule);
        let has = |list: &Option<Arc<List>>, side| {
            list.as_ref().is_some_and(|list| list.has_any(side, ids, now))
        };
        if has(&self.deny, Side::Deny) {
            Judgement::Deny(rule)
        } else if has(&self.allow, Side::Allow) {
            Judgement::Pass(rule)
        } else {
            match named.spec.regions {
                // What an identifier has may be of a kind whose counts do not add up.
                Regions::Local if Span::of(&rule).is_some() => Judgement::Shared(rule),
                Regions::Leader | Regions::Local => Judgement::Rule(rule),
            }
        }
    }

    /// Whether nodes share it.
    pub fn is_shared(&self) -> bool {
        self.named.as_ref().is_some_and(|(named, _)| named.spec.regions != Regions::Leader)
    }

    /// Notes what one key admits while reports to other regions are late.
    pub fn note_within(&self, within: u64) {
        if let Some((named, _)) = &self.named {
            named.within.note(within);
        }
    }

    /// Counts what came of a request.
    #[inline]
    pub fn count(&self, verdict: stats::Verdict, key: &[u8], ids: &[&[u8]], now: u64) {
        if let Some((named, _)) = &self.named {
            let id = ids.first().copied().unwrap_or_else(|| named.id_in(key));
            named.stats.count(verdict, id, now);
        }
    }
}

impl Named {
    /// The identifier that a key has under this rule.
    #[inline]
    fn id_in<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        let behind = key.strip_prefix(&*self.name);
        behind.and_then(|rest| rest.strip_prefix(b":")).unwrap_or(key)
    }

    /// The identifiers that a key may stand for: the whole of it too.
    fn ids_in<'k>(&self, key: &'k [u8]) -> SmallVec<[&'k [u8]; 2]> {
        let id = self.id_in(key);
        if id.len() == key.len() { smallvec![key] } else { smallvec![id, key] }
    }
}

impl Overrides {
    /// Whether there is any, due ones included.
    #[inline]
    fn are_some(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// The rule of an identifier, and when it is over.
    pub fn get(&self, id: &[u8], now: u64) -> Option<Own> {
        self.find(&[id], now)
    }

    /// The rule of the first of these identifiers that has one.
    fn find(&self, ids: &[&[u8]], now: u64) -> Option<Own> {
        if !self.are_some() {
            return None;
        }
        let mut own = ids.iter().filter_map(|id| self.stripe(id).read().get(*id).copied());
        own.find(|(_, expires_at)| *expires_at > now)
    }

    fn stripes(&self) -> &[Stripe; STRIPES] {
        self.stripes.get_or_init(|| Box::new(std::array::from_fn(|_| Stripe::default())))
    }

    fn stripe(&self, id: &[u8]) -> &Stripe {
        &self.stripes()[(hash_bytes(id) % STRIPES as u64) as usize]
    }

    /// How many of which the time is not over.
    pub fn live(&self, now: u64) -> usize {
        let Some(stripes) = self.stripes.get() else { return 0 };
        let live = |stripe: &Stripe| {
            stripe.read().values().filter(|(_, expires_at)| *expires_at > now).count()
        };
        stripes.iter().map(live).sum()
    }

    /// All of which the time is not over, in order.
    pub fn all(&self, now: u64) -> Vec<(Box<[u8]>, Rule, u64)> {
        let mut all = Vec::new();
        for stripe in self.stripes.get().into_iter().flat_map(|stripes| stripes.iter()) {
            let rules = stripe.read();
            let live = rules.iter().filter(|(_, (_, expires_at))| *expires_at > now);
            all.extend(live.map(|(id, (rule, expires_at))| (id.clone(), *rule, *expires_at)));
        }
        all.sort_by(|a: &(Box<[u8]>, Rule, u64), b| a.0.cmp(&b.0));
        all
    }

    fn insert(&self, id: &[u8], rule: Rule, expires_at: u64) {
        if self.stripe(id).write().insert(id.into(), (rule, expires_at)).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn remove(&self, id: &[u8], now: u64) -> bool {
        let Some((_, expires_at)) = self.stripe(id).write().remove(id) else { return false };
        self.count.fetch_sub(1, Ordering::Relaxed);
        expires_at > now
    }

    fn remove_due(&self, now: u64) {
        for stripe in self.stripes.get().into_iter().flat_map(|stripes| stripes.iter()) {
            let mut rules = stripe.write();
            let before = rules.len();
            rules.retain(|_, (_, expires_at)| *expires_at > now);
            self.count.fetch_sub(before - rules.len(), Ordering::Relaxed);
        }
    }
}

/// A change that is under way: of two at once, neither may start from what was before the other.
#[derive(Debug)]
pub struct Change<'r> {
    rules: &'r Rules,
    _changing: MutexGuard<'r, ()>,
}

impl Change<'_> {
    /// Says what a name means from now on. What its identifiers have of their own stays.
    ///
    /// # Errors
    /// When there are too many names.
    pub fn set(&self, name: &[u8], spec: Spec, now: u64) -> Result<(), Fault> {
        let mut table = Table::clone(&self.rules.table.load());
        table.rules.retain(|_, named| named.spec.expires_at > now);
        if table.rules.len() >= NAMED_RULES && !table.rules.contains_key(name) {
            return Err(Fault::new("ERR too many named rules"));
        }
        let old = table.rules.remove(name);
        let (overrides, stats) =
            old.map(|old| (Arc::clone(&old.overrides), Arc::clone(&old.stats))).unwrap_or_default();
        // What another rule has admitted says nothing of this one.
        let named = Named { name: name.into(), spec, overrides, stats, within: Arc::default() };
        table.rules.insert(name.into(), Arc::new(named));
        self.rules.publish(table);
        self.rules.has_changed();
        Ok(())
    }

    /// Says what a name means for one identifier from now on.
    ///
    /// # Errors
    /// `NORULE` when there is no such name, and when there are too many identifiers.
    pub fn set_for(
        &self,
        name: &[u8],
        id: &[u8],
        (rule, expires_at): Own,
        now: u64,
    ) -> Result<(), Fault> {
        let named = self.rules.get(name, now)?;
        if self.overrides() >= RULE_OVERRIDES {
            self.rules.table.load().rules.values().for_each(|n| n.overrides.remove_due(now));
            if self.overrides() >= RULE_OVERRIDES {
                return Err(Fault::new("ERR too many rules for identifiers"));
            }
        }
        named.overrides.insert(id, rule, expires_at);
        self.rules.has_changed();
        Ok(())
    }

    /// How many rules for identifiers there are.
    fn overrides(&self) -> usize {
        let table = self.rules.table.load();
        table.rules.values().map(|named| named.overrides.count.load(Ordering::Relaxed)).sum()
    }

    /// Forgets a name and all its identifiers; answers whether it was there.
    pub fn remove(&self, name: &[u8], now: u64) -> bool {
        let mut table = Table::clone(&self.rules.table.load());
        let removed = table.rules.remove(name);
        self.rules.publish(table);
        let removed = removed.is_some_and(|named| named.spec.expires_at > now);
        self.rules.has_changed_if(removed);
        removed
    }

    /// Forgets what a name means for an identifier; answers whether it was there.
    pub fn remove_for(&self, name: &[u8], id: &[u8], now: u64) -> bool {
        let removed = self.rules.get(name, now).is_ok_and(|named| named.overrides.remove(id, now));
        self.rules.has_changed_if(removed);
        removed
    }

    /// Adds values to a side of a list; answers how many are new.
    ///
    /// # Errors
    /// When there are too many lists or values; nothing has changed then.
    pub fn list_add(
        &self,
        name: &[u8],
        side: Side,
        values: &[&[u8]],
        expires_at: u64,
        now: u64,
    ) -> Result<usize, Fault> {
        let table = self.rules.table.load();
        let count = || table.lists.values().map(|list| list.len()).sum::<usize>();
        let mut all = count();
        if all + values.len() > LIST_VALUES {
            table.lists.values().for_each(|list| list.remove_due(now));
            all = count();
        }
        list::check(all, values)?;
        if let Some(list) = table.lists.get(name) {
            let added = list.add(side, values, expires_at, now);
            self.rules.has_changed();
            return Ok(added);
        }
        let mut table = Table::clone(&table);
        if table.lists.len() >= RULE_LISTS {
            table.lists.retain(|_, list| {
                list.remove_due(now);
                !list.is_empty()
            });
        }
        if table.lists.len() >= RULE_LISTS {
            return Err(Fault::new("ERR too many lists"));
        }
        let list = Arc::new(List::default());
        let added = list.add(side, values, expires_at, now);
        table.lists.insert(name.into(), list);
        self.rules.publish(table);
        self.rules.has_changed();
        Ok(added)
    }

    /// Removes values from a side of a list, or all of them if none are named; answers how many
    /// were there.
    pub fn list_remove(&self, name: &[u8], side: Side, values: &[&[u8]], now: u64) -> usize {
        let Some(list) = self.rules.list(name) else { return 0 };
        let removed = list.remove(side, values, now);
        if list.is_empty() {
            let mut table = Table::clone(&self.rules.table.load());
            table.lists.remove(name);
            self.rules.publish(table);
        }
        self.rules.has_changed_if(removed > 0);
        removed
    }
}

/// Checks the name of a rule or a list.
///
/// # Errors
/// When it is empty, too long, or has other characters than visible ASCII without quotes.
pub fn check_name(name: &[u8]) -> Result<(), Fault> {
    let fits = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if (1..=RULE_NAME_BYTES).contains(&name.len()) && name.iter().all(fits) {
        return Ok(());
    }
    Err(Fault::text(format!(
        "ERR invalid name {}: from 1 to {RULE_NAME_BYTES} visible ASCII characters, no quotes and \
         no backslashes",
        shown(name)
    )))
}

/// `None` for a time that never comes.
pub fn remaining_ms(expires_at: u64, now: u64) -> Option<u64> {
    (expires_at != FOREVER).then(|| expires_at.saturating_sub(now))
}
