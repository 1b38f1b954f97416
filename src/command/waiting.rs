//! Commands that wait: what a handler says when there is nothing to give as yet, and how what
//! it was asked is asked again of one key.
//!
//! A handler does not wait and does not know whether its client may. When it finds nothing it
//! fails with [`Fault::Wait`]: the engine then lets the client wait in the queues of its keys
//! or, where nobody waits (MULTI, scripts, REST, a leader's stream), answers that there is
//! nothing. One who waits is served by the same handler, asked of the one key that has changed.

use smallvec::SmallVec;

use super::stream::read;
use super::{Argv, counted};
use crate::fault::Fault;
use crate::keyspace::{Kind, ReadView};
use crate::resp::Reply;

/// That there is nothing to give, and how long its client would wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Until when, in unix milliseconds; `NEVER` for ever.
    pub until: u64,
    /// What was asked.
    pub form: Form,
}

/// The forms of commands that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Keys, then the timeout: BLPOP, BZPOPMIN.
    Pop(Kind),
    /// Timeout, number of keys, keys, options: BLMPOP, BZMPOP.
    SeveralPop(Kind),
    /// Source and destination: BLMOVE, BRPOPLPUSH.
    Move,
    /// XREAD.
    Read,
    /// XREADGROUP.
    GroupRead,
}

impl Wait {
    /// As a handler's failure.
    pub fn fault(until: u64, form: Form) -> Fault {
        Fault::Wait(Wait { until, form })
    }
}

impl Form {
    /// What a key must hold to be of use.
    pub fn kind(self) -> Kind {
        match self {
            Form::Pop(kind) | Form::SeveralPop(kind) => kind,
            Form::Move => Kind::List,
            Form::Read | Form::GroupRead => Kind::Stream,
        }
    }

    /// Answers that there is nothing, where nobody waits.
    pub fn answer_nothing(self, reply: &mut dyn Reply) {
        match self {
            Form::Move => reply.null(),
            _ => reply.null_array(),
        }
    }

    /// The keys whose change may be of use, among those of the command.
    pub fn awaited(self, keys: impl Iterator<Item = usize>) -> impl Iterator<Item = usize> {
        keys.take(if self == Form::Move { 1 } else { usize::MAX })
    }

    /// The request as it is kept: what it says of the present is written out.
    pub fn keep(self, view: &ReadView<'_, '_>, argv: Argv<'_>) -> Box<[Box<[u8]>]> {
        let mut kept: Box<[Box<[u8]>]> = argv.iter().map(|argument| Box::from(*argument)).collect();
        if self == Form::Read {
            read::write_out(view, argv, &mut kept);
        }
        kept
    }

    /// The request, asked of one of its keys only.
    pub fn of_key<'a>(self, argv: Argv<'a>, key: &'a [u8]) -> SmallVec<[&'a [u8]; 8]> {
        match self {
            Form::Pop(_) => SmallVec::from_slice(&[argv[0], key, b"0"]),
            Form::SeveralPop(_) => {
                let behind = 3 + counted(argv, 2).len();
                let mut words = SmallVec::from_slice(&[argv[0], b"0", b"1", key]);
                words.extend_from_slice(argv.get(behind..).unwrap_or_default());
                words
            }
            Form::Move => SmallVec::from_slice(argv),
            Form::Read | Form::GroupRead => {
                let keys = read::keys(argv);
                let mut words = SmallVec::new();
                if let Some(at) = keys.iter().find(|at| argv[**at] == key) {
                    words.extend_from_slice(&argv[..keys[0]]);
                    words.extend([key, argv[at + keys.len()]]);
                }
                words
            }
        }
    }
}
