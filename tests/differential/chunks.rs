//! Chunked content: ours is `Decoder`, theirs `Reply<RecvBody>` and `httparse`'s parts.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use threadbare::intake::ContentFraming;
use threadbare::intake::gate::content::Decoder;
use ureq_proto::server::{RecvRequestResult, Reply};

use crate::{Raw, hold, mutated, one_of};

/// Decoded content, and how much of the input was its.
type Decoded = Option<(Vec<u8>, usize)>;

/// The reason, whether content is of this kind, an example.
type Difference = (&'static str, fn(&[u8]) -> bool, &'static [u8]);

/// What ours accepts and `ureq-proto` alone refuses; nothing is known that `httparse` refuses.
const UREQ_PROTO: &[Difference] = &[(
    "a size line of more than 20 bytes: extensions are to be ignored (RFC 9112 §7.1.1)",
    |content| {
        content
            .split(|&byte| byte == b'\r')
            .any(|line| line.len() > 20)
    },
    b"1;0123456789012345678\r\na\r\n0\r\n\r\n",
)];

/// What another accepts and ours refuses: whether `httparse` does, and `ureq-proto`.
const STRICTER: &[(&str, [bool; 2], &[u8])] = &[
    ("a sign", [false, true], b"+1\r\na\r\n0\r\n\r\n"),
    (
        "a blank before the size",
        [false, true],
        b" 1\r\na\r\n0\r\n\r\n",
    ),
    (
        "a blank behind the size",
        [true, true],
        b"1 \r\na\r\n0\r\n\r\n",
    ),
    (
        "a vertical tab behind the size",
        [false, true],
        b"1\x0b\r\na\r\n0\r\n\r\n",
    ),
    (
        "a bare LF before the size",
        [false, true],
        b"\n1\r\na\r\n0\r\n\r\n",
    ),
    (
        "a bare LF in an extension",
        [true, true],
        b"1;\n\r\na\r\n0\r\n\r\n",
    ),
    (
        "NUL in an extension",
        [true, true],
        b"1;\0\r\na\r\n0\r\n\r\n",
    ),
    (
        "more than 16 digits",
        [false, true],
        b"00000000000000001\r\na\r\n0\r\n\r\n",
    ),
    ("a trailer that is none", [false, true], b"0\r\nA\r\n\r\n"),
    (
        "a trailer with a blank before the colon",
        [false, true],
        b"0\r\nA : b\r\n\r\n",
    ),
    (
        "a folded trailer",
        [false, true],
        b"0\r\nA: b\r\n c\r\n\r\n",
    ),
    (
        "a bare LF in a trailer",
        [true, true],
        b"0\r\nA: b\nC: d\r\n\r\n",
    ),
    ("a bare LF at the end", [true, false], b"0\r\n\n"),
];

/// What a property once failed on.
const REGRESSIONS: &[&[u8]] = &[];

/// Ours, with the input cut at these places and so much room for output.
fn ours(content: &[u8], cuts: &[usize], room: usize) -> Decoded {
    let mut decoder = Decoder::new(ContentFraming::Chunked);
    let (mut plain, mut output) = (Vec::new(), vec![0; room]);
    let mut at = 0;
    for end in cuts.iter().copied().chain([content.len()]) {
        while at < end && !decoder.is_ended() {
            let (consumed, written) = decoder.decode(&content[at..end], &mut output).ok()?;
            plain.extend_from_slice(&output[..written]);
            at += consumed;
        }
    }
    decoder.is_ended().then_some((plain, at))
}

fn ureq_proto(content: &[u8]) -> Decoded {
    let mut reply = Reply::new().ok()?;
    reply
        .try_request(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
        .ok()?;
    let Some(RecvRequestResult::RecvBody(mut reply)) = reply.proceed() else {
        return None;
    };
    let (mut plain, mut output) = (Vec::new(), vec![0; 4096]);
    let mut at = 0;
    while !reply.is_ended() {
        let (consumed, written) = reply.read(&content[at..], &mut output).ok()?;
        if consumed == 0 {
            return None;
        }
        plain.extend_from_slice(&output[..written]);
        at += consumed;
    }
    Some((plain, at))
}

fn httparse(content: &[u8]) -> Decoded {
    use httparse::Status::Complete;
    let mut plain = Vec::new();
    let mut rest = content;
    loop {
        let Ok(Complete((n, size))) = httparse::parse_chunk_size(rest) else {
            return None;
        };
        rest = &rest[n..];
        if size == 0 {
            break;
        }
        let (data, behind) = rest.split_at_checked(usize::try_from(size).ok()?)?;
        plain.extend_from_slice(data);
        rest = behind.strip_prefix(b"\r\n")?;
    }
    let mut lines = [httparse::EMPTY_HEADER; 100];
    let Ok(Complete((n, _))) = httparse::parse_headers(rest, &mut lines) else {
        return None;
    };
    Some((plain, content.len() - rest.len() + n))
}

/// Whether ours accepts it; an error where another then differs, or a split makes a difference.
fn compare(content: &[u8], cuts: &[usize], room: usize) -> Result<bool, String> {
    let whole = ours(content, &[], 4096);
    let split = ours(content, cuts, room);
    if split != whole {
        return Err(format!(
            "split at {cuts:?}, room for {room}: {split:?}, else {whole:?}"
        ));
    }
    if whole.is_none() {
        return Ok(false);
    }
    let theirs = httparse(content);
    if theirs != whole {
        return Err(format!("httparse: {theirs:?}, ours {whole:?}"));
    }
    let theirs = ureq_proto(content);
    if theirs != whole && !UREQ_PROTO.iter().any(|(_, is_one, _)| is_one(content)) {
        return Err(format!("ureq-proto: {theirs:?}, ours {whole:?}"));
    }
    Ok(true)
}

const EXTENSIONS: &[&str] = &[
    "",
    "",
    "",
    "",
    ";",
    ";a",
    ";a=b",
    " ;a",
    "\t; a = \"b;c\"",
    ";\u{e9}",
    " ",
    ";a\0",
];
const TRAILERS: &[&str] = &[
    "",
    "",
    "",
    "A: b\r\n",
    "A:\r\nB: \tc \r\n",
    "A : b\r\n",
    "A\r\n",
    " A: b\r\n",
];

fn chunk() -> impl Strategy<Value = Vec<u8>> {
    let data = prop::collection::vec(prop::sample::select(&b"a0\r\n;"[..]), 1..20);
    let size = prop_oneof![Just(0_usize), Just(1), Just(4), Just(15)];
    (data, size, any::<bool>(), one_of(EXTENSIONS)).prop_map(
        |(data, zeros, is_upper, extension)| {
            let size = format!("{}{:x}", "0".repeat(zeros), data.len());
            let size = if is_upper { size.to_uppercase() } else { size };
            [size.as_bytes(), &extension, b"\r\n", &data, b"\r\n"].concat()
        },
    )
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let chunks = prop::collection::vec(chunk(), 0..4).prop_map(|chunks| chunks.concat());
    let last = (one_of(&["0", "000"]), one_of(EXTENSIONS), one_of(TRAILERS));
    let behind = one_of(&["", "0\r\n\r\n", "GET / HTTP/1.1\r\n"]);
    (chunks, last, behind).prop_map(|(chunks, (zero, extension, trailers), behind)| {
        let last = [&zero, &extension, &b"\r\n"[..], &trailers, b"\r\n"].concat();
        [chunks, last, behind].concat()
    })
}

#[test]
fn what_ours_accepts_the_others_decode_the_same_however_it_is_split() {
    // Goal: nobody behind us finds another end of the content than we did. Trick: nearly valid
    // content, cut at random; the counts show that the property is not empty.
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..8);
    let made = (mutated(content(), 3), cuts, 1..20_usize);
    let (n_cases, n_accepted) = (Cell::new(0), Cell::new(0));
    hold(6_000, &made, |(Raw(content), cuts, room)| {
        n_cases.set(n_cases.get() + 1);
        let mut cuts: Vec<usize> = cuts
            .iter()
            .map(|cut| cut.index(content.len() + 1))
            .collect();
        cuts.sort_unstable();
        let is_accepted = compare(&content, &cuts, room).map_err(TestCaseError::fail)?;
        n_accepted.set(n_accepted.get() + usize::from(is_accepted));
        Ok(())
    });
    let (n_cases, n_accepted) = (n_cases.get(), n_accepted.get());
    println!("{n_accepted} of {n_cases} contents are accepted");
    assert!(
        n_accepted * 20 > n_cases && n_accepted * 2 < n_cases,
        "{n_accepted} of {n_cases}"
    );
}

#[test]
fn regressions_stay_fixed() {
    for content in REGRESSIONS {
        let cuts: Vec<usize> = (0..content.len()).collect();
        assert_eq!(
            compare(content, &cuts, 1).err(),
            None,
            "{}",
            content.escape_ascii()
        );
    }
}

#[test]
fn every_difference_is_still_one() {
    for (reason, is_one, example) in UREQ_PROTO {
        assert!(
            ours(example, &[], 4096).is_some() && is_one(example),
            "{reason}"
        );
        assert_eq!(ureq_proto(example), None, "ureq-proto agrees now: {reason}");
    }
}

#[test]
fn what_others_accept_and_ours_refuses_is_known() {
    for (what, accepted, content) in STRICTER {
        assert_eq!(ours(content, &[], 4096), None, "{what}");
        let theirs = [httparse(content).is_some(), ureq_proto(content).is_some()];
        assert_eq!(theirs, *accepted, "{what}");
    }
}
