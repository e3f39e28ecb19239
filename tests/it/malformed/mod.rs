//! What must never pass: one table of malformed, ambiguous and too large requests, played twice,
//! against the reader alone and against the whole binary.

mod rows;

use threadbare::intake::Refusal;
use threadbare::intake::check::Limits;
use threadbare::intake::gate::content::Decoder;
use threadbare::intake::gate::head::{HeadScan, parse};

use crate::harness::{Backend, Client, Conn, Cut, Threadbare, ok};

use rows::{Row, Wanted, rows};

/// Stands behind every row that does not end in the middle. Whatever becomes of the row, this must
/// never be served.
const BEHIND: &[u8] = b"GET /behind HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// So many rows may fail before the rest is not played any more.
const MAX_FAILURES: usize = 20;

/// Reads one request of bytes that come in pieces so long: the status of its refusal, 200 where it
/// is accepted, nothing where it is incomplete.
fn read(bytes: &[u8], piece: usize) -> Option<u16> {
    let limits = Limits::default();
    let mut ends = (piece..bytes.len()).step_by(piece).chain([bytes.len()]);
    let mut scan = HeadScan::default();
    let refused = |refusal: Refusal| Some(refusal.status);
    let (mut at, mut end) = loop {
        let end = ends.next()?;
        match scan.scan(&bytes[..end], &limits) {
            Ok(None) => {}
            Ok(Some(at)) => break (at, end),
            Err(refusal) => return refused(refusal),
        }
    };
    let request = match parse(&bytes[..at], None, &limits, None) {
        Ok(request) => request,
        Err(refusal) => return refused(refusal),
    };
    let mut decoder = Decoder::new(request.framing);
    let mut output = [0; 4096];
    while !decoder.is_ended() {
        match decoder.decode(&bytes[at..end], &mut output) {
            Ok((consumed, _)) => at += consumed,
            Err(_) => return Some(400),
        }
        if at == end && !decoder.is_ended() {
            end = ends.next()?;
        }
    }
    Some(200)
}

#[test]
fn the_reader_refuses_every_row_however_it_is_split() {
    // Goal: each row gets its status before anything behind it is looked at. Trick: whole, byte by
    // byte, and with a request behind it, which must change nothing.
    for row in &rows() {
        let wanted = match row.wanted {
            Wanted::Status(status) => Some(status),
            Wanted::Closed => None,
        };
        let name = &row.name;
        assert_eq!(read(&row.bytes, row.bytes.len()), wanted, "{name}");
        // Rows that are large are so in one element: prime steps are as good as single ones.
        let piece = if row.bytes.len() > 10_000 { 997 } else { 1 };
        assert_eq!(read(&row.bytes, piece), wanted, "{name}, split");
        if wanted.is_some() {
            let bytes = [&row.bytes, BEHIND].concat();
            assert_eq!(read(&bytes, bytes.len()), wanted, "{name}, and one behind");
        }
    }
}

#[test]
fn the_table_has_no_row_twice_and_enough_of_them() {
    let rows = rows();
    assert!(rows.len() >= 130, "{} rows", rows.len());
    for (idx, row) in rows.iter().enumerate() {
        let twin = rows[..idx].iter().find(|other| other.bytes == row.bytes);
        assert!(twin.is_none(), "twice: {}", row.name);
    }
}

#[test]
fn the_binary_refuses_every_row_and_serves_the_next_client() {
    // Goal: the status, then the end of the connection; nobody behind it is hurt, and no backend
    // sees what it could read as a request. Trick: a request stands behind each row.
    let backend = Backend::start(record);
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let rows = rows();
    let mut failures = Vec::new();
    for row in &rows {
        if let Err(why) = play(&mut threadbare.client(), row) {
            failures.push(format!("{}: {why}", row.name));
        }
        assert_eq!(threadbare.get("/clean").text(), "ok", "after {}", row.name);
        // Each may have taken all of the deadline.
        assert!(failures.len() < MAX_FAILURES, "{failures:#?}");
    }
    assert!(failures.is_empty(), "{failures:#?}");
    // Everything has been answered when it ends, so what a backend has not seen by then it never
    // will.
    threadbare.stop();
    let heads = backend.seen.items();
    let notes = backend.notes.wait_for(heads.len(), "endings of requests");
    let n_clean = notes.iter().filter(|note| *note == "/clean whole").count();
    assert_eq!(n_clean, rows.len(), "{notes:?}");
    for note in &notes {
        assert!(
            note == "/clean whole" || note == "/row cut short",
            "{note} in {notes:?}"
        );
    }
}

/// Keeps every head, and notes for each what became of its content. Bytes that are no request are
/// noted too.
fn record(mut conn: Conn) -> Result<(), Cut> {
    loop {
        let head = match conn.head() {
            Err(Cut::Malformed(bytes)) => {
                conn.note(format!("no request: {bytes}"));
                return Err(Cut::Malformed(bytes));
            }
            head => head?,
        };
        let framing = head.request_framing();
        let read = framing.and_then(|framing| conn.content(framing, &mut |_| ()));
        let ending = if read.is_ok() { "whole" } else { "cut short" };
        conn.note(format!("{} {ending}", head.word(1)));
        read?;
        conn.send(ok("ok"))?;
    }
}

/// Sends the row and reads all that comes; an error says what was not as wanted.
fn play(client: &mut Client, row: &Row) -> Result<(), String> {
    // It may be refused, and the connection closed, before all is written.
    let _ = client.0.send(&row.bytes);
    match row.wanted {
        Wanted::Status(status) => {
            let _ = client.0.send(BEHIND);
            match client.try_answer("GET") {
                Ok(answer) if answer.status == status && answer.end.is_ok() => {}
                other => return Err(format!("wanted {status}, got {other:?}")),
            }
        }
        Wanted::Closed => {
            let _ = client.0.finish_sending();
            match client.try_answer("GET") {
                Ok(answer) if answer.status >= 400 => {}
                Err(Cut::Closed | Cut::Reset) => return Ok(()),
                other => return Err(format!("wanted an end, got {other:?}")),
            }
        }
    }
    match client.rest() {
        (rest, Cut::Closed | Cut::Reset) if rest.is_empty() => Ok(()),
        (rest, cut) => Err(format!(
            "wanted an end, got {} and {cut:?}",
            rest.escape_ascii()
        )),
    }
}
