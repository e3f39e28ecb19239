//! What an answer means, however it is cut into pieces.

use super::*;
use crate::pool::Statuses;
use crate::pool::probe::content::MAX_SEARCHED_BYTES;

fn plain() -> HttpProbe {
    HttpProbe {
        path: "/".to_owned(),
        host: None,
        expect: Statuses(vec![(200, 299), (304, 304)]),
        text: None,
        drain_field: Some("X-Drain".to_owned()),
    }
}

fn with_text(text: &str) -> HttpProbe {
    HttpProbe {
        text: Some(text.to_owned()),
        ..plain()
    }
}

/// What is found in the answer when it comes in pieces of so many bytes, and then ends.
fn find(probe: &HttpProbe, bytes: &[u8], piece: usize) -> Found {
    let mut answer = Answer::new(probe.clone());
    bytes
        .chunks(piece)
        .find_map(|bytes| answer.read(bytes))
        .unwrap_or_else(|| answer.end())
}

/// The goal: where an answer is cut means nothing. The trick: each in pieces of every size.
#[track_caller]
fn assert_found(probe: &HttpProbe, cases: &[(&str, Found)]) {
    for (bytes, wanted) in cases {
        for piece in 1..=bytes.len().max(1) {
            let found = find(probe, bytes.as_bytes(), piece);
            assert_eq!(found, *wanted, "{bytes:?} in pieces of {piece}");
        }
    }
}

#[test]
fn a_head_says_whether_a_backend_is_well() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n";
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let cases = [
        (good, Found::Good),
        ("HTTP/1.0 204 No Content\r\n\r\n", Found::Good),
        ("HTTP/1.1 299 \r\n\r\n", Found::Good),
        ("HTTP/1.1 299\r\n\r\n", Found::Good),
        ("HTTP/1.1 200 OK\n\n", Found::Good),
        ("HTTP/1.1 300 More\r\n\r\n", ill("answered 300")),
        ("HTTP/1.1 500 Oh\r\n\r\n", ill("answered 500")),
        ("HTTP/1.1 503 Busy\r\n\r\n", ill("answered 503")),
        ("HTTP/1.1 503 Busy\r\nx-drain:\r\n\r\n", Found::Draining),
        ("HTTP/1.1 500 Oh\r\nX-Drain: 1\r\n\r\n", ill("answered 500")),
        ("HTTP/1.1 200 OK\r\nX-Drain: 1\r\n\r\n", Found::Good),
        (&format!("{interim}{good}"), Found::Good),
        (
            &format!("{interim}HTTP/1.1 404 No\r\n\r\n"),
            ill("answered 404"),
        ),
        ("HTTP/1.1 101 Yes\r\n\r\n", ill("answered 101")),
        (interim, ill(BROKEN_OFF)),
        ("", ill("closed without an answer")),
        ("HTTP/1.1 200 OK\r\nContent-", ill(BROKEN_OFF)),
        ("HTT", ill(BROKEN_OFF)),
        ("hello\r\n\r\n", ill(MALFORMED)),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", ill(MALFORMED)),
        ("HTTP/2.0 200 OK\r\n\r\n", ill(MALFORMED)),
        ("HTTP/1.1 2x0 OK\r\n\r\n", ill(MALFORMED)),
        ("HTTP/1.1 200 OK\r\nno field\r\n\r\n", ill(MALFORMED)),
        ("HTTP/1.1 100 Continue\r\n\r\nhello", ill(MALFORMED)),
    ];
    assert_found(&plain(), &cases);
}

#[test]
fn without_a_name_no_field_drains() {
    let probe = HttpProbe {
        drain_field: None,
        ..plain()
    };
    let answer = "HTTP/1.1 503 Busy\r\nX-Drain: 1\r\n\r\n";
    assert_found(&probe, &[(answer, ill("answered 503"))]);
}

fn ok(rest: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{rest}")
}

fn chunked(rest: &str) -> String {
    ok(&format!("Transfer-Encoding: chunked\r\n\r\n{rest}"))
}

fn missing() -> Found {
    ill("its text is not in the answer")
}

/// What is found in these when the probe looks for `well`.
#[track_caller]
fn assert_well(cases: &[(String, Found)]) {
    let cases: Vec<_> = cases
        .iter()
        .map(|(bytes, found)| (bytes.as_str(), found.clone()))
        .collect();
    assert_found(&with_text("well"), &cases);
}

#[test]
fn a_text_is_found_in_content_of_every_framing() {
    let cases = [
        (ok("\r\nall is well"), Found::Good),
        (ok("\r\nall is"), missing()),
        (ok("\r\n"), missing()),
        (ok("Content-Length: 8\r\n\r\nis wellX"), Found::Good),
        (ok("Content-Length: 7\r\n\r\nis wellX"), Found::Good),
        (ok("Content-Length: 6\r\n\r\nis wellX"), missing()),
        (ok("Content-Length: 0\r\n\r\nwell"), missing()),
        (ok("Content-Length: 9\r\n\r\nis wel"), ill(BROKEN_OFF)),
        // found before it breaks off: it need not be waited for
        (ok("Content-Length: 9\r\n\r\nis well"), Found::Good),
        (
            ok("Content-Length: 4\r\ncontent-length: 4 \r\n\r\nwell"),
            Found::Good,
        ),
        (
            ok("Content-Length: 4\r\nContent-Length: 5\r\n\r\nwell"),
            ill(MALFORMED),
        ),
        (ok("Content-Length: +4\r\n\r\nwell"), ill(MALFORMED)),
        (ok("Content-Length: \r\n\r\nwell"), ill(MALFORMED)),
        (
            ok("Content-Length: 99999999999999999999\r\n\r\nwell"),
            ill(MALFORMED),
        ),
        (
            ok("Transfer-Encoding: gzip, Chunked\r\n\r\n4\r\nwell\r\n"),
            Found::Good,
        ),
        (
            ok("Transfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nwell"),
            Found::Good,
        ),
        ("HTTP/1.1 204 No\r\n\r\nwell".to_owned(), missing()),
        (
            "HTTP/1.1 304 No\r\nContent-Length: 4\r\n\r\nwell".to_owned(),
            missing(),
        ),
        // the status comes first
        (
            "HTTP/1.1 500 Oh\r\n\r\nwell".to_owned(),
            ill("answered 500"),
        ),
    ];
    assert_well(&cases);
    let nothing = ok("Content-Length: 0\r\n\r\n");
    assert_found(&with_text(""), &[(&nothing, Found::Good)]);
    let umlaut = ok("\r\nes lüft");
    assert_found(&with_text("ü"), &[(&umlaut, Found::Good)]);
}

#[test]
fn a_text_is_found_across_chunks() {
    let cases = [
        (chunked("7\r\nis well\r\n0\r\n\r\n"), Found::Good),
        (
            chunked("5\r\nis we\r\n2;a=\"b\"\r\nll\r\n0\r\n\r\n"),
            Found::Good,
        ),
        (chunked("5\nis we\n002 \nll\n0\n\n"), Found::Good),
        (chunked("A\r\nit is wel\r\n\r\n1\r\nl"), ill(MALFORMED)),
        (chunked("a\r\nit is well"), Found::Good),
        (chunked("3\r\nwel\r\n0\r\n\r\nl"), missing()),
        (chunked("3\r\nwel\r\n000;x\r\nl"), missing()),
        (chunked("3\r\nwel\r\n"), ill(BROKEN_OFF)),
        (chunked("wel\r\n"), ill(MALFORMED)),
        (chunked("\r\nwel\r\n"), ill(MALFORMED)),
        (chunked("3\r\nwell\r\n"), ill(MALFORMED)),
        (chunked("0000000000000004\r\nwell"), Found::Good),
        (chunked("00000000000000004\r\nwell"), ill(MALFORMED)),
        (chunked("ffffffffffffffff\r\nwell"), Found::Good),
    ];
    assert_well(&cases);
}

#[test]
fn a_text_is_looked_for_in_the_first_64_kib() {
    let missing = ill("its text is not in the answer");
    for (n_before, wanted) in [
        (MAX_SEARCHED_BYTES - 4, &Found::Good),
        (MAX_SEARCHED_BYTES - 3, &missing),
    ] {
        let content = "-".repeat(n_before) + "well" + &"-".repeat(9);
        let to_end = format!("HTTP/1.1 200 OK\r\n\r\n{content}");
        let chunks = content.as_bytes().chunks(1000).map(|chunk| {
            let chunk = String::from_utf8_lossy(chunk);
            format!("{:x}\r\n{chunk}\r\n", chunk.len())
        });
        let chunks: String = chunks.collect();
        let chunked =
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
        for (bytes, piece) in [
            (&to_end, 4096),
            (&to_end, 7),
            (&chunked, 4096),
            (&chunked, 7),
        ] {
            let found = find(&with_text("well"), bytes.as_bytes(), piece);
            assert_eq!(found, *wanted, "{n_before} before, pieces of {piece}");
        }
    }
    // Content without an end needs none.
    let mut answer = Answer::new(with_text("well"));
    assert_eq!(answer.read(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    let n_reads = (0..1000).position(|_| answer.read(&[b'-'; 4096]).is_some());
    assert_eq!(n_reads, Some(15));
}

#[test]
fn a_head_is_16_kib_at_most_with_all_interim_ones() {
    let too_long = ill("the answer's head is too long");
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(10);
    for before in ["", &interim] {
        for (n, wanted) in [
            (MAX_HEAD_BYTES, &Found::Good),
            (MAX_HEAD_BYTES + 1, &too_long),
        ] {
            let mut head = format!("{before}HTTP/1.1 200 OK\r\nA: ");
            let n_value = n - head.len() - 4;
            head += &"a".repeat(n_value);
            head += "\r\n\r\n";
            assert_eq!(head.len(), n);
            for piece in [1, 4096, n] {
                let found = find(&plain(), head.as_bytes(), piece);
                assert_eq!(found, *wanted, "{n} bytes in pieces of {piece}");
            }
        }
    }
    let endless = [
        "HTTP/1.1 200 OK\r\nA: ".to_owned() + &"a".repeat(MAX_HEAD_BYTES),
        "HTTP/1.1 200 ".to_owned() + &"a".repeat(MAX_HEAD_BYTES),
        "HTTP/1.1 102 Processing\r\n\r\n".repeat(1000),
    ];
    for bytes in endless {
        assert_eq!(find(&plain(), bytes.as_bytes(), 4096), too_long);
    }
    let fields = "HTTP/1.1 200 OK\r\n".to_owned() + &"A: a\r\n".repeat(MAX_FIELDS);
    let most = fields.clone() + "\r\n";
    assert_eq!(find(&plain(), most.as_bytes(), 4096), Found::Good);
    let more = fields + "A: a\r\n\r\n";
    assert_eq!(find(&plain(), more.as_bytes(), 4096), ill(MALFORMED));
}

proptest::proptest! {
    // Goal: no bytes make it panic, and the pieces they come in mean nothing. Trick: bytes near
    // enough to an answer to get past its first line.
    #[test]
    fn any_bytes_are_some_finding(
        head in "HTTP/1\\.[01] (100|200|503) [A-z]{0,3}\r\n([A-z-]{1,3}: [a-z,]{0,3}\r?\n){0,3}",
        framing in proptest::sample::select(vec![
            "\r\n", "Transfer-Encoding: chunked\r\n\r\n", "Content-Length: 9\r\n\r\n",
        ]),
        content in "([0-9a-f]{0,2}\r\n|well|;|[a-z]|\r\n){0,9}",
        noise in proptest::collection::vec(proptest::num::u8::ANY, 0..9),
        piece in 1_usize..40,
    ) {
        let mut bytes = format!("{head}{framing}{content}").into_bytes();
        bytes.extend(noise);
        for probe in [plain(), with_text("well")] {
            let whole = find(&probe, &bytes, bytes.len());
            proptest::prop_assert_eq!(find(&probe, &bytes, piece), whole);
        }
    }
}
