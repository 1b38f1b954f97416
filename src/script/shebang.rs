//! The first line of a script, if it says what the script is: `#!lua flags=no-writes,allow-oom`.

use bitflags::bitflags;

use crate::fault::{Fault, shown};

bitflags! {
    /// What a script says that it does, or may do.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ScriptFlags: u16 {
        /// It writes nothing.
        const NO_WRITES = 1;
        /// It runs when memory is full.
        const ALLOW_OOM = 1 << 1;
        /// It runs on a replica that has lost its leader.
        const ALLOW_STALE = 1 << 2;
        /// Not in a cluster, which this is not.
        const NO_CLUSTER = 1 << 3;
        /// Keys of several slots, which there are not.
        const ALLOW_CROSS_SLOT_KEYS = 1 << 4;
        /// It touches the keys that it is given and no others, so it runs beside other scripts.
        /// Upstash's.
        const ALLOW_KEY_LOCKING = 1 << 5;
        /// It has no first line that says anything: Redis then asks less of it.
        const PLAIN = 1 << 6;
    }
}

/// The flags by their names.
pub const NAMES: [(&str, ScriptFlags); 6] = [
    ("no-writes", ScriptFlags::NO_WRITES),
    ("allow-oom", ScriptFlags::ALLOW_OOM),
    ("allow-stale", ScriptFlags::ALLOW_STALE),
    ("no-cluster", ScriptFlags::NO_CLUSTER),
    ("allow-cross-slot-keys", ScriptFlags::ALLOW_CROSS_SLOT_KEYS),
    ("allow-key-locking", ScriptFlags::ALLOW_KEY_LOCKING),
];

/// The flag of a name.
pub fn named(name: &[u8]) -> Option<ScriptFlags> {
    NAMES.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, flag)| *flag)
}

/// Reads the first line of a script; answers its flags, and where its program begins: at the
/// end of that line, so that the lines of errors are counted with it.
///
/// # Errors
/// What the client is told of a first line that nobody understands.
pub fn read(text: &[u8]) -> Result<(ScriptFlags, usize), Fault> {
    if !text.starts_with(b"#!") {
        return Ok((ScriptFlags::PLAIN, 0));
    }
    let Some(end) = memchr::memchr(b'\n', text) else {
        return Err(Fault::new("ERR Invalid script shebang"));
    };
    let line = text[..end].strip_suffix(b"\r").unwrap_or(&text[..end]);
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let engine = words.next().unwrap_or_default();
    if engine != b"#!lua" {
        return Err(wrong("Unexpected engine in script shebang: ", engine));
    }
    let mut flags = ScriptFlags::empty();
    for word in words {
        let Some(names) = word.strip_prefix(b"flags=") else {
            return Err(wrong("Unknown lua shebang option: ", word));
        };
        for name in names.split(|byte| *byte == b',').filter(|name| !name.is_empty()) {
            flags |=
                named(name).ok_or_else(|| wrong("Unexpected flag in script shebang: ", name))?;
        }
    }
    Ok((flags, end))
}

fn wrong(what: &str, word: &[u8]) -> Fault {
    Fault::text(format!("ERR {what}{}", shown(word, 128)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_may_name_flags() {
        assert_eq!(read(b"return 1").unwrap(), (ScriptFlags::PLAIN, 0));
        assert_eq!(read(b"#!lua\nreturn 1").unwrap(), (ScriptFlags::empty(), 5));
        let two = ScriptFlags::NO_WRITES | ScriptFlags::ALLOW_KEY_LOCKING;
        assert_eq!(read(b"#!lua flags=no-writes,allow-key-locking\n").unwrap().0, two);
        assert_eq!(read(b"#!lua  flags=no-writes flags=allow-key-locking\r\n").unwrap().0, two);
        for wrong in [&b"#!lua"[..], b"#!\n", b"#!js\n", b"#!lua x\n", b"#!lua flags=x\n"] {
            assert!(read(wrong).is_err());
        }
    }
}
