//! Bodies: what is a command, what is refused and how, and that no body is more than that.

use proptest::prelude::*;

use super::*;
use crate::rest::fuzz;

fn arguments(body: &str) -> Vec<String> {
    let arguments =
        command(body.as_bytes()).unwrap_or_else(|refusal| panic!("{body}: {refusal:?}"));
    arguments.iter().map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}

fn refusal(body: &str) -> String {
    command(body.as_bytes()).unwrap_err().text.into_owned()
}

fn refusal_of_many(body: &str) -> String {
    commands(body.as_bytes(), 3).unwrap_err().text.into_owned()
}

#[test]
fn arguments_are_text_as_it_was_written() {
    assert_eq!(arguments(r#"["SET","k",1]"#), ["SET", "k", "1"]);
    assert_eq!(
        arguments(" [ \"a\" ,\n-0 , 1e+21,1.0, true,false ] "),
        ["a", "-0", "1e+21", "1.0", "true", "false"]
    );
    assert_eq!(arguments("[12345678901234567000]"), ["12345678901234567000"]);
    assert_eq!(
        arguments(r#"["é","\u00e9\n\"\\\/","😀\ud83d\ude00",""]"#),
        ["é", "é\n\"\\/", "😀😀", ""]
    );
    assert_eq!(arguments(r#"["\u0000"]"#), ["\0"]);
}

#[test]
fn what_has_no_escape_is_not_copied() {
    let body = br#"["plain",12,"a\tb"]"#;
    let arguments = command(body).unwrap();
    let borrowed = |at: usize| matches!(arguments[at], Cow::Borrowed(_));
    assert_eq!([borrowed(0), borrowed(1), borrowed(2)], [true, true, false]);
}

#[test]
fn half_of_a_surrogate_pair_is_replaced() {
    let body = br#"["\ud83d","a\udc00b\ud83d\ude00","\ud83d\ud83d\ude00","\ud7a3\u0000"]"#;
    let arguments = command(body).unwrap();
    let text = |at: usize| std::str::from_utf8(&arguments[at]).unwrap();
    assert_eq!(text(0), "\u{fffd}");
    assert_eq!(text(1), "a\u{fffd}b\u{1f600}");
    assert_eq!(text(2), "\u{fffd}\u{1f600}");
    assert_eq!(text(3), "\u{d7a3}\0");
}

#[test]
fn what_is_no_command_is_refused() {
    assert_eq!(refusal(""), "ERR empty command");
    assert_eq!(refusal(" \n"), "ERR empty command");
    assert_eq!(refusal("[]"), "ERR empty command");
    assert_eq!(refusal(r#"["GET",null]"#), "ERR null args are not supported");
    assert_eq!(refusal(r#"["GET",["k"]]"#), "ERR unsupported arg type: \"[\": json.Delim");
    assert_eq!(refusal(r#"["GET",{"k":[]}]"#), "ERR unsupported arg type: \"{\": json.Delim");
    for body in ["{}", "null", "\"PING\"", "1", "true"] {
        assert_eq!(refusal(body), "ERR failed to parse command: expected a JSON array", "{body}");
    }
    for body in ["{", "[", "[\"GET\"", "[\"PING\"]]", "[\"a\",]", "[01]", "[\"\n\"]", "nul", "["] {
        assert!(refusal(body).starts_with("ERR failed to parse command"), "{body}");
    }
    assert!(command(b"[\"\xff\xfe\"]").is_err());
    assert!(command(b"\xff\xfe\x00").is_err());
}

#[test]
fn a_deep_nest_is_refused_without_recursion() {
    let deep = "[".repeat(1_000_000);
    assert!(refusal(&deep).starts_with("ERR failed to parse command"));
    assert!(refusal_of_many(&deep).starts_with("ERR failed to parse pipeline request"));
    let objects = "[".to_owned() + &"{\"a\":".repeat(1_000_000);
    assert!(refusal(&objects).starts_with("ERR failed to parse command"));
}

#[test]
fn an_error_does_not_repeat_the_body() {
    let long = format!("\"{}\"", "x".repeat(100_000));
    assert!(refusal(&long).len() < 200);
    assert!(refusal_of_many(&format!("[{long}]")).len() < 200);
}

#[test]
fn a_pipeline_is_its_commands_in_order() {
    let found = commands(br#"[["SET","k",1],["GET",null],["PING"]]"#, 3).unwrap();
    let arguments = found.arguments();
    let split = found.split(&arguments);
    assert_eq!(split.len(), 3);
    assert_eq!(split[0], Ok(&[&b"SET"[..], b"k", b"1"][..]));
    assert_eq!(split[1], Err("ERR null args are not supported"));
    assert_eq!(split[2], Ok(&[&b"PING"[..]][..]));
}

#[test]
fn what_is_no_pipeline_is_refused_as_a_whole() {
    for (body, text) in [
        ("", "ERR empty pipeline request"),
        ("[]", "ERR empty pipeline request"),
        ("[[]]", "ERR empty pipeline command"),
        (r#"[["PING"],[]]"#, "ERR empty pipeline command"),
        (r#"["GET","k"]"#, "ERR failed to parse pipeline request: expected a JSON array of arrays"),
        ("{}", "ERR failed to parse pipeline request: expected a JSON array of arrays"),
        ("[[1],[2],[3],[4]]", "ERR max pipeline length exceeded. Limit: 3 commands"),
    ] {
        assert_eq!(refusal_of_many(body), text, "{body}");
    }
    assert!(refusal_of_many("[[\"PING\"]").starts_with("ERR failed to parse pipeline request"));
    assert!(refusal_of_many("[[\"PING\"]] x").starts_with("ERR failed to parse pipeline request"));
}

#[test]
fn arguments_are_counted() {
    let body = format!("[{}1]", "1,".repeat(limits::ARGUMENTS));
    assert_eq!(refusal(&body), TOO_MANY);
    let body = format!("[[{}1]]", "1,".repeat(limits::ARGUMENTS));
    assert_eq!(refusal_of_many(&body), TOO_MANY);
}

/// Bodies that are nearly right, for mutation.
const CORPUS: &[&str] = &[
    r#"["SET","k","v","EX",100]"#,
    r#"["SET","k\n\u00e9\ud83d\ude00",-1.5e+10,true]"#,
    r#"[["SET","k",1],["GET","k"],["MGET","a","b"]]"#,
    r#"[["GET",null],["GET",["k"]],["GET",{"a":[1,2]}]]"#,
    " [ [ \"PING\" ] ] ",
    "[]",
    "[[]]",
    "/set/k/v%20x%2F+?EX=100&NX&_token=secret&a=%zz%",
];

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz::parse_body(&body);
    }

    #[test]
    fn any_json_like_text_is_read_or_refused(text in r#"[\[\]{},:"\\a0-9eE.+nul tru \n-]{0,80}"#) {
        fuzz::parse_body(text.as_bytes());
    }

    #[test]
    fn a_changed_body_is_read_or_refused(
        which in 0..CORPUS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(),
    ) {
        let mut body = CORPUS[which].as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        fuzz::parse_body(&body);
        fuzz::parse_path(&String::from_utf8_lossy(&body));
        fuzz::parse_body(&body[..length.index(body.len())]);
    }

    #[test]
    fn strings_arrive_as_they_were(strings in prop::collection::vec(any::<String>(), 1..5)) {
        let body = serde_json::to_string(&strings).unwrap();
        prop_assert_eq!(arguments(&body), strings);
    }
}
