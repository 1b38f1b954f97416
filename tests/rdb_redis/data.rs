//! The same data for either side.

use eave::rdb::{HashField, Listpack, Value};

pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

pub(crate) fn long_text() -> Vec<u8> {
    (0..4000u32).flat_map(|i| format!("line {} of a text; ", i / 7).into_bytes()).collect()
}

pub(crate) fn binary() -> Vec<u8> {
    let mut noise = Noise(7);
    (0..5000).map(|_| noise.next() as u8).collect()
}

pub(crate) fn strings() -> Vec<(&'static str, Vec<u8>)> {
    let mut strings = vec![
        ("empty", Vec::new()),
        ("long", long_text()),
        ("binary", binary()),
        ("run", vec![b'x'; 70_000]),
        ("12345", b"a key that is a number".to_vec()),
        ("zeros", b"007".to_vec()),
    ];
    let numbers = [0, -1, 127, 128, -129, 32_767, 32_768, -40_000, 1 << 31, i64::MIN];
    let names = ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"];
    strings.extend(names.into_iter().zip(numbers.map(|n| n.to_string().into_bytes())));
    strings
}

pub(crate) fn hash(count: usize) -> Fields {
    (0..count)
        .map(|i| match i % 4 {
            0 => (format!("field {i}").into_bytes(), format!("value {i}").into_bytes()),
            1 => (format!("{i}").into_bytes(), format!("{}", i * i * 7919).into_bytes()),
            2 => (format!("-{i}").into_bytes(), Vec::new()),
            _ => (vec![0xff, i as u8, (i >> 8) as u8, 0], vec![b'y'; i % 64]),
        })
        .collect()
}

pub(crate) fn hashes() -> Vec<(&'static str, Fields, &'static str)> {
    vec![
        ("one", hash(1), "listpack"),
        ("small", hash(100), "listpack"),
        ("big", hash(5000), "hashtable"),
        ("wide", vec![(b"f".to_vec(), long_text())], "hashtable"),
    ]
}

/// Sets with their encodings.
pub(crate) fn sets() -> Vec<(&'static str, Vec<Vec<u8>>, &'static str)> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let numbers = |count: i64, step: i64| {
        (0..count).map(|n| ((n - count / 2) * step).to_string().into_bytes()).collect()
    };
    vec![
        ("i2", numbers(9, 7), "intset"),
        ("i4", numbers(500, 70_000), "intset"),
        ("i8", texts(&["-9223372036854775808", "0", "9223372036854775807"]), "intset"),
        ("many", numbers(600, 1), "hashtable"),
        ("members", texts(&["a", "1", "", "007", "9223372036854775808"]), "hashtable"),
        ("wide set", vec![long_text(), binary()], "hashtable"),
        ("big set", hash(5000).into_iter().map(|(field, _)| field).collect(), "hashtable"),
    ]
}

pub(crate) fn set_of(members: &[Vec<u8>]) -> Value {
    sorted(Value::Set(members.to_vec()))
}

/// The width that an intset of these members has, and their bytes.
pub(crate) fn intset(members: &[Vec<u8>]) -> (u8, Vec<u8>) {
    let read = |member: &Vec<u8>| String::from_utf8_lossy(member).parse().unwrap();
    let mut integers: Vec<i64> = members.iter().map(read).collect();
    integers.sort_unstable();
    let fits = |bits: u32| integers.iter().all(|n| *n << (64 - bits) >> (64 - bits) == *n);
    let width = if fits(16) {
        2
    } else if fits(32) {
        4
    } else {
        8
    };
    let bytes = integers.iter().flat_map(|n| n.to_le_bytes()[..usize::from(width)].to_vec());
    (width, bytes.collect())
}

/// Lists, the names saying what is special about them.
pub(crate) fn lists() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let numbers = [0, 1, -1, 127, 128, 4095, -4096, 4096, 1 << 23, i64::MIN, i64::MAX];
    let each = |count: usize| -> Vec<Vec<u8>> {
        hash(count).into_iter().flat_map(|(field, value)| [field, value]).collect()
    };
    vec![
        ("one element", vec![b"a".to_vec()]),
        ("elements", [&b"a"[..], b"", b"007", b"a", b"\x00\xff"].map(<[u8]>::to_vec).into()),
        ("numbers", numbers.iter().map(|n| n.to_string().into_bytes()).collect()),
        ("a long list", each(3000)),
        ("large elements", vec![long_text(), b"x".to_vec(), binary(), long_text(), Vec::new()]),
        ("lengths", (0..140).chain([4095, 4096, 8170, 8200]).map(|n| vec![b'z'; n]).collect()),
    ]
}

pub(crate) fn list_of(elements: &[Vec<u8>]) -> Value {
    Value::List(elements.iter().collect())
}

pub(crate) fn value_of(fields: &[(Vec<u8>, Vec<u8>)]) -> Value {
    let fields = fields.iter().cloned();
    sorted(Value::Hash(
        fields.map(|(field, value)| HashField { field, value, expire_at_ms: None }).collect(),
    ))
}

/// Hash tables have no order of their own.
pub(crate) fn sorted(mut value: Value) -> Value {
    if let Value::Hash(fields) = &mut value {
        fields.sort_by(|a, b| a.field.cmp(&b.field));
    }
    if let Value::Set(members) = &mut value {
        members.sort();
    }
    value
}

pub(crate) fn listpack(fields: &[(Vec<u8>, Vec<u8>)]) -> Listpack {
    let mut packed = Listpack::new();
    for (field, value) in fields {
        packed.push(field).unwrap();
        packed.push(value).unwrap();
    }
    packed
}

/// Enough of a random number generator for a test to be repeatable.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
