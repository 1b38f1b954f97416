//! A client over any stream.

use std::io::{Read, Write};
use std::time::Duration;

use crate::support::resp::encode;
use crate::support::server::pause;

/// Sends a command and answers what came back at first, as text; nothing when the other side is
/// gone.
pub(crate) fn ask(stream: &mut (impl Read + Write), argv: &[&str]) -> String {
    if stream.write_all(&encode(argv)).and_then(|()| stream.flush()).is_err() {
        return String::new();
    }
    hear(stream)
}

/// What comes next, as text.
pub(crate) fn hear(stream: &mut impl Read) -> String {
    let mut bytes = vec![0; 64 * 1024];
    match stream.read(&mut bytes) {
        Ok(length) => String::from_utf8_lossy(&bytes[..length]).into_owned(),
        Err(_) => String::new(),
    }
}

/// Waits until `done`.
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if done() {
            return;
        }
        pause(Duration::from_millis(5));
    }
    panic!("{what}");
}
