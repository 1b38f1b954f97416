//! Merges one document into another, as RFC 7396 says.
//!
//! An object changes those members that it names: null takes one away, an object is merged in
//! turn, anything else takes the old value's place. What is no object replaces all there is.

use std::collections::HashMap;

use super::build::Builder;
use super::document::{Node, Value};
use super::{DEPTH, JsonError};

/// What a value, or nothing, becomes by a patch.
///
/// # Errors
/// When it gets too large.
pub fn merge(target: Option<Node<'_>>, patch: Node<'_>) -> Result<Vec<u8>, JsonError> {
    let mut builder = Builder::new();
    write(target, patch, &mut builder)?;
    builder.finish()
}

/// Goes down as deep as the patch is.
fn write(
    target: Option<Node<'_>>,
    patch: Node<'_>,
    builder: &mut Builder,
) -> Result<(), JsonError> {
    let Some(changes) = patch.as_object() else {
        return copy(patch, builder);
    };
    builder.open_object()?;
    let target = target.and_then(Node::as_object);
    let mut left: HashMap<&[u8], Node<'_>> = changes.members().collect();
    for (key, value) in target.into_iter().flat_map(|content| content.members()) {
        match left.remove(key) {
            None => {
                builder.key(key);
                copy(value, builder)?;
            }
            Some(change) if change.value() == Value::Null => {}
            Some(change) => {
                builder.key(key);
                write(Some(value), change, builder)?;
            }
        }
    }
    for (key, change) in changes.members() {
        if left.contains_key(key) && change.value() != Value::Null {
            builder.key(key);
            write(None, change, builder)?;
        }
    }
    builder.close();
    Ok(())
}

fn copy(node: Node<'_>, builder: &mut Builder) -> Result<(), JsonError> {
    if builder.depth() + node.depth() > DEPTH {
        return Err(JsonError::Depth);
    }
    builder.copy(node.bytes(), 1);
    Ok(())
}
