//! Scripts beside each other and beside everything else: nobody sees the middle of one.

use crate::support::reply::Reply;
use crate::{Outcome, Random, call, number, start, together};

const CLIENTS: usize = 6;
const ACCOUNTS: usize = 12;
const EACH: i64 = 1000;
const TRANSFERS: usize = 300;

/// Moves money between accounts that it does not declare.
const UNDECLARED: &str = "local from, to, amount = ARGV[1], ARGV[2], tonumber(ARGV[3]) \
    local left = tonumber(redis.call('get', from)) \
    if left < amount then return 0 end \
    redis.call('set', from, left - amount) \
    redis.call('set', to, tonumber(redis.call('get', to)) + amount) \
    return 1";

/// Moves money between accounts that it declares, beside other scripts.
const DECLARED: &str = "#!lua flags=allow-key-locking\n\
    local left = tonumber(redis.call('get', KEYS[1])) \
    local amount = tonumber(ARGV[1]) \
    if left < amount then return 0 end \
    redis.call('set', KEYS[1], left - amount) \
    redis.call('set', KEYS[2], tonumber(redis.call('get', KEYS[2])) + amount) \
    return 1";

/// The sum of all accounts, which it finds by walking the keyspace.
const WALK: &str = "local sum, cursor = 0, '0' \
    repeat local page = redis.call('scan', cursor, 'match', 'account:*') cursor = page[1] \
    for _, key in ipairs(page[2]) do sum = sum + redis.call('get', key) end until cursor == '0' \
    return sum";

#[test]
fn the_sum_of_a_bank_of_scripts_never_moves() -> Outcome {
    let server = start()?;
    let names: Vec<String> = (0..ACCOUNTS).map(|at| format!("account:{at}")).collect();
    let mut client = server.connect()?;
    for name in &names {
        call(&mut client, &["SET", name, &EACH.to_string()])?;
    }
    let mget: Vec<&str> = std::iter::once("MGET").chain(names.iter().map(String::as_str)).collect();
    let whole = EACH * ACCOUNTS as i64;
    let sum = |reply: &Reply| -> Result<i64, String> {
        match reply {
            Reply::Array(balances) => balances.iter().map(number).sum(),
            Reply::Integer(sum) => Ok(*sum),
            other => Err(format!("no balances: {other}")),
        }
    };
    together(
        &server,
        CLIENTS,
        |at, client| {
            let mut random = Random::of(at);
            for _ in 0..TRANSFERS {
                let (from, to) = (random.below(ACCOUNTS), random.below(ACCOUNTS));
                if from == to {
                    continue;
                }
                let (from, to) = (names[from].as_str(), names[to].as_str());
                let amount = (1 + random.below(300)).to_string();
                match random.below(4) {
                    0 => call(client, &["EVAL", DECLARED, "2", from, to, &amount])?,
                    1 => call(client, &["EVAL", UNDECLARED, "1", from, from, to, &amount])?,
                    2 => {
                        call(client, &["MULTI"])?;
                        call(client, &["EVAL", UNDECLARED, "0", from, to, &amount])?;
                        call(client, &["GET", from])?;
                        call(client, &["EXEC"])?
                    }
                    _ => call(client, &["EVAL", UNDECLARED, "0", from, to, &amount])?,
                };
            }
            Ok(())
        },
        |client, done| {
            let mut looks = 0;
            while !done() || looks == 0 {
                for reply in [call(client, &mget)?, call(client, &["EVAL", WALK, "0"])?] {
                    let found = sum(&reply)?;
                    if found != whole {
                        return Err(format!("{found} instead of {whole}: {reply}"));
                    }
                }
                looks += 1;
            }
            Ok(())
        },
    )?;
    let found = sum(&call(&mut client, &mget)?)?;
    if found == whole { Ok(()) } else { Err(format!("{found} at the end").into()) }
}
