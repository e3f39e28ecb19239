//! Clients that go away while their request is under way.

use super::{ONE_WORKER, holding, request};
use crate::harness::{Backend, Client, Gate, Threadbare, ok};

/// How a client can go: close, crash, or say no more, which looks the same as a close, so that it
/// is taken for one while nothing is on its way to it.
#[cfg(target_os = "linux")]
const WAYS: [fn(Client); 3] = [drop, Client::reset, say_no_more];
#[cfg(not(target_os = "linux"))]
const WAYS: [fn(Client); 1] = [Client::reset];

#[cfg(target_os = "linux")]
fn say_no_more(mut client: Client) {
    client.0.finish_sending().expect("the connection is open");
    client.assert_ended();
}

#[test]
fn a_client_that_goes_away_frees_its_worker_while_the_backend_is_silent() {
    // Goal: close or crash, the backend's connection ends, the only worker serves the next client,
    // the log says who ended, no backend is marked. Trick: the backend never answers the first;
    // that its connection ends is the fence.
    for go in WAYS {
        let backend = Backend::start(|mut conn| {
            loop {
                let target = conn.request()?.head.word(1).to_owned();
                if target == "/silent" {
                    let end = conn.end();
                    conn.note("ended");
                    return Err(end);
                }
                conn.send(ok("ok"))?;
            }
        });
        let threadbare = Threadbare::before(&[backend.addr], &ONE_WORKER);
        for round in 1..=5 {
            let mut client = threadbare.client();
            client.send(request("/silent"));
            backend.await_requests(2 * round - 1);
            go(client);
            backend.notes.wait_for(round, "ends at the backend");
            assert_eq!(threadbare.get("/next").text(), "ok");
        }
        threadbare.await_lines("client went away", 5);
        assert_eq!(threadbare.lines(" is down: "), [""; 0]);
    }
}

#[test]
fn a_client_that_goes_away_in_a_silent_answer_frees_its_worker() {
    // Goal: the same behind the head of the answer. Trick: the backend sends a part and then
    // nothing; the client goes when it has that part.
    for go in WAYS {
        let backend = Backend::start(|mut conn| {
            loop {
                if conn.request()?.head.word(1) == "/part" {
                    conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")?;
                    let end = conn.end();
                    conn.note("ended");
                    return Err(end);
                }
                conn.send(ok("ok"))?;
            }
        });
        let threadbare = Threadbare::before(&[backend.addr], &ONE_WORKER);
        for round in 1..=5 {
            let mut client = threadbare.client();
            client.send(request("/part"));
            client.head().expect("the head comes");
            assert_eq!(client.take(4).expect("the part comes"), b"part");
            go(client);
            backend.notes.wait_for(round, "ends at the backend");
            assert_eq!(threadbare.get("/next").text(), "ok");
        }
        threadbare.await_lines("client went away", 5);
        assert_eq!(threadbare.lines(" is down: "), [""; 0]);
    }
}

#[test]
fn clients_that_go_away_in_the_queue_cost_little() {
    // Goal: they leave no trace, and the one behind them is served. Trick: ten clients go while the
    // only worker is held; the one behind them asks before it is released.
    for go in [drop, Client::reset] {
        let gate = Gate::closed();
        let backend = holding(&gate);
        let threadbare = Threadbare::before(&[backend.addr], &ONE_WORKER);
        let mut first = threadbare.client();
        first.send(request("/slow"));
        backend.await_requests(1);
        for _ in 0..10 {
            let mut client = threadbare.client();
            client.send(request("/gone"));
            super::fence(&threadbare);
            go(client);
        }
        let mut last = threadbare.client();
        last.send(request("/last"));
        gate.open();
        assert_eq!(first.answer().text(), "/slow");
        assert_eq!(last.answer().text(), "/last");
        assert_eq!(threadbare.lines(" is down: "), [""; 0]);
        threadbare.stop();
    }
}
