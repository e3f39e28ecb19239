//! Our reading of requests against other people's: `httparse`, and `ureq-proto`'s server half.
//!
//! Nearly valid requests are made up, mutated and split at random. Whatever ours accepts, the
//! others must accept and read the same; where they don't, `heads.rs` and `chunks.rs` each have one
//! table that says so and why, and a test that every line of it still holds. What the others accept
//! and ours refuses is shown in a second table.
//!
//! `make test` plays a few thousand cases, anew each time. `PROPTEST_CASES=1000000 cargo test
//! --release --test differential` plays more. A case that fails is shrunk and printed, and belongs
//! into the table of regressions.

mod chunks;
mod heads;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

/// Runs a property on this many cases, unless the environment says another number.
#[track_caller]
fn hold<S: Strategy>(
    n_cases: u32,
    made: &S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let asked = std::env::var("PROPTEST_CASES").ok();
    let asked = asked.and_then(|n| n.parse().ok());
    let config = Config {
        failure_persistence: None,
        cases: asked.unwrap_or(n_cases),
        ..Config::default()
    };
    match TestRunner::new(config).run(made, property) {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => panic!("{why}\nfor {case:?}"),
        Err(TestError::Abort(why)) => panic!("given up: {why}"),
    }
}

/// Bytes that print as they would be written in a table.
#[derive(Clone)]
struct Raw(Vec<u8>);

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// One change to a few bytes.
#[derive(Clone, Copy, Debug)]
enum Change {
    Replace,
    Insert,
    Remove,
    Swap,
    Double,
}

/// The same bytes with up to so many changes, mostly none.
fn mutated(bytes: impl Strategy<Value = Vec<u8>>, most: usize) -> impl Strategy<Value = Raw> {
    let change = prop_oneof![
        Just(Change::Replace),
        Just(Change::Insert),
        Just(Change::Remove),
        Just(Change::Swap),
        Just(Change::Double),
    ];
    let byte = prop_oneof![
        3 => prop::sample::select(&b"\r\n \t:;,/0159afAF\0\x0b\x0c\x7f_-+#%*\"\\\xe9\xff"[..]),
        1 => any::<u8>(),
    ];
    let changes = prop_oneof![
        1 => Just(Vec::new()).boxed(),
        1 => prop::collection::vec((change, any::<prop::sample::Index>(), byte), 0..=most).boxed(),
    ];
    (bytes, changes).prop_map(|(mut bytes, changes)| {
        for (change, at, byte) in changes {
            if bytes.len() < 2 {
                break;
            }
            let at = at.index(bytes.len() - 1);
            match change {
                Change::Replace => bytes[at] = byte,
                Change::Insert => bytes.insert(at, byte),
                Change::Remove => drop(bytes.remove(at)),
                Change::Swap => bytes.swap(at, at + 1),
                Change::Double => bytes.insert(at, bytes[at]),
            }
        }
        Raw(bytes)
    })
}

/// One of these texts.
fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(texts).prop_map(|text| text.as_bytes().to_vec())
}
