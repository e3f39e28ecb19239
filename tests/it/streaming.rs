//! Content that flows: flat memory, events one by one, and ends that reach the other side.

use std::sync::mpsc::channel;

use crate::harness::{Backend, Client, Conn, Cut, DEADLINE, Framing, Gate, Pattern, Threadbare};

const GIB: usize = 1 << 30;
const PIECE: usize = 256 * 1024;

/// Resident memory must stay below this, whatever flows.
#[cfg(target_os = "linux")]
const MAX_RESIDENT_KIB: u64 = 40 * 1024;

#[track_caller]
fn assert_memory_is_flat(threadbare: &Threadbare) {
    #[cfg(target_os = "linux")]
    for name in ["VmRSS", "VmHWM"] {
        let kib = threadbare.memory_kib(name);
        assert!(kib < MAX_RESIDENT_KIB, "{name} is {kib} KiB");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = threadbare;
}

/// Sends `length` bytes of the pattern, as chunks if wanted.
fn pour(
    length: usize,
    framing: Framing,
    send: &mut dyn FnMut(&[u8]) -> Result<(), Cut>,
) -> Result<(), Cut> {
    let mut pattern = Pattern::new();
    while pattern.len() < length {
        let piece = pattern.take(PIECE.min(length - pattern.len()));
        if framing == Framing::Chunked {
            send(format!("{:x}\r\n", piece.len()).as_bytes())?;
            send(&piece)?;
            send(b"\r\n")?;
        } else {
            send(&piece)?;
        }
    }
    if framing == Framing::Chunked {
        send(b"0\r\n\r\n")
    } else {
        Ok(())
    }
}

fn field(framing: Framing) -> String {
    match framing {
        Framing::Sized(length) => format!("Content-Length: {length}\r\n"),
        Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
        Framing::None | Framing::UntilClose => String::new(),
    }
}

/// One download of this length, every byte checked, memory looked at all the way.
#[track_caller]
fn download(length: usize, framing: Framing) {
    let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", field(framing));
    let backend = Backend::start(move |mut conn| {
        conn.request()?;
        conn.send(&head)?;
        pour(length, framing, &mut |bytes| conn.send(bytes))
    });
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send("GET / HTTP/1.1\r\nHost: front.test\r\n\r\n");
    let head = client.head().expect("the head comes");
    let (mut checker, mut looked_at) = (Pattern::new(), 0);
    let came = head.answer_framing("GET").expect("it is one framing");
    let end = client.0.content(came, &mut |piece| {
        checker.check(piece);
        if checker.len() - looked_at > length / 16 {
            looked_at = checker.len();
            assert_memory_is_flat(&threadbare);
        }
    });
    assert_eq!((end, checker.len()), (Ok(()), length));
    assert_memory_is_flat(&threadbare);
}

/// One upload of this length, every byte checked, memory looked at all the way.
#[track_caller]
fn upload(length: usize, framing: Framing) {
    let backend = Backend::start(|mut conn| {
        let head = conn.head()?;
        let mut checker = Pattern::new();
        conn.content(head.request_framing()?, &mut |piece| checker.check(piece))?;
        conn.send(crate::harness::ok(&checker.len().to_string()))
    });
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: front.test\r\n{}\r\n",
        field(framing)
    ));
    let (mut sent, mut looked_at) = (0, 0);
    let poured = pour(length, framing, &mut |bytes| {
        sent += bytes.len();
        if sent - looked_at > length / 16 {
            looked_at = sent;
            assert_memory_is_flat(&threadbare);
        }
        client.0.send(bytes)
    });
    assert_eq!(poured, Ok(()));
    assert_eq!(client.answer().text(), length.to_string());
    assert_memory_is_flat(&threadbare);
}

#[test]
fn a_gibibyte_comes_down_in_flat_memory() {
    // Goal: 1 GiB intact while resident memory, its peak included, stays under 40 MiB.
    download(GIB, Framing::Sized(GIB));
}

#[test]
fn a_gibibyte_goes_up_in_flat_memory() {
    // Goal: the same the other way.
    upload(GIB, Framing::Sized(GIB));
}

#[test]
fn chunks_flow_in_flat_memory_both_ways() {
    // Goal: the same without a length known ahead, and until the close. 128 MiB would already show
    // a collector.
    download(GIB / 8, Framing::Chunked);
    download(GIB / 8, Framing::UntilClose);
    upload(GIB / 8, Framing::Chunked);
}

#[test]
fn events_arrive_one_by_one() {
    // Goal: server-sent events are passed on as they come. Trick: causal, not timed: the backend
    // sends each event only after the client has confirmed the one before. All framings, both
    // kinds of client.
    let heads = [
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 52\r\n\r\n",
    ];
    for head in heads {
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            let confirmed: Vec<Gate> = (0..4).map(|_| Gate::closed()).collect();
            let gates = confirmed.clone();
            let chunked = head.contains("chunked");
            let backend = Backend::start(move |mut conn| {
                conn.request()?;
                conn.send(head)?;
                for (n, gate) in gates.iter().enumerate() {
                    let event = event(n);
                    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
                    conn.send(if chunked { chunk } else { event })?;
                    gate.pass()?;
                }
                conn.send(if chunked { "0\r\n\r\n" } else { "" })
            });
            let threadbare = Threadbare::before(&[backend.addr], &[]);
            let mut client = threadbare.client();
            client.send(format!("GET /events {version}\r\nHost: front.test\r\n\r\n"));
            let head = client
                .head()
                .expect("the head comes before the first event");
            let framing = head.answer_framing("GET").expect("it is one framing");
            for (n, gate) in confirmed.iter().enumerate() {
                let came = take_event(&mut client, framing, event(n).len());
                assert_eq!(came, Ok(event(n).into_bytes()), "{version}, {head:?}");
                gate.open();
            }
            if framing == Framing::Chunked {
                assert_eq!(client.chunk(), Ok(Vec::new()), "{version}, {head:?}");
            }
        }
    }
}

fn event(n: usize) -> String {
    format!("data: no. {n}\n\n")
}

/// The next event, also when it comes in several chunks.
fn take_event(client: &mut Client, framing: Framing, length: usize) -> Result<Vec<u8>, Cut> {
    if framing != Framing::Chunked {
        return client.take(length);
    }
    let mut event = Vec::new();
    while event.len() < length {
        event.extend(client.chunk()?);
    }
    Ok(event)
}

/// Sends content for ever; notes when nobody takes it any more.
fn endless(mut conn: Conn) -> Result<(), Cut> {
    conn.request()?;
    conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let chunk = format!("{PIECE:x}\r\n{}\r\n", "a".repeat(PIECE));
    loop {
        if let Err(cut) = conn.send(&chunk) {
            conn.note("nobody takes it");
            return Err(cut);
        }
    }
}

#[test]
fn a_client_that_goes_away_in_mid_answer_ends_the_backends_work() {
    // Goal: the exchange ends on both sides, and no backend is blamed. Trick: the backend sends
    // for ever; only its connection's end stops it. A crash and a close; four rounds each against
    // one worker.
    let (a, b) = (Backend::start(endless), Backend::start(endless));
    let threadbare = Threadbare::before(&[a.addr, b.addr], &["--workers", "1"]);
    for round in 0..8 {
        let mut client = threadbare.client();
        client.send("GET / HTTP/1.1\r\nHost: front.test\r\n\r\n");
        client.head().expect("the head comes");
        client.take(100_000).expect("content comes");
        if round % 2 == 0 {
            client.reset();
        } else {
            drop(client);
        }
    }
    a.notes.wait_for(4, "ends at the first backend");
    b.notes.wait_for(4, "ends at the second backend");
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
}

#[test]
fn a_client_that_goes_away_in_mid_upload_ends_the_backends_wait() {
    // Goal: the backend's connection ends before the content is whole, and no backend is blamed.
    // Trick: the client goes only when a backend has the head, as a reset before that could
    // overtake the request itself.
    let (arrived, heads) = channel();
    let waiting = || {
        let arrived = arrived.clone();
        Backend::start(move |mut conn| {
            let head = conn.head()?;
            // The test has failed already when nobody listens.
            let _ = arrived.send(());
            let whole = conn.content(head.request_framing()?, &mut |_| ());
            conn.note(format!("whole: {}", whole.is_ok()));
            whole
        })
    };
    let (a, b) = (waiting(), waiting());
    let threadbare = Threadbare::before(&[a.addr, b.addr], &["--workers", "1"]);
    for round in 0..8 {
        let mut client = threadbare.client();
        client.send("POST / HTTP/1.1\r\nHost: front.test\r\nContent-Length: 1000000\r\n\r\n");
        client.send(Pattern::new().take(500_000));
        heads
            .recv_timeout(DEADLINE)
            .expect("the head reaches a backend");
        if round % 2 == 0 {
            client.reset();
        } else {
            drop(client);
        }
    }
    let mut notes = a.notes.wait_for(4, "ends at the first backend");
    notes.extend(b.notes.wait_for(4, "ends at the second backend"));
    assert_eq!(notes, ["whole: false"; 8]);
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
}

#[test]
fn a_client_that_crashes_while_it_waits_ends_the_backends_work() {
    // Goal: a backend that thinks for long learns that nobody waits any more. Trick: it never
    // answers; only the end of its connection, long before the response timeout, lets the test
    // pass.
    let backend = Backend::start(|mut conn| {
        conn.request()?;
        let cut = conn.end();
        conn.note("nobody waits");
        Err(cut)
    });
    let threadbare = Threadbare::before(&[backend.addr], &["--response-timeout", "1h"]);
    let mut client = threadbare.client();
    client.send("GET / HTTP/1.1\r\nHost: front.test\r\n\r\n");
    backend.await_requests(1);
    client.reset();
    backend.await_note("nobody waits");
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
}

#[test]
fn a_slow_start_of_content_is_not_a_late_head() {
    // Goal: the response timeout is for the head: content may begin later than that. Trick: the
    // head comes at once, the content only after another request has run into the same timeout.
    let gate = Gate::closed();
    let closed = gate.clone();
    let backend = Backend::start(move |mut conn| {
        if conn.request()?.head.word(1) != "/late" {
            return Err(conn.end());
        }
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")?;
        closed.pass()?;
        conn.send("late")
    });
    let threadbare = Threadbare::before(&[backend.addr], &["--response-timeout", "300ms"]);
    let mut client = threadbare.client();
    client.send("GET /late HTTP/1.1\r\nHost: front.test\r\n\r\n");
    let head = client.head().expect("the head comes before its content");
    assert_eq!(threadbare.get("/never").status, 504);
    gate.open();
    assert_eq!(head.one("Content-Length").as_deref(), Some("4"));
    assert_eq!(
        client.take(4).as_deref(),
        Ok(b"late".as_slice()),
        "within {DEADLINE:?}"
    );
}
