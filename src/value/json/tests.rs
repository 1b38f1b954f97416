//! Documents against serde_json's own tree, as the naive model.

use proptest::prelude::*;
use serde_json::{Value as Tree, json};

use super::edit::{Change, Edit, apply, outermost};
use super::merge::merge;
use super::print::print;
use super::{DEPTH, JsonError, Node, Path, fuzz, parse};

fn printed(document: &[u8]) -> String {
    String::from_utf8(print(Node::root(document)).unwrap()).unwrap()
}

fn document(tree: &Tree) -> Vec<u8> {
    parse(tree.to_string().as_bytes()).unwrap()
}

/// What a path matches, as text.
fn found(tree: &str, path: &str) -> String {
    let document = parse(tree.as_bytes()).unwrap();
    let path = Path::parse(path.as_bytes()).unwrap();
    let found = path.find(&document).unwrap();
    let texts: Vec<_> = found
        .iter()
        .map(|at| String::from_utf8(print(Node::at(&document, *at)).unwrap()).unwrap())
        .collect();
    texts.join(" ")
}

fn refused(text: &str) -> String {
    parse(text.as_bytes()).unwrap_err().to_string()
}

fn tree() -> impl Strategy<Value = Tree> {
    let key = prop::sample::select(vec!["a", "b", "c", "long key with spaces", "é\n\"\\", ""]);
    let scalar = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::from),
        (-100..100i64).prop_map(Tree::from),
        any::<i64>().prop_map(Tree::from),
        any::<i32>().prop_map(Tree::from),
        any::<u64>().prop_map(Tree::from),
        any::<f64>().prop_map(Tree::from),
        any::<f32>().prop_map(Tree::from),
        "\\PC{0,20}".prop_map(Tree::from),
        "[a-z\n\u{1}\\\\]{100,300}".prop_map(Tree::from),
    ];
    scalar.prop_recursive(6, 200, 12, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(Tree::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|members| {
                Tree::Object(members.into_iter().map(|(key, value)| (key.into(), value)).collect())
            }),
        ]
    })
}

#[test]
fn text_comes_back_with_order_and_form() {
    let texts = [
        r#"{"b":1,"a":[1.0,1.5e300,-0.0,null,true,false],"":{}}"#,
        "[]",
        "[[],{},[[]]]",
        r#""é\n\u0001\"\\/""#,
        "[63,64,-1,-128,-129,127,128,32767,32768,2147483648,9223372036854775807]",
        "[18446744073709551615,-9223372036854775808]",
        "1512060373.222988",
    ];
    for text in texts {
        assert_eq!(printed(&parse(text.as_bytes()).unwrap()), text);
    }
}

#[test]
fn a_number_beyond_64_bits_is_a_float() {
    assert_eq!(printed(&parse(b"18446744073709551616").unwrap()), "1.8446744073709552e19");
    assert_eq!(refused("1e400"), "number out of range at line 1 column 5");
}

#[test]
fn a_key_that_comes_twice_has_its_last_value_in_its_first_place() {
    let text = br#"{"a":1,"b":{"x":1,"x":{"y":1,"y":2}},"a":[{"k":0,"k":1}]}"#;
    assert_eq!(printed(&parse(text).unwrap()), r#"{"a":[{"k":1}],"b":{"x":{"y":2}}}"#);
}

#[test]
fn what_is_no_json_is_refused_in_serdes_words() {
    assert_eq!(refused("foo"), "expected ident at line 1 column 2");
    assert_eq!(refused(""), "EOF while parsing a value at line 1 column 0");
    assert_eq!(refused("{"), "EOF while parsing an object at line 1 column 1");
    assert_eq!(refused("1 2"), "trailing characters at line 1 column 3");
    assert_eq!(parse(b"\"\xff\"").unwrap_err().to_string(), "Couldn't parse as UTF-8 string");
}

#[test]
fn depth_is_bounded() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deepest = parse(nested(DEPTH).as_bytes()).unwrap();
    assert_eq!(Node::root(&deepest).depth(), DEPTH);
    assert_eq!(printed(&deepest), nested(DEPTH));
    let error = refused(&nested(DEPTH + 1));
    assert!(error.starts_with("JSON value is nested deeper than 128 levels"), "{error}");
    refused(&"[".repeat(10_000_000));
    refused(&"{\"a\":".repeat(1_000_000));
    // Nor by putting one into another.
    let half = parse(nested(65).as_bytes()).unwrap();
    let place = Path::parse(format!("${}", "[0]".repeat(64)).as_bytes()).unwrap();
    let at = place.find(&half).unwrap()[0];
    let edit = Edit { at, change: Change::ReplaceShared(&half) };
    assert_eq!(apply(&half, vec![edit]), Err(JsonError::Depth));
}

#[test]
fn paths_find_values() {
    let tree = r#"{"a":{"b":[1,2,3,4,{"c":5}]},"b":"x","c d":{"'":7,"\"":8}}"#;
    let cases = [
        ("$", tree),
        (".", tree),
        ("$.b", "\"x\""),
        ("b", "\"x\""),
        (".a.b[0]", "1"),
        ("$.a.b[-1].c", "5"),
        ("$.a['b'][0]", "1"),
        ("$.[\"a\"].b[ 0 , 2 ]", "1 3"),
        ("$.a.b[0:2]", "1 2"),
        ("$.a.b[1:-1]", "2 3 4"),
        ("$.a.b[::2]", "1 3 {\"c\":5}"),
        ("$.a.b[3::-2]", "4 2"),
        ("$.a.b[-2:0:-1]", "4 3 2"),
        ("$.a.b[5:]", ""),
        ("$.a.b[::0]", ""),
        ("$['c d']['\\'']", "7"),
        ("$['c d'][\"\\u0022\"]", "8"),
        ("$['b','nope','b']", "\"x\" \"x\""),
        ("$.*.b[0]", "1"),
        ("$..c", "5"),
        ("$..b", "[1,2,3,4,{\"c\":5}] \"x\""),
        ("$..[0]", "1"),
        ("$.a..*", "5 1 2 3 4 {\"c\":5} [1,2,3,4,{\"c\":5}]"),
        ("$.nope.b", ""),
        ("$.b.c", ""),
        ("$.a.b[?(@ > 2)]", "3 4"),
        ("$.a.b[?(@ >= 2 && !(@ == 3))]", "2 4"),
        ("$.a.b[?@.c]", "{\"c\":5}"),
        ("$.a.b[?(@ < 2 || @ > 3 && @ != 4)]", "1"),
        ("$.a.b[?(@ == $.a.b[1])]", "2"),
        ("$..[?(@.c == 5.0)]", "{\"c\":5}"),
    ];
    for (path, expected) in cases {
        assert_eq!(found(tree, path), expected, "{path}");
    }
}

#[test]
fn filters_compare_values_of_one_kind() {
    let tree = r#"[{"v":1},{"v":"ab"},{"v":true},{"v":null},{"v":[1]},{"v":1.5},{}]"#;
    let cases = [
        ("$[?(@.v == 1)].v", "1"),
        ("$[?(@.v == 'ab')].v", "\"ab\""),
        ("$[?(@.v == true)].v", "true"),
        ("$[?(@.v == null)].v", "null"),
        ("$[?(@.v > 1)].v", "1.5"),
        ("$[?(@.v =~ '^A.*')].v", ""),
        ("$[?(@.v =~ \"(?i)^A\")].v", "\"ab\""),
        ("$[?(@.v != 1)].v", "\"ab\" true null [1] 1.5"),
        ("$[?(!@.v)]", "{}"),
        ("$[?(@.v[?(@ == 1)])].v", "[1]"),
    ];
    for (path, expected) in cases {
        assert_eq!(found(tree, path), expected, "{path}");
    }
}

#[test]
fn what_is_no_path_is_refused() {
    let long = format!("${}", ".a".repeat(10_000));
    let deep = format!("${}@.a{}", "[?(".repeat(20), ")]".repeat(20));
    let paths = [
        "",
        "$a",
        "$.",
        "$..",
        "$[",
        "$[]",
        "$[a]",
        "$['a",
        "$[0",
        "$[0,]",
        "$[-]",
        "$[?]",
        "$[?(@.a]",
        "$[?(@.a))]",
        "$[?(@ =~ '(')]",
        "$[99999999999999999999]",
        "$.a]",
        "$[?(@ == )]",
        "$['\\ud800']",
        "$[?(@ == 1.)]",
        ".a[",
        &long,
        &deep,
    ];
    for path in paths {
        assert!(matches!(Path::parse(path.as_bytes()), Err(JsonError::Path(..))), "{path}");
    }
}

#[test]
fn a_path_looks_at_no_more_than_some_passes() {
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let document = parse(deep.as_bytes()).unwrap();
    let path = Path::parse(format!("${}", "..*".repeat(8)).as_bytes()).unwrap();
    assert_eq!(path.find(&document), Err(JsonError::Matches));
}

#[test]
fn patterns_that_take_long_are_refused() {
    let text = format!("[\"{}\"]", "a".repeat(1_000_000));
    let document = parse(text.as_bytes()).unwrap();
    let matches = |pattern: &str| {
        let path = Path::parse(format!("$[?(@ =~ '{pattern}')]").as_bytes())?;
        path.find(&document).map(|found| found.len())
    };
    assert_eq!(matches("^a+$"), Ok(1));
    assert_eq!(matches("(?i)B"), Ok(0));
    assert_eq!(matches("(a{0,50}){0,4}b"), Err(JsonError::Matches));
    assert!(matches!(matches("((a{0,99}){0,99}){0,99}b"), Err(JsonError::Path(..))));
}

/// Removes, or replaces by 0, what lies at the places that `path` matches, in the tree.
fn model(tree: &mut Tree, name: &str, replace: bool) {
    match tree {
        Tree::Array(values) => values.iter_mut().for_each(|value| model(value, name, replace)),
        Tree::Object(members) => {
            if replace {
                if let Some(value) = members.get_mut(name) {
                    *value = json!(0);
                }
            } else {
                members.remove(name);
            }
            members.iter_mut().for_each(|(_, value)| model(value, name, replace));
        }
        _ => {}
    }
}

/// RFC 7396, as its own text puts it.
fn merge_trees(target: Tree, patch: &Tree) -> Tree {
    let Tree::Object(patch) = patch else { return patch.clone() };
    let mut members = match target {
        Tree::Object(members) => members,
        _ => serde_json::Map::new(),
    };
    for (key, value) in patch {
        if value.is_null() {
            members.remove(key);
        } else {
            let old = members.remove(key).unwrap_or_default();
            members.insert(key.clone(), merge_trees(old, value));
        }
    }
    Tree::Object(members)
}

fn back(document: &[u8]) -> Tree {
    serde_json::from_slice(&print(Node::root(document)).unwrap()).unwrap()
}

proptest! {
    #[test]
    fn a_document_says_what_its_text_says(tree in tree()) {
        let document = document(&tree);
        prop_assert_eq!(back(&document), tree);
        prop_assert_eq!(Node::root(&document).end(), document.len());
        // Read again it is the same bytes: every value has one form.
        prop_assert_eq!(parse(printed(&document).as_bytes()).unwrap(), document);
    }

    #[test]
    fn text_is_taken_or_refused_as_serde_does(text in "[\\[\\]{}\",:0-9eE.+\\- a\\\\untrfls]{0,40}") {
        let ours = parse(text.as_bytes());
        let theirs: Result<Tree, _> = serde_json::from_str(&text);
        match (ours, theirs) {
            (Ok(document), Ok(tree)) => prop_assert_eq!(back(&document), tree),
            (Err(ours), Err(theirs)) => prop_assert_eq!(ours.to_string(), theirs.to_string()),
            (ours, theirs) => prop_assert!(false, "{ours:?} {theirs:?}"),
        }
    }

    #[test]
    fn removing_and_replacing_are_the_models(mut tree in tree(), replace: bool) {
        let document = document(&tree);
        let places = outermost(&document, Path::parse(b"$..a").unwrap().find(&document).unwrap());
        let zero = parse(b"0").unwrap();
        let change = |at| Edit {
            at,
            change: if replace { Change::ReplaceShared(&zero) } else { Change::Remove },
        };
        let changed = apply(&document, places.into_iter().map(change).collect()).unwrap();
        model(&mut tree, "a", replace);
        prop_assert_eq!(back(&changed), tree);
        // In the one form that a document of its text has.
        prop_assert_eq!(parse(printed(&changed).as_bytes()).unwrap(), changed);
    }

    #[test]
    fn arrays_change_as_vectors_do(
        tree in tree(), at in 0..12usize, removed in 0..3usize, from in 0..12usize, to in 0..12usize,
        splice: bool,
    ) {
        fn change(tree: &mut Tree, edit: &dyn Fn(&mut Vec<Tree>)) {
            match tree {
                Tree::Array(values) => {
                    // What comes in is not changed in turn.
                    values.iter_mut().for_each(|value| change(value, edit));
                    edit(values);
                }
                Tree::Object(members) => {
                    members.iter_mut().for_each(|(_, value)| change(value, edit));
                }
                _ => {}
            }
        }
        let document = document(&tree);
        let inserted = [parse(b"\"new\"").unwrap(), parse(b"[1]").unwrap()];
        let mut places = Path::parse(b"$..*").unwrap().find(&document).unwrap();
        places.push(0);
        let edits = places.into_iter().filter_map(|place| {
            let array = Node::at(&document, place).as_array()?;
            let change = if splice {
                Change::Splice { at: at.min(array.count), removed, inserted: &inserted }
            } else {
                Change::Keep { from, to }
            };
            Some(Edit { at: place, change })
        });
        let changed = apply(&document, edits.collect()).unwrap();
        let mut tree = tree;
        change(&mut tree, &|values| {
            let count = values.len();
            if splice {
                let at = at.min(count);
                let new = [json!("new"), json!([1])];
                values.splice(at..(at + removed).min(count), new);
            } else {
                let to = to.min(count);
                let from = from.min(to);
                *values = values.drain(from..to).collect();
            }
        });
        prop_assert_eq!(back(&changed), tree);
    }

    #[test]
    fn merging_is_the_rfcs(target in tree(), patch in tree()) {
        let (one, two) = (document(&target), document(&patch));
        let merged = merge(Some(Node::root(&one)), Node::root(&two)).unwrap();
        prop_assert_eq!(back(&merged), merge_trees(target, &patch));
    }

    #[test]
    fn equal_trees_are_equal_documents(one in tree(), two in tree()) {
        let equal = Node::root(&document(&one)).equals(Node::root(&document(&two)));
        prop_assert_eq!(equal, one == two);
        let same = document(&one);
        prop_assert!(Node::root(&same).equals(Node::root(&document(&one))));
    }

    #[test]
    fn no_path_panics(path in "[$.@\\[\\]?()*:,\"'=<>!&|~ a0-9\\-\\\\]{0,30}", tree in tree()) {
        fuzz::find_path(path.as_bytes(), tree.to_string().as_bytes());
    }

    #[test]
    fn no_bytes_panic(input in prop::collection::vec(any::<u8>(), 0..60)) {
        fuzz::read_document(&input);
        fuzz::find_path(&input, b"{\"a\":[1,{\"b\":null}]}");
    }

    #[test]
    fn spoilt_text_does_not_panic(tree in tree(), at: prop::sample::Index, byte: u8) {
        let mut text = tree.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        fuzz::read_document(&text);
    }
}
