//! Commands on documents, for replicas that replay them.

use proptest::prelude::*;

/// A command on few keys and few paths, so that they meet.
pub(super) fn command() -> impl Strategy<Value = String> {
    let key = || prop::sample::select(vec!["a", "b", "c"]);
    let path =
        || prop::sample::select(vec!["$", ".", "$.x", ".y", "$..x", "$.*", "$.l[0]", "$..l", "z"]);
    let value = || {
        prop::sample::select(vec![
            "1",
            "2.5",
            "null",
            "true",
            "\"s\"",
            "[1,[2]]",
            r#"{"x":1,"y":{"x":[],"n":null},"l":[1,2,3]}"#,
        ])
    };
    let whole = r#"{"x":1,"y":{"x":2.5,"l":[true,"s"]},"l":[1,{"x":1}]}"#;
    prop_oneof![
        2 => key().prop_map(move |k| format!("JSON.SET {k} $ {whole}")),
        2 => (key(), path(), value()).prop_map(|(k, p, v)| format!("JSON.SET {k} {p} {v}")),
        1 => (key(), path(), value()).prop_map(|(k, p, v)| format!("JSON.SET {k} {p} {v} NX")),
        2 => (key(), path(), value()).prop_map(|(k, p, v)| format!("JSON.MERGE {k} {p} {v}")),
        1 => (key(), path(), value(), key())
            .prop_map(|(k, p, v, l)| format!("JSON.MSET {k} $ {v} {l} {p} {v}")),
        1 => (key(), path()).prop_map(|(k, p)| format!("JSON.DEL {k} {p}")),
        1 => (key(), path()).prop_map(|(k, p)| format!("JSON.CLEAR {k} {p}")),
        1 => (key(), path()).prop_map(|(k, p)| format!("JSON.TOGGLE {k} {p}")),
        1 => (key(), path()).prop_map(|(k, p)| format!("JSON.NUMINCRBY {k} {p} 1.5")),
        1 => (key(), path()).prop_map(|(k, p)| format!("JSON.NUMMULTBY {k} {p} -3")),
        1 => (key(), path()).prop_map(|(k, p)| format!("JSON.STRAPPEND {k} {p} \"t\"")),
        1 => (key(), path(), value()).prop_map(|(k, p, v)| format!("JSON.ARRAPPEND {k} {p} {v}")),
        1 => (key(), path(), value())
            .prop_map(|(k, p, v)| format!("JSON.ARRINSERT {k} {p} 1 {v} {v}")),
        1 => (key(), path()).prop_map(|(k, p)| format!("JSON.ARRPOP {k} {p}")),
        1 => (key(), path()).prop_map(|(k, p)| format!("JSON.ARRTRIM {k} {p} 0 1")),
    ]
}
