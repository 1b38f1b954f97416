//! The scripts that are known, by the SHA-1 of their text: those of `@upstash/ratelimit` 1.0.3
//! to 2.2.0 and of `upstash-ratelimit` (Python) 1.2.0.

use std::sync::LazyLock;

use super::bucket::{self, Refuses};
use super::multi::{self, Asks, Expires};
use super::{Dynamic, Inner, Native, Run, deny, fixed, sliding};
use crate::script::registry::Sha;

/// The script of a digest.
#[inline]
pub fn find(sha: &Sha) -> Option<&'static Native> {
    let known = &*SORTED;
    let at = known.binary_search_by(|native| native.sha.cmp(sha)).ok()?;
    Some(known[at])
}

static SORTED: LazyLock<Vec<&'static Native>> = LazyLock::new(|| {
    let mut sorted: Vec<_> = TABLE.iter().collect();
    sorted.sort_unstable_by_key(|native| native.sha);
    sorted
});

/// One that writes its first key.
const fn limit(hex: &str, calls: &'static [Inner], run: Run) -> Native {
    Native { sha: sha(hex), calls, writes: Some(0), run }
}

/// One that writes nothing.
const fn look(hex: &str, calls: &'static [Inner], run: Run) -> Native {
    Native { sha: sha(hex), calls, writes: None, run }
}

/// Reads 40 hex digits.
const fn sha(hex: &str) -> Sha {
    let hex = hex.as_bytes();
    assert!(hex.len() == 40, "a digest has 40 digits");
    let mut sha = [0; 20];
    let mut at = 0;
    while at < 20 {
        sha[at] = digit(hex[at * 2]) << 4 | digit(hex[at * 2 + 1]);
        at += 1;
    }
    sha
}

const fn digit(byte: u8) -> u8 {
    assert!(byte.is_ascii_digit() || byte.is_ascii_lowercase(), "a digest is lower-case hex");
    if byte.is_ascii_digit() { byte - b'0' } else { byte - b'a' + 10 }
}

const fn window(dynamic: Dynamic) -> sliding::Form {
    sliding::Form { dynamic, refunds: true, expires: true }
}

const fn bucket(dynamic: Dynamic, refuses: Refuses) -> bucket::Form {
    bucket::Form { fields: bucket::JS, dynamic, refuses, careful: true }
}

static TABLE: &[Native] = &[
    // Single region, from 2.1.0 on.
    limit("b2efc02798c8e9b471a10f9b1d5745db89923ff3", fixed::LIMIT, |work, ground, reply| {
        fixed::limit(Dynamic::Optional, work, ground, reply)
    }),
    look("823cb2a5a902d69681244f5e28e5ebb8f2a89edd", fixed::LOOK, |work, ground, reply| {
        fixed::left(Dynamic::Optional, work, ground, reply)
    }),
    limit("74740bb3d7792848093cdef586b6b6037c455fd6", sliding::LIMIT, |work, ground, reply| {
        sliding::limit(window(Dynamic::Optional), work, ground, reply)
    }),
    look("7ca36169e0fc9caedd81b4eef8e99854c157f9b5", sliding::LOOK, |work, ground, reply| {
        sliding::left(Dynamic::Optional, work, ground, reply)
    }),
    // 2.2.0.
    limit("d60be5bd3d83482ae229309f1f7425424f891204", bucket::LIMIT, |work, ground, reply| {
        let form = bucket(Dynamic::Optional, Refuses::ShortToTakers);
        bucket::limit(form, work, ground, reply)
    }),
    // 2.1.0.
    limit("a9873a8026b509e99a49a0e5a2049756c693c384", bucket::LIMIT, |work, ground, reply| {
        let form = bucket(Dynamic::Optional, Refuses::EmptyToTakers);
        bucket::limit(form, work, ground, reply)
    }),
    look("40daf4a441df736f5c99f8b77bbe176c909e5de4", bucket::LOOK, |work, ground, reply| {
        bucket::left(Dynamic::Optional, work, ground, reply)
    }),
    limit("1861a700bafe96c833a483af6b1c28a8897cfdb0", fixed::LIMIT, fixed::counted_for_ever),
    look("eb82f0e853d2fc9a236fa9bfbe704fda6ac2fc36", fixed::LOOK, fixed::used),
    // Single region, 2.0.8.
    limit("472e55443b62f60d0991028456c57815a387066d", fixed::LIMIT, |work, ground, reply| {
        fixed::limit(Dynamic::Needed, work, ground, reply)
    }),
    look("40515c9dd0a08f8584f5f9b593935f6a87c1c1c3", fixed::LOOK, |work, ground, reply| {
        fixed::left(Dynamic::Needed, work, ground, reply)
    }),
    limit("977fb636fb5ceb7e98a96d1b3a1272ba018efdae", sliding::LIMIT, |work, ground, reply| {
        sliding::limit(window(Dynamic::Needed), work, ground, reply)
    }),
    look("ee3a3265fad822f83acad23f8a1e2f5c0b156b03", sliding::LOOK, |work, ground, reply| {
        sliding::left(Dynamic::Needed, work, ground, reply)
    }),
    limit("b35c5bc0b7fdae7dd0573d4529911cabaf9d1d89", bucket::LIMIT, |work, ground, reply| {
        let form = bucket(Dynamic::Needed, Refuses::EmptyToTakers);
        bucket::limit(form, work, ground, reply)
    }),
    look("deb03663e8af5a968deee895dd081be553d2611b", bucket::LOOK, |work, ground, reply| {
        bucket::left(Dynamic::Needed, work, ground, reply)
    }),
    limit("c26b12703dd137939b9a69a3a9b18e906a2d940f", fixed::LIMIT, fixed::counted_for_ever),
    look("8e8f222ccae68b595ee6e3f3bf2199629a62b91a", fixed::LOOK, fixed::used),
    // Single region, before 2.0.8.
    limit("b13943e359636db027ad280f1def143f02158c13", fixed::LIMIT, fixed::counted),
    look("8c4c341934502aee132643ffbe58ead3450e5208", fixed::LOOK, fixed::used),
    limit("9b7842963bd73721f1a3011650c23c0010848ee3", sliding::LIMIT, |work, ground, reply| {
        sliding::limit(window(Dynamic::No), work, ground, reply)
    }),
    limit("e1391e429b699c780eb0480350cd5b7280fd9213", sliding::LIMIT, |work, ground, reply| {
        let form = sliding::Form { refunds: false, ..window(Dynamic::No) };
        sliding::limit(form, work, ground, reply)
    }),
    look("65a73ac5a05bf9712903bc304b77268980c1c417", sliding::LOOK, sliding::used),
    limit("d1f857ebbdaeca90ccd2cd4eada61d7c8e5db1ca", bucket::LIMIT, |work, ground, reply| {
        bucket::limit(bucket(Dynamic::No, Refuses::EmptyToTakers), work, ground, reply)
    }),
    limit("5bece90aeef8189a8cfd28995b479529e270b3c6", bucket::LIMIT, |work, ground, reply| {
        let form = bucket::Form { careful: false, ..bucket(Dynamic::No, Refuses::Empty) };
        bucket::limit(form, work, ground, reply)
    }),
    look("a15be2bb1db2a15f7c82db06146f9d08983900d0", bucket::LOOK, |work, ground, reply| {
        bucket::left(Dynamic::No, work, ground, reply)
    }),
    look("67f84c3691a7a22a78a9a3761b836ea40ef9dd0d", bucket::LOOK, bucket::tokens),
    // 1.0.3.
    limit("375e8c55641c07e85ce7154463000f11d3abe109", fixed::LIMIT, fixed::counted_for_ever),
    limit("ae4802a9916a31174ad87bee0251593305dfc24b", sliding::LIMIT, |work, ground, reply| {
        let form = sliding::Form { dynamic: Dynamic::No, refunds: false, expires: false };
        sliding::limit(form, work, ground, reply)
    }),
    // Several regions, from 2.1.0 on.
    limit("e04b753a75909b7f99aae4c04cf8869a8de02a9e", multi::LIMIT, |work, ground, reply| {
        multi::fixed(Expires::Yes, work, ground, reply)
    }),
    look("e066c8ce3eaca142b0894ad1541e0a58c9924819", multi::LOOK, multi::all),
    limit("aeb4d8f381e8dafc8e69041baae1324d254ded44", multi::LIMIT, |work, ground, reply| {
        multi::sliding(Asks::All, work, ground, reply)
    }),
    look("87828c1088f6a8d1f512a434ea330189982a1c0a", multi::LOOK, multi::used),
    // Several regions, before.
    limit("a8c14f3835aa87bd70e5e2116081b81664abcf5c", multi::LIMIT, |work, ground, reply| {
        multi::fixed(Expires::Yes, work, ground, reply)
    }),
    limit("8f7788c4a9c1632338c19094c0af5847bbd5a011", multi::LIMIT, |work, ground, reply| {
        multi::fixed(Expires::Never, work, ground, reply)
    }),
    look("8ab8322d0ed5fe5ac8eb08f0c2e4557f1b4816fd", multi::LOOK, multi::all),
    limit("1e7ca8dcd2d600a6d0124a67a57ea225ed62921b", multi::LIMIT, |work, ground, reply| {
        multi::sliding(Asks::All, work, ground, reply)
    }),
    limit("cb4fdc2575056df7c6d422764df0de3a08d6753b", multi::LIMIT, |work, ground, reply| {
        multi::sliding(Asks::Any, work, ground, reply)
    }),
    look("558c9306b7ec54abb50747fe0b17e5d44bd24868", multi::LOOK, multi::used),
    // The deny list, from 1.2.1 on.
    Native {
        sha: sha("e8062088fe7e67994f617766e5d766490de1afb8"),
        calls: deny::CALLS,
        writes: Some(1),
        run: deny::check,
    },
    // Python, 1.2.0.
    limit("c12c2b62113f308e4ec9102e9f49c4bc5de1dbc2", fixed::LIMIT, fixed::counted),
    limit("f8c78d62cf9f06601d3d4f605595603fd6a7a860", sliding::LIMIT, |work, ground, reply| {
        let form = sliding::Form { refunds: false, ..window(Dynamic::No) };
        sliding::limit(form, work, ground, reply)
    }),
    limit("7b6940a4ef8ef6a6e3ca32f19cb971dcc1e96b60", bucket::LIMIT, |work, ground, reply| {
        let form = bucket::Form {
            fields: bucket::PYTHON,
            careful: false,
            ..bucket(Dynamic::No, Refuses::Short)
        };
        bucket::limit(form, work, ground, reply)
    }),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::registry;

    #[test]
    fn every_script_is_found_and_no_other() {
        for native in TABLE {
            assert!(std::ptr::eq(find(&native.sha).unwrap(), native));
            let calls_writers = native.calls.iter().any(|call| call.writes());
            assert_eq!(calls_writers, native.writes.is_some());
        }
        assert_eq!(SORTED.len(), TABLE.len());
        assert!(SORTED.windows(2).all(|pair| pair[0].sha < pair[1].sha));
        assert!(find(&registry::digest(b"return 1")).is_none());
    }
}
