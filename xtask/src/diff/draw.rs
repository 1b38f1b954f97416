//! Draws epochs: a short life of a keyspace, from empty to compared, out of one seed.
//!
//! Each epoch has its own protocol, number of keys, thresholds and mix of commands, so that
//! some never delete, some only meet errors, and some live at a threshold (swarm testing).
//!
//! Left out on purpose: knowledge of what the commands do. A wrong guess of ours about Redis
//! would hide what both servers do with it.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow};

use super::grammar::{COMPANIONS, FAMILIES, Family, How, Line, Row, Step};
use super::hll;
use super::spoil;
use super::template::Template;
use super::words::{Draw, POOLS, Scale};

/// Keys of types other than the epoch's, so that some commands meet the wrong one.
const STRANGERS: [[&[u8]; 4]; 6] = [
    [b"SET", b"s0", b"text", b"KEEPTTL"],
    [b"HSET", b"h0", b"field", b"value"],
    [b"RPUSH", b"l0", b"element", b"2"],
    [b"SADD", b"t0", b"member", b"2"],
    [b"ZADD", b"z0", b"1", b"member"],
    [b"SETRANGE", b"b0", b"1", b"bits"],
];

/// A family with its templates parsed.
struct Parsed {
    family: &'static Family,
    rows: Vec<ParsedRow>,
}

struct ParsedRow {
    row: &'static Row,
    template: Template,
    then: Vec<(Template, How)>,
}

/// Draws the epochs of one type.
pub(super) struct Drawer {
    main: Parsed,
    others: Vec<Parsed>,
    /// Directives that both servers know.
    directives: Vec<(&'static str, &'static [&'static str])>,
    /// Commands that both servers know.
    known: BTreeSet<String>,
}

/// The commands of one epoch.
pub(super) struct Epoch {
    pub(super) seed: u64,
    pub(super) resp3: bool,
    pub(super) steps: Vec<Step>,
}

impl Drawer {
    /// Parses the rows of a family and of those it is mixed with.
    ///
    /// # Errors
    /// When a template is wrong; a test sees to it that none is.
    pub(super) fn new(
        family: &'static Family,
        known: BTreeSet<String>,
        directives: &BTreeSet<String>,
    ) -> Result<Self> {
        let mixed = if is_companion(family) { FAMILIES.to_vec() } else { COMPANIONS.to_vec() };
        // Commands for strings damage HyperLogLogs, which Redis notices much later than Eave;
        // they meet in epochs of their own only.
        let apart = |other: &Family| other.name == family.name || other.name == hll::FAMILY.name;
        let others = mixed.into_iter().filter(|other| !apart(other));
        let others = others.map(parse).collect::<Result<Vec<_>>>()?;
        let main = parse(family)?;
        let of_all = others.iter().chain([&main]).flat_map(|parsed| parsed.family.directives);
        let directives = of_all.filter(|(name, _)| directives.contains(*name)).copied().collect();
        Ok(Self { main, others, directives, known })
    }

    /// The commands of the rows that a server lacks.
    pub(super) fn lacking(&self) -> BTreeSet<String> {
        let mut draw = Draw::new(1, Scale { keys: 4, words: 8 }, self.main.family.pool);
        let mut names = BTreeSet::new();
        for row in &self.main.rows {
            for _ in 0..8 {
                names.extend(self.lines(row, &mut draw).iter().map(Line::name));
            }
        }
        names.difference(&self.known).cloned().collect()
    }

    /// The epoch of a seed.
    pub(super) fn epoch(&self, seed: u64) -> Epoch {
        let mut draw = Draw::new(seed, Scale { keys: 1, words: 1 }, self.main.family.pool);
        draw.scale.keys = *draw.random.pick(&[1, 2, 4, 6, 10, 16]);
        draw.scale.words = *draw.random.pick(&[4, 12, 25, 40, 120, 400]);
        let length = *draw.random.pick(&[300, 1000, 2000, 4000]);
        let weights = self.weights(&mut draw);
        let mut steps = self.opening(&mut draw);
        let mut count: usize = steps.iter().map(|step| step.lines.len()).sum();
        while count < length {
            let step = self.step(&weights, &mut draw);
            count += step.lines.len();
            steps.push(step);
        }
        Epoch { seed, resp3: seed % 2 == 1, steps }
    }

    /// Some rows more often, some not at all, differently in each epoch.
    fn weights(&self, draw: &mut Draw) -> Vec<usize> {
        let factor = |draw: &mut Draw| *draw.random.pick(&[0, 1, 2, 2, 2, 8]);
        let mut weights: Vec<usize> =
            self.main.rows.iter().map(|row| row.row.weight * factor(draw)).collect();
        if weights.iter().all(|weight| *weight == 0) {
            weights.fill(1);
        }
        weights
    }

    fn opening(&self, draw: &mut Draw) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut push = |line: Line| steps.push(Step { lines: vec![line] });
        for (directive, values) in &self.directives {
            if draw.random.chance(70) {
                let value = draw.random.pick(values);
                push(Line::exact([b"CONFIG", b"SET", directive.as_bytes(), value.as_bytes()]));
            }
        }
        for stranger in STRANGERS {
            let line = Line::exact(stranger);
            let own = stranger[1].starts_with(self.main.family.pool.as_bytes());
            if !own && self.known.contains(&line.name()) && draw.random.chance(80) {
                push(line);
            }
        }
        steps
    }

    fn step(&self, weights: &[usize], draw: &mut Draw) -> Step {
        if !self.directives.is_empty() && draw.random.below(1000) == 0 {
            let (name, values) = *draw.random.pick(&self.directives);
            let value = draw.random.pick(values);
            let words: [&[u8]; 4] = [b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()];
            return Step { lines: vec![Line::exact(words)] };
        }
        let (mut lines, blocking) = self.command(weights, draw);
        if !blocking && !draw.random.chance(2) {
            return Step { lines };
        }
        for _ in 0..draw.random.below(5) {
            lines.extend(self.command(weights, draw).0);
        }
        lines.insert(0, Line::exact([b"MULTI"]));
        let end: &[u8] = if draw.random.chance(5) { b"DISCARD" } else { b"EXEC" };
        lines.push(Line { how: How::Exec, ..Line::exact([end]) });
        Step { lines }
    }

    /// One command with what follows it, and whether it would wait for a key.
    fn command(&self, weights: &[usize], draw: &mut Draw) -> (Vec<Line>, bool) {
        // What neither server lacks is found soon; a type that is wholly absent pings.
        for _ in 0..100 {
            let (family, row) = self.choose(weights, draw);
            let own = self.main.family;
            // Commands for any type go to keys of the epoch's, or of all types.
            draw.pool = match (is_companion(family), is_companion(own)) {
                (false, _) => family.pool,
                (true, false) => own.pool,
                (true, true) => *draw.random.pick(&POOLS),
            };
            let lines = self.lines(row, draw);
            if lines.iter().all(|line| self.known.contains(&line.name())) {
                return (lines, row.row.blocking);
            }
        }
        (vec![Line::exact([b"PING"])], false)
    }

    fn choose(&self, weights: &[usize], draw: &mut Draw) -> (&'static Family, &ParsedRow) {
        if !self.others.is_empty() && draw.random.chance(self.main.family.others) {
            let other = draw.random.pick(&self.others);
            let weights: Vec<usize> = other.rows.iter().map(|row| row.row.weight).collect();
            return (other.family, &other.rows[weighted(&weights, draw)]);
        }
        (self.main.family, &self.main.rows[weighted(weights, draw)])
    }

    fn lines(&self, row: &ParsedRow, draw: &mut Draw) -> Vec<Line> {
        let mut arguments = row.template.expand(draw);
        if !row.row.rigid && draw.random.chance(spoil::PERCENT) {
            spoil::spoil(&mut arguments, &row.template, row.row, &mut draw.random);
        }
        if draw.random.chance(3) {
            arguments[0].make_ascii_lowercase();
        }
        let rigid = row.row.rigid || row.row.how != How::Exact;
        let mut lines = vec![Line { arguments, how: row.row.how, rigid }];
        for (template, how) in &row.then {
            let mut arguments = template.expand(draw);
            if row.row.spoils_then && draw.random.chance(spoil::PERCENT) {
                spoil::spoil(&mut arguments, template, row.row, &mut draw.random);
            }
            lines.push(Line { arguments, how: *how, rigid: true });
        }
        let asks = matches!(row.row.how, How::ByEncoding | How::PairsByEncoding)
            || matches!(row.row.how, How::Scan | How::ScanPairs) && lines[0].name() != "SCAN";
        if asks {
            let key = lines[0].arguments.get(1).cloned().unwrap_or_default();
            lines.push(Line::exact([b"OBJECT", b"ENCODING", &key]));
        }
        lines
    }
}

fn is_companion(family: &Family) -> bool {
    COMPANIONS.iter().any(|companion| companion.name == family.name)
}

fn weighted(weights: &[usize], draw: &mut Draw) -> usize {
    let mut left = draw.random.below(weights.iter().sum());
    for (at, weight) in weights.iter().enumerate() {
        if left < *weight {
            return at;
        }
        left -= weight;
    }
    0
}

fn parse(family: &'static Family) -> Result<Parsed> {
    let template =
        |text| Template::parse(text).map_err(|error| anyhow!("{}: {error}", family.name));
    let one = |row: &'static Row| {
        let then = row.then.iter().map(|(text, how)| Ok((template(text)?, *how)));
        let then = then.collect::<Result<_>>()?;
        Ok(ParsedRow { row, template: template(row.template)?, then })
    };
    Ok(Parsed { family, rows: family.rows.iter().map(one).collect::<Result<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawer(family: &'static Family) -> Drawer {
        let everything = Drawer::new(family, BTreeSet::new(), &BTreeSet::new()).unwrap();
        let known = everything.lacking();
        let directives = family.directives.iter().map(|(name, _)| (*name).to_owned()).collect();
        Drawer::new(family, known, &directives).unwrap()
    }

    #[test]
    fn every_template_is_right_and_a_seed_gives_its_epoch() {
        for family in FAMILIES {
            let drawer = drawer(family);
            let shown = |seed| format!("{:?}", drawer.epoch(seed).steps);
            assert_eq!(shown(5), shown(5), "{}", family.name);
            assert_ne!(shown(5), shown(6), "{}", family.name);
        }
    }

    #[test]
    fn what_a_server_lacks_is_not_sent() {
        let mut drawer = drawer(&super::super::hash::FAMILY);
        assert!(drawer.known.remove("HSET"));
        assert_eq!(drawer.lacking(), BTreeSet::from(["HSET".to_owned()]));
        let steps = drawer.epoch(3).steps;
        let mut names = steps.iter().flat_map(|step| &step.lines).map(Line::name);
        assert!(names.all(|name| name != "HSET"));
    }
}
