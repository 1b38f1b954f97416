//! LPOS: where in a list an element is.

use super::Argv;
use super::args::{at_least, integer, is, next};
use crate::fault::{Fault, Outcome};
use crate::keyspace::ReadView;
use crate::resp::Reply;
use crate::value::list::{Chain, End};

/// The options behind the element.
struct Options {
    /// From which end to look.
    from: End,
    /// Matches to pass over.
    skip: usize,
    /// Matches to answer, as an array; `None` for the first alone.
    count: Option<usize>,
    /// Elements to look at.
    most: usize,
}

impl Options {
    fn parse(arguments: Argv<'_>) -> Result<Options, Fault> {
        let mut options = Options { from: End::Front, skip: 0, count: None, most: usize::MAX };
        // 0 means no bound, for either.
        let bound = |bound: usize| if bound == 0 { usize::MAX } else { bound };
        let mut at = 0;
        while let Some(word) = arguments.get(at) {
            if is(word, "RANK") {
                options.rank(integer(next(arguments, &mut at)?)?)?;
            } else if is(word, "COUNT") {
                const NEGATIVE: &str = "ERR COUNT can't be negative";
                let count = at_least(0, next(arguments, &mut at)?, NEGATIVE)?;
                options.count = Some(bound(count));
            } else if is(word, "MAXLEN") {
                const NEGATIVE: &str = "ERR MAXLEN can't be negative";
                options.most = bound(at_least(0, next(arguments, &mut at)?, NEGATIVE)?);
            } else {
                return Err(Fault::SYNTAX);
            }
            at += 1;
        }
        Ok(options)
    }

    fn rank(&mut self, rank: i64) -> Result<(), Fault> {
        let skip = rank.unsigned_abs().checked_sub(1).ok_or(Fault::new(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
        ))?;
        // redis-server 7.0 negates the smallest integer to itself, and passes over nothing.
        let skip = if rank == i64::MIN { 0 } else { skip };
        self.skip = usize::try_from(skip).unwrap_or(usize::MAX);
        self.from = if rank < 0 { End::Back } else { End::Front };
        Ok(())
    }
}

/// LPOS.
pub(super) fn lpos(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let Options { from, skip, count, most } = Options::parse(&argv[3..])?;
    let list = view.collection::<Chain>(argv[1])?;
    let mut found =
        list.into_iter().flat_map(|list| list.positions(argv[2], from, most)).skip(skip);
    let Some(count) = count else {
        match found.next() {
            Some(index) => reply.integer(index as i64),
            None => reply.null(),
        }
        return Ok(());
    };
    let found: Vec<i64> = found.take(count).map(|index| index as i64).collect();
    reply.integers(&found);
    Ok(())
}
