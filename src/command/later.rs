//! Commands that clients know and that Eave does not have yet: sparse arrays, vectors and search
//! of Upstash. They have no rows; whoever asks for one is told that it is not there yet, instead
//! of that it is unknown.

/// Their names, in lower case.
const NAMES: &[&str] = &[
    "arcount",
    "ardel",
    "ardelrange",
    "arget",
    "argetrange",
    "argrep",
    "arinfo",
    "arinsert",
    "arlastitems",
    "arlen",
    "armget",
    "armset",
    "arnext",
    "arop",
    "arring",
    "arscan",
    "arseek",
    "arset",
    "search.aggregate",
    "search.aliasadd",
    "search.aliasdel",
    "search.count",
    "search.create",
    "search.describe",
    "search.drop",
    "search.listaliases",
    "search.listindexes",
    "search.query",
    "search.reindex",
    "search.waitindexing",
    "vector.add",
    "vector.count",
    "vector.create",
    "vector.del",
    "vector.drop",
    "vector.get",
    "vector.info",
    "vector.query",
];

/// Whether a name, in any case, is one of these.
pub fn is_known(name: &[u8]) -> bool {
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::lookup;
    use super::NAMES;

    #[test]
    fn none_of_them_has_a_row() {
        for name in NAMES {
            assert!(lookup(name.as_bytes()).is_none(), "{name}");
        }
    }
}
