//! Upgrades: the handshake, the tunnel behind it, and how it ends.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Answer, Backend, Client, Conn, Cut, Framing, Pattern, Threadbare, ok};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\
                      X-Key: k\r\n\r\n";

/// Asks for these protocols; `early` follows at once.
fn ask(client: &mut Client, protocols: &str, early: &str) {
    client.send(format!(
        "GET /t HTTP/1.1\r\nHost: front.test\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: {protocols}\r\n\r\n{early}"
    ));
}

/// Opens a tunnel.
#[track_caller]
fn open(threadbare: &Threadbare) -> Client {
    let mut client = threadbare.client();
    ask(&mut client, "echo", "");
    let head = client.head().expect("the backend switches");
    assert_eq!(head.word(1), "101", "{head:?}");
    client
}

fn bytes(conn: &mut Conn, length: usize) -> Result<Vec<u8>, Cut> {
    let mut bytes = Vec::new();
    conn.content(Framing::Sized(length), &mut |piece| {
        bytes.extend_from_slice(piece);
    })?;
    Ok(bytes)
}

/// Switches, and gives back every three bytes that it gets; notes how the client ended.
fn echoing() -> Backend {
    Backend::start(|mut conn| {
        conn.head()?;
        conn.send(SWITCH)?;
        loop {
            match bytes(&mut conn, 3) {
                Ok(three) => conn.send(three)?,
                Err(cut) => {
                    conn.note(format!("{cut:?}"));
                    return Ok(());
                }
            }
        }
    })
}

#[track_caller]
fn echo(client: &mut Client, three: &str) {
    client.send(three);
    assert_eq!(client.take(3).as_deref(), Ok(three.as_bytes()));
}

#[test]
fn a_switch_opens_a_tunnel_in_both_directions() {
    // Goal: the handshake passes with our own Connection and Upgrade, the 101 too, and then bytes
    // that are no HTTP, those included that either side sent too early. Trick: both send in one
    // write with their heads.
    let backend = Backend::start(|mut conn| {
        conn.head()?;
        conn.send(format!("{SWITCH}early"))?;
        let first = bytes(&mut conn, 6)?;
        conn.send(first)?;
        let mut pattern = Pattern::new();
        conn.content(Framing::Sized(1_000_000), &mut |piece| {
            pattern.check(piece);
        })?;
        conn.send(Pattern::new().take(1_000_000))?;
        let cut = conn.end();
        conn.note(format!("{cut:?}"));
        Ok(())
    });
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    ask(&mut client, "echo, h2c, other", "hasty\0");
    let head = client.head().expect("the backend switches");
    assert_eq!(head.line, "HTTP/1.1 101 Switching Protocols");
    let wanted = ["X-Key: k", "Connection: Upgrade", "Upgrade: echo"];
    assert_eq!(head.lines(), wanted);
    assert_eq!(client.take(11).as_deref(), Ok(&b"earlyhasty\0"[..]));
    client.send(Pattern::new().take(1_000_000));
    assert!(client.take(1_000_000) == Ok(Pattern::new().take(1_000_000)));
    let seen = &backend.seen.items()[0];
    assert_eq!(seen.head.one("Connection").as_deref(), Some("Upgrade"));
    assert_eq!(seen.head.one("Upgrade").as_deref(), Some("echo, other"));
    drop(client);
    backend.await_note("Closed");
}

#[test]
fn each_side_may_end_first_and_the_other_goes_on() {
    // Goal: an end is passed on and closes one direction only. Trick: whoever has seen the end
    // still says something, and the other still hears it.
    let backend = Backend::start(|mut conn| {
        let head = conn.head()?;
        conn.send(SWITCH)?;
        if head.one("X-First").is_some() {
            let cut = conn.end();
            conn.send(format!("{cut:?}"))?;
        } else {
            conn.send("bye")?;
            conn.finish_sending()?;
            let notes = conn.note_later();
            conn.content(Framing::UntilClose, &mut |piece| {
                if !piece.is_empty() {
                    notes.push(String::from_utf8_lossy(piece).into_owned());
                }
            })?;
        }
        Ok(())
    });
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send(
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-First: client\r\nConnection: upgrade\r\n\
         Upgrade: echo\r\n\r\n",
    );
    client.head().expect("the backend switches");
    client.send("something");
    client.0.finish_sending().expect("it is open");
    assert_eq!(client.rest(), (b"Closed".to_vec(), Cut::Closed));

    let mut client = open(&threadbare);
    assert_eq!(client.rest(), (b"bye".to_vec(), Cut::Closed));
    client.send("still here");
    backend.await_note("still here");
}

#[test]
fn a_declined_upgrade_is_an_ordinary_answer() {
    // Goal: whatever a backend answers instead of 101 is passed on, and both connections are used
    // again. Trick: the backend numbers its connections, of which a dial may be the first.
    let backend = Backend::answering("no");
    let threadbare = Threadbare::before(&[backend.addr], &["--workers", "1"]);
    let mut client = threadbare.client();
    for _ in 0..3 {
        ask(&mut client, "echo", "");
        let answer = client.answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "no"));
        assert_eq!(client.get("/").text(), "no");
    }
    let seen = backend.seen.items();
    let connections: Vec<usize> = seen.into_iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [connections[0]; 6]);
}

#[test]
fn http_itself_is_never_asked_for() {
    // Goal: h2c smuggling ends here: the backend sees an ordinary request.
    let backend = Backend::answering("plain");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    for protocols in ["h2c", "H2C, HTTP/2.0"] {
        ask(&mut client, protocols, "");
        assert_eq!(client.answer().text(), "plain");
    }
    for seen in backend.seen.items() {
        assert_eq!(seen.head.all("Upgrade"), [""; 0]);
        assert_eq!(seen.head.all("Connection"), [""; 0]);
    }
}

#[test]
fn a_switch_that_was_not_asked_for_is_502() {
    // Goal: a 101 without a request for it, or to something else, opens no tunnel.
    let backend = Backend::start(|mut conn| {
        conn.head()?;
        conn.send(SWITCH)?;
        conn.end();
        Ok(())
    });
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let other = |protocols| -> Answer {
        let mut client = threadbare.client();
        ask(&mut client, protocols, "");
        client.answer()
    };
    assert_eq!(other("websocket").status, 502);
    assert_eq!(other("h2c").status, 502);
    assert_eq!(threadbare.get("/").status, 502);
}

#[test]
fn a_tunnel_outlives_the_timeouts_of_requests() {
    // Goal: --response-timeout and --idle-timeout are for HTTP. Trick: another request, held by
    // its backend for longer than both, is the clock: it times out while the tunnel is silent.
    let backend = Backend::start(|mut conn| {
        if conn.head()?.word(1) == "/never" {
            conn.end();
            return Ok(());
        }
        conn.send(SWITCH)?;
        loop {
            let three = bytes(&mut conn, 3)?;
            conn.send(three)?;
        }
    });
    let options = ["--response-timeout", "200ms", "--idle-timeout", "200ms"];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let mut client = open(&threadbare);
    echo(&mut client, "one");
    for _ in 0..2 {
        assert_eq!(threadbare.get("/never").status, 504);
    }
    echo(&mut client, "two");
}

#[test]
fn a_silent_tunnel_ends_and_a_talking_one_does_not() {
    // Goal: --tunnel-idle-timeout counts from the last byte. Trick: talk for three times as long,
    // then be silent: both sides see the end.
    const IDLE: Duration = Duration::from_millis(300);
    let backend = echoing();
    let options = ["--tunnel-idle-timeout", "300ms"];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let mut client = open(&threadbare);
    let start = Instant::now();
    while start.elapsed() < 3 * IDLE {
        echo(&mut client, "abc");
    }
    client.assert_ended();
    backend.await_note("Closed");
    threadbare.stop();
}

#[test]
fn a_reset_is_passed_on() {
    // Goal: a side that breaks off is never taken for one that has ended.
    let backend = echoing();
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = open(&threadbare);
    echo(&mut client, "abc");
    client.reset();
    backend.await_note("Reset");

    let resetting = Backend::start(|mut conn| {
        conn.head()?;
        conn.send(SWITCH)?;
        bytes(&mut conn, 3)?;
        conn.reset();
        Ok(())
    });
    let threadbare = Threadbare::before(&[resetting.addr], &[]);
    let mut client = open(&threadbare);
    client.send("abc");
    assert_eq!(client.rest(), (Vec::new(), Cut::Reset));
}

#[test]
fn a_tunnel_lives_until_the_shutdown_deadline() {
    // Goal: SIGTERM does not end a tunnel, the deadline does, and it is no request that was cut
    // off: exit code 0. Trick: bytes pass after the stop has begun.
    const DEADLINE: Duration = Duration::from_millis(500);
    let backend = echoing();
    let threadbare = Threadbare::before(&[backend.addr], &["--shutdown-timeout", "500ms"]);
    let mut client = open(&threadbare);
    echo(&mut client, "one");
    let start = Instant::now();
    threadbare.signal(Signal::TERM);
    threadbare.await_line("stopping: SIGTERM");
    echo(&mut client, "two");
    assert_eq!(threadbare.exit_code(), Some(0));
    assert!(threadbare.ended_after(start) >= DEADLINE);
    client.assert_ended();
}

#[test]
fn a_tunnel_that_is_over_does_not_hold_a_stop_up() {
    // Goal: a stop waits for no tunnel that has ended.
    let backend = Backend::start(|mut conn| match conn.head()?.word(1) {
        "/t" => {
            conn.send(SWITCH)?;
            conn.end();
            Ok(())
        }
        _ => conn.send(ok("done")),
    });
    let threadbare = Threadbare::before(&[backend.addr], &["--shutdown-timeout", "1h"]);
    drop(open(&threadbare));
    assert_eq!(threadbare.get("/").text(), "done");
    threadbare.stop();
}
