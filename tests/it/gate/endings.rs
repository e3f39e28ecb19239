//! How the gate ends a connection: what it has answered arrives, and what is cut looks cut.

use rustix::process::Signal;

use super::{NEVER, ONE_WORKER, connect_from, request};
use crate::harness::{Backend, Client, Cut, Gate, Threadbare, ok};

/// A client with a small buffer: what it does not read stays in our socket.
fn slow_client(threadbare: &Threadbare) -> Client {
    Client::over(connect_from([127, 0, 0, 1], threadbare.addr, 4096))
}

#[test]
fn a_cut_answer_takes_no_complete_one_with_it() {
    // Goal: an answer that was whole arrives whole, also when the one behind it breaks off while
    // it is still in the socket; and the cut one is seen as cut. Trick: the client's buffer is
    // small and it reads nothing before the only worker serves someone else: then the cut is done.
    let large = "l".repeat(200_000);
    let whole = large.clone();
    let backend = Backend::start(move |mut conn| {
        loop {
            let target = conn.request()?.head.word(1).to_owned();
            let start = format!("HTTP/1.1 200 OK\r\nETag: {target}\r\n");
            match target.as_str() {
                "/sized" => conn.send(start + "Content-Length: 1000\r\n\r\npart")?,
                "/chunked" => {
                    conn.send(start + "Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")?;
                }
                _ => {
                    conn.send(ok(&whole))?;
                    continue;
                }
            }
            return Ok(());
        }
    });
    let options = [&ONE_WORKER[..], &["--max-failures", "0"]].concat();
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let rows = [
        ("/sized", "1.1"),
        ("/chunked", "1.1"),
        ("/sized", "1.0"),
        ("/chunked", "1.0"),
    ];
    for (n, (cut, version)) in rows.into_iter().enumerate() {
        let context = format!("{cut}, {version}");
        let mut client = slow_client(&threadbare);
        let get = |target| {
            let fields = "Host: front.test\r\nConnection: keep-alive";
            format!("GET {target} HTTP/{version}\r\n{fields}\r\n\r\n")
        };
        client.send(get("/whole") + &get(cut));
        threadbare.await_lines("content: ", n + 1);
        assert_eq!(threadbare.get("/next").text(), large, "{context}");
        if (cut, version) == ("/chunked", "1.0") {
            // It would end with the connection, and only a reset does not look like that.
            assert_eq!(client.rest().1, Cut::Reset, "{context}");
            continue;
        }
        assert_eq!(client.answer().text(), large, "{context}");
        let answer = client.try_answer("GET").expect("its head was sent");
        assert_eq!(
            (answer.text().as_str(), answer.end),
            ("part", Err(Cut::Closed)),
            "{context}"
        );
    }
}

#[cfg(target_os = "linux")] // only there is a client that says no more seen at all
#[test]
fn a_client_that_says_no_more_still_gets_the_answers_it_has() {
    // Goal: it is taken for gone while its second backend is silent, and its first answer, which
    // is still in the socket, arrives whole. Trick: its buffer is small, and it reads nothing
    // before the only worker serves someone else.
    let large = "l".repeat(200_000);
    let whole = large.clone();
    let backend = Backend::start(move |mut conn| {
        loop {
            if conn.request()?.head.word(1) == "/silent" {
                return Err(conn.end());
            }
            conn.send(ok(&whole))?;
        }
    });
    let threadbare = Threadbare::before(&[backend.addr], &ONE_WORKER);
    let mut client = slow_client(&threadbare);
    client.send(request("/whole") + &request("/silent"));
    client.0.finish_sending().expect("the connection is open");
    threadbare.await_line("client went away");
    assert_eq!(threadbare.get("/next").text(), large);
    assert_eq!(client.answer().text(), large);
    client.assert_ended();
}

/// Sends a part of an answer without a length, and the rest once the gate opens.
fn answering_in_parts(part: &str, gate: &Gate) -> Backend {
    let (part, gate) = (part.to_owned(), gate.clone());
    Backend::start(move |mut conn| {
        loop {
            conn.request()?;
            conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            conn.send(format!("{:x}\r\n{part}\r\n", part.len()))?;
            gate.pass()?;
            conn.send("4\r\nrest\r\n0\r\n\r\n")?;
        }
    })
}

const GET_OLD: &str = "GET / HTTP/1.0\r\nHost: front.test\r\n\r\n";

#[test]
fn however_the_process_ends_an_answer_until_the_close_does_not_look_whole() {
    // Goal: its end is the connection's, so that the deadline, a second signal and a kill must
    // reset what is under way. Trick: the client has the first part, and the rest never comes.
    let ways: [fn(&Threadbare); 3] = [
        |threadbare| threadbare.signal(Signal::TERM),
        |threadbare| {
            threadbare.signal(Signal::TERM);
            threadbare.await_line("stopping: SIGTERM");
            threadbare.signal(Signal::TERM);
        },
        |threadbare| threadbare.signal(Signal::KILL),
    ];
    for (idx, end) in ways.into_iter().enumerate() {
        let backend = answering_in_parts("part", &Gate::closed());
        let timeout = if idx == 0 { "100ms" } else { NEVER };
        let options = ["--shutdown-timeout", timeout];
        let threadbare = Threadbare::before(&[backend.addr], &options);
        let mut client = threadbare.client();
        client.send(GET_OLD);
        client.head().expect("the head comes before the end");
        assert_eq!(client.take(4).expect("the part comes"), b"part");
        end(&threadbare);
        assert_eq!(client.rest(), (Vec::new(), Cut::Reset), "way {idx}");
    }
}

#[test]
fn a_whole_answer_until_the_close_arrives_whole() {
    // Goal: what resets an answer that is cut is taken back before the clean end. Trick: the
    // client's buffer is small, and it reads nothing before the only worker serves someone else.
    let part = "l".repeat(200_000);
    let gate = Gate::closed();
    gate.open();
    let backend = answering_in_parts(&part, &gate);
    let threadbare = Threadbare::before(&[backend.addr], &ONE_WORKER);
    let mut client = slow_client(&threadbare);
    client.send(GET_OLD);
    backend.await_requests(1);
    assert_eq!(threadbare.get("/next").status, 200);
    assert_eq!(client.answer().text(), part + "rest");
}

#[test]
fn a_last_answer_survives_the_request_that_comes_too_late() {
    // Goal: a connection that has had its last answer, of which most is still in our socket, does
    // not meet the client's next request with a reset. Trick: the client's buffer is small, and
    // it reads nothing before the only worker has served someone else and it has asked again; the
    // answer may have been large itself, or stand behind a large one.
    let large = "l".repeat(200_000);
    let whole = large.clone();
    let backend = Backend::replying(move |seen| match seen.head.word(1) {
        "/large" => ok(&whole),
        _ => ok("small"),
    });
    let threadbare = Threadbare::before(&[backend.addr], &ONE_WORKER);
    let last = |target| request(target).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let mut n_asked = 0;
    for requests in [last("/large"), request("/large") + &last("/small")] {
        let mut client = slow_client(&threadbare);
        client.send(&requests);
        let n_answers = requests.matches("GET").count();
        n_asked += n_answers + 1;
        backend.await_requests(n_asked - 1);
        assert_eq!(threadbare.get("/small").text(), "small");
        client.send(request("/late"));
        assert_eq!(client.answer().text(), large);
        if n_answers > 1 {
            assert_eq!(client.answer().text(), "small");
        }
        client.assert_ended();
    }
}
