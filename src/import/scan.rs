//! A source that lets nobody follow it, as hosted ones do: SCAN, DUMP and PTTL.
//!
//! It is no instant of the source that is copied: what is written meanwhile may be there or not.

use super::ImportError;
use super::delivery::{Delivery, Due};
use super::peer::{Leaf, Peer};
use crate::rdb::{Key, KeyMeta, Limits, dump};
use crate::resp::reply::encode_command;

/// Keys that one SCAN looks at, more or less.
const COUNT: &[u8] = b"100";

/// Copies every database, or the one that is wanted.
pub(super) async fn copy(
    peer: &mut Peer,
    only: Option<u32>,
    delivery: &mut Delivery,
) -> Result<(), ImportError> {
    functions(peer, delivery).await?;
    let databases = match only {
        Some(db) => vec![db],
        None => match peer.keyspace().await? {
            Some(all) => all.into_iter().map(|(db, _)| db).collect(),
            // It does not say: the first is there.
            None => vec![0],
        },
    };
    for db in databases {
        let reply = peer.ask(&[b"SELECT", db.to_string().as_bytes()]).await?;
        if let Some(why) = reply.error_text()
            && db != 0
        {
            return Err(ImportError::Source(peer.name.clone(), format!("SELECT {db}: {why}")));
        }
        delivery.select(db);
        database(peer, delivery).await?;
    }
    delivery.settle().await
}

async fn database(peer: &mut Peer, delivery: &mut Delivery) -> Result<(), ImportError> {
    let mut cursor = b"0".to_vec();
    loop {
        let reply = peer.ask(&[b"SCAN", &cursor, b"COUNT", COUNT]).await?;
        if let Some(why) = reply.error_text() {
            return Err(ImportError::Source(peer.name.clone(), format!("SCAN: {why}")));
        }
        let mut texts = reply.0.into_iter().filter_map(|leaf| match leaf {
            Leaf::Bytes(bytes) => Some(bytes),
            _ => None,
        });
        let next = texts.next();
        keys(peer, &texts.collect::<Vec<_>>(), delivery).await?;
        match next {
            Some(next) if next != b"0" => cursor = next,
            _ => return Ok(()),
        }
    }
}

/// Asks for some keys at once.
async fn keys(
    peer: &mut Peer,
    names: &[Vec<u8>],
    delivery: &mut Delivery,
) -> Result<(), ImportError> {
    let mut bytes = Vec::new();
    for name in names {
        encode_command(&mut bytes, &[b"PTTL", name]);
        encode_command(&mut bytes, &[b"DUMP", name]);
    }
    peer.send(&bytes).await?;
    for name in names {
        let (time, value) = (peer.receive().await?, peer.receive().await?);
        let due = match time.0.as_slice() {
            [Leaf::Integer(ms @ 0..)] => Due::In(ms.unsigned_abs().max(1)),
            _ => Due::Never,
        };
        match value.0.as_slice() {
            [Leaf::Bytes(payload)] => {
                delivery.read(payload.len());
                key(name, payload, due, delivery).await?;
            }
            // Gone since.
            [Leaf::Null] => {}
            other => {
                let why = match other {
                    [Leaf::Error(why)] => why,
                    _ => "DUMP answers no payload",
                };
                if why.starts_with("NOPERM") || why.starts_with("ERR unknown command") {
                    return Err(ImportError::Source(peer.name.clone(), why.to_owned()));
                }
                delivery.tally.refused(name, why);
            }
        }
    }
    Ok(())
}

async fn key(
    name: &[u8],
    payload: &[u8],
    due: Due,
    delivery: &mut Delivery,
) -> Result<(), ImportError> {
    match dump::read(payload, &Limits::default()) {
        Ok(value) => {
            let key = Key { name: name.to_vec(), meta: KeyMeta::default(), value };
            delivery.key(key, due).await
        }
        Err(why) => {
            delivery.tally.refused(name, &why.to_string());
            Ok(())
        }
    }
}

/// Function libraries; a source without any, or one that does not show them, has none.
async fn functions(peer: &mut Peer, delivery: &mut Delivery) -> Result<(), ImportError> {
    let reply = peer.ask(&[b"FUNCTION", b"DUMP"]).await?;
    let [Leaf::Bytes(payload)] = reply.0.as_slice() else { return Ok(()) };
    let codes = dump::verify(payload).and_then(|body| dump::libraries(body, &Limits::default()));
    match codes {
        Ok(codes) => {
            for code in codes {
                delivery.function(&code).await?;
            }
        }
        Err(why) => delivery.tally.refused(b"function libraries", &why.to_string()),
    }
    Ok(())
}
