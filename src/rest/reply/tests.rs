//! The sink against a model: whatever is written into it, serde_json reads the same back.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A reply as a command would give it.
#[derive(Clone, Debug)]
enum Model {
    Status(&'static str),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Null,
    NullArray,
    Double(f64),
    Verbatim(String),
    Array(Vec<Model>),
    Set(Vec<Model>),
    Map(Vec<(Model, Model)>),
}

impl Model {
    fn write(&self, reply: &mut dyn Reply) {
        match self {
            Model::Status(text) => reply.status(text),
            Model::Error(text) => reply.error(text),
            Model::Integer(value) => reply.integer(*value),
            Model::Bulk(bytes) => reply.bulk(bytes),
            Model::Null => reply.null(),
            Model::NullArray => reply.null_array(),
            Model::Double(value) => reply.double(*value),
            Model::Verbatim(text) => reply.verbatim(text),
            Model::Array(items) => {
                reply.array(items.len());
                items.iter().for_each(|item| item.write(reply));
            }
            Model::Set(items) => {
                reply.set(items.len());
                items.iter().for_each(|item| item.write(reply));
            }
            Model::Map(pairs) => {
                reply.map(pairs.len());
                for (key, value) in pairs {
                    key.write(reply);
                    value.write(reply);
                }
            }
        }
    }

    /// What the reply is in JSON.
    fn value(&self, encoding: Encoding, is_top: bool) -> Value {
        let string = |bytes: &[u8]| match encoding {
            Encoding::Plain => json!(String::from_utf8_lossy(bytes)),
            Encoding::Base64 => json!(STANDARD.encode(bytes)),
        };
        let list = |items: &[Model]| {
            items.iter().map(|item| item.value(encoding, false)).collect::<Vec<_>>()
        };
        match self {
            Model::Status("OK") if is_top => json!("OK"),
            Model::Status(text) => string(text.as_bytes()),
            Model::Error(text) | Model::Verbatim(text) => string(text.as_bytes()),
            Model::Integer(value) if value.unsigned_abs() >= 1 << 53 => {
                string(value.to_string().as_bytes())
            }
            Model::Integer(value) => json!(value),
            Model::Bulk(bytes) => string(bytes),
            Model::Null | Model::NullArray => Value::Null,
            Model::Double(value) => string(format_double(*value).as_bytes()),
            Model::Array(items) | Model::Set(items) => json!(list(items)),
            Model::Map(pairs) => {
                let both = |(key, value): &(Model, Model)| [key.clone(), value.clone()];
                json!(list(&pairs.iter().flat_map(both).collect::<Vec<_>>()))
            }
        }
    }

    /// The object that answers with it.
    fn object(&self, encoding: Encoding) -> Value {
        match self {
            Model::Error(text) => json!({ "error": text }),
            other => json!({ "result": other.value(encoding, true) }),
        }
    }
}

fn models() -> impl Strategy<Value = Model> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["OK", "PONG", "QUEUED", "a\"b"]).prop_map(Model::Status),
        any::<String>().prop_map(Model::Error),
        any::<i64>().prop_map(Model::Integer),
        (-2i64..3).prop_map(|near| Model::Integer((1 << 53) + near)),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(Model::Bulk),
        any::<String>().prop_map(|text| Model::Bulk(text.into_bytes())),
        Just(Model::Bulk(b"OK".to_vec())),
        Just(Model::Null),
        Just(Model::NullArray),
        any::<f64>().prop_map(Model::Double),
        any::<String>().prop_map(Model::Verbatim),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Model::Array),
            prop::collection::vec(inner.clone(), 0..5).prop_map(Model::Set),
            prop::collection::vec((inner.clone(), inner), 0..3).prop_map(Model::Map),
        ]
    })
}

fn written(model: &Model, encoding: Encoding) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let mut reply = JsonReply::new(&mut out, encoding);
    model.write(&mut reply);
    let failed = reply.failed();
    (out, failed)
}

fn read(out: &[u8]) -> Value {
    serde_json::from_slice(out)
        .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(out)))
}

proptest! {
    #[test]
    fn what_is_written_is_read(model in models()) {
        for encoding in [Encoding::Plain, Encoding::Base64] {
            let (out, failed) = written(&model, encoding);
            prop_assert_eq!(read(&out), model.object(encoding));
            prop_assert_eq!(failed, matches!(model, Model::Error(_)));
        }
    }

    #[test]
    fn a_transaction_is_an_array_of_objects(models in prop::collection::vec(models(), 0..6)) {
        for encoding in [Encoding::Plain, Encoding::Base64] {
            let mut out = Vec::new();
            let mut reply = JsonReply::items(&mut out, encoding);
            reply.array(models.len());
            models.iter().for_each(|model| model.write(&mut reply));
            prop_assert!(!reply.failed());
            let wanted: Vec<Value> = models.iter().map(|model| model.object(encoding)).collect();
            prop_assert_eq!(read(&out), json!(wanted));
        }
    }

    #[test]
    fn what_is_too_large_is_an_error(models in prop::collection::vec(models(), 1..6), most in 0usize..400) {
        let mut out = Vec::new();
        let mut reply = JsonReply::items(&mut out, Encoding::Plain).bounded(most);
        reply.array(models.len());
        models.iter().for_each(|model| model.write(&mut reply));
        let answers = read(&out);
        let answers = answers.as_array().unwrap();
        prop_assert_eq!(answers.len(), models.len());
        let mut length = 1;
        for (answer, model) in answers.iter().zip(&models) {
            let whole = written(model, Encoding::Plain).0;
            if length + whole.len() <= most {
                prop_assert_eq!(answer, &model.object(Encoding::Plain));
            } else {
                prop_assert_eq!(answer, &json!({ "error": TOO_LARGE }));
            }
            length += answer.to_string().len() + 1;
        }
    }

    /// Long enough for the vectors and what is left behind them.
    #[test]
    fn strings_are_escaped_wherever_it_is_needed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut out = Vec::new();
        write_string(&mut out, &bytes);
        prop_assert_eq!(read(&out), json!(String::from_utf8_lossy(&bytes)));
    }
}

fn text(model: &Model, encoding: Encoding) -> String {
    String::from_utf8(written(model, encoding).0).unwrap()
}

#[test]
fn only_a_status_ok_at_the_top_stays_bare() {
    let bare = "{\"result\":\"OK\"}";
    assert_eq!(text(&Model::Status("OK"), Encoding::Base64), bare);
    for (model, wanted) in [
        (Model::Bulk(b"OK".to_vec()), r#"{"result":"T0s="}"#),
        (Model::Status("PONG"), r#"{"result":"UE9ORw=="}"#),
        (Model::Array(vec![Model::Status("OK")]), r#"{"result":["T0s="]}"#),
        (Model::Bulk(Vec::new()), r#"{"result":""}"#),
        (Model::Integer(i64::MAX), r#"{"result":"OTIyMzM3MjAzNjg1NDc3NTgwNw=="}"#),
        (Model::Error("ERR x".to_owned()), r#"{"error":"ERR x"}"#),
    ] {
        assert_eq!(text(&model, Encoding::Base64), wanted);
    }
}

#[test]
fn an_answer_is_not_gathered_beyond_its_bound() {
    let mut out = b"before".to_vec();
    let mut reply = JsonReply::new(&mut out, Encoding::Base64).bounded(1000);
    reply.array(1000);
    for _ in 0..1000 {
        reply.bulk(&[b'x'; 1000]);
    }
    assert!(reply.failed());
    assert!(out.capacity() < 20_000, "{}", out.capacity());
    assert_eq!(read(&out[6..]), json!({ "error": TOO_LARGE }));
}

#[test]
fn shapes_in_plain_json() {
    let pair = (Model::Bulk(b"f".to_vec()), Model::Integer(1));
    for (model, wanted) in [
        (Model::Map(vec![pair]), r#"{"result":["f",1]}"#),
        (Model::Array(vec![]), r#"{"result":[]}"#),
        (Model::Array(vec![Model::Array(vec![]), Model::Null]), r#"{"result":[[],null]}"#),
        (Model::Double(3.5), r#"{"result":"3.5"}"#),
        (Model::Integer((1 << 53) - 1), r#"{"result":9007199254740991}"#),
        (Model::Integer(-(1 << 53)), r#"{"result":"-9007199254740992"}"#),
        (Model::Bulk(b"a\xffb".to_vec()), "{\"result\":\"a\u{fffd}b\"}"),
        (
            Model::Bulk(b"\"\\\n\r\t\x08\x0c\x00\x1f\x7f".to_vec()),
            "{\"result\":\"\\\"\\\\\\n\\r\\t\\b\\f\\u0000\\u001f\x7f\"}",
        ),
    ] {
        assert_eq!(text(&model, Encoding::Plain), wanted);
    }
}
