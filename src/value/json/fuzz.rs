//! Fuzz entries: any bytes are a document or a refusal, any text is a path or one.

use super::print::print;
use super::{Node, Path, parse};

/// Reads `input` as a document; what it says reads back as the same.
///
/// # Panics
///
/// If it does not; that is the finding.
pub fn read_document(input: &[u8]) {
    let Ok(document) = parse(input) else { return };
    let Ok(text) = print(Node::root(&document)) else { return };
    assert_eq!(parse(&text).as_ref(), Ok(&document), "text of a document is another one's");
}

/// Reads `path` and looks for what it matches in the document that `input` says.
///
/// # Panics
///
/// If a match is no value of the document; that is the finding.
pub fn find_path(path: &[u8], input: &[u8]) {
    let (Ok(path), Ok(document)) = (Path::parse(path), parse(input)) else { return };
    for at in path.find(&document).unwrap_or_default() {
        assert!(Node::at(&document, at).end() <= document.len(), "{at} is no value");
    }
}
