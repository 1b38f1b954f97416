//! A source that is a file, or comes through a pipe.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::ImportError;
use super::delivery::Delivery;
use super::progress::Total;
use crate::limits::IMPORT_BATCH_BYTES;
use crate::rdb::{Limits, Reader};

/// Reads a file.
pub(super) async fn copy(path: &Path, delivery: &mut Delivery) -> Result<(), ImportError> {
    let fail = |error| ImportError::File(path.display().to_string(), error);
    let file = File::open(path).map_err(fail)?;
    let facts = file.metadata().map_err(fail)?;
    if facts.is_file() {
        delivery.progress.total = Total::Bytes(facts.len());
    }
    read(file, delivery).await.map_err(|error| match error {
        ImportError::Read(error) => fail(error),
        other => other,
    })
}

/// Reads a pipe.
pub(super) async fn copy_input(delivery: &mut Delivery) -> Result<(), ImportError> {
    read(std::io::stdin().lock(), delivery).await
}

async fn read(mut from: impl Read, delivery: &mut Delivery) -> Result<(), ImportError> {
    let mut reader = Reader::new(Limits::default());
    let mut buffer = vec![0; IMPORT_BATCH_BYTES];
    while !reader.is_done() {
        let length = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ImportError::Read(error)),
        };
        delivery.read(length);
        reader.feed(&buffer[..length]);
        while let Some(item) = reader.next_item()? {
            delivery.item(item).await?;
        }
    }
    delivery.settle().await?;
    reader.finish()?;
    // An append-only file begins with an RDB file and goes on with commands.
    let more = !reader.unread().is_empty() || from.read(&mut buffer).is_ok_and(|more| more > 0);
    if more { Err(ImportError::More) } else { Ok(()) }
}
