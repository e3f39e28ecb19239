//! Clients that stay with their backend by a cookie of ours.

use crate::harness::{Answer, Backend, Client, Gate, Tape, Threadbare};

const STICKY: [&str; 2] = ["--sticky", "stay"];
const SECRET: [&str; 4] = ["--sticky", "stay", "--sticky-secret", "of the tests"];

#[track_caller]
fn three(options: &[&str]) -> ([Backend; 3], Threadbare) {
    let backends = ["a", "b", "c"].map(Backend::answering);
    let addrs = backends.each_ref().map(|backend| backend.addr);
    let threadbare = Threadbare::before(&addrs, options);
    (backends, threadbare)
}

/// Asks with this Cookie line, or none.
#[track_caller]
fn ask(client: &mut Client, cookie: Option<&str>) -> Answer {
    let line = cookie.map(|cookie| format!("Cookie: {cookie}\r\n"));
    let line = line.unwrap_or_default();
    client.send(format!("GET / HTTP/1.1\r\nHost: front.test\r\n{line}\r\n"));
    let answer = client.answer();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// The whole Set-Cookie line of an answer, of which there is one at most.
#[track_caller]
fn set_cookie(answer: &Answer) -> Option<String> {
    answer.head.one("Set-Cookie")
}

/// What the client brings back from now on: `stay=...`.
#[track_caller]
fn pair(answer: &Answer) -> String {
    let line = set_cookie(answer).expect("it sets a cookie");
    let (pair, _) = line.split_once(';').expect("it has attributes");
    assert!(pair.starts_with("stay="), "{line}");
    pair.to_owned()
}

#[test]
fn a_client_is_given_a_cookie_and_stays_with_its_backend() {
    // Goal: the first answer sets it, and from then on the client is always at the same backend and
    // gets no other; all others go round as ever. Trick: one cookie for each of the backends, among
    // cookies of others, over several connections.
    let (_backends, threadbare) = three(&STICKY);
    let mut client = threadbare.client();
    let firsts = [(); 3].map(|()| ask(&mut client, None));
    let names: Vec<String> = firsts.iter().map(Answer::text).collect();
    assert_eq!(names, ["a", "b", "c"]);
    for first in firsts {
        let (name, pair) = (first.text(), pair(&first));
        for cookie in [
            pair.clone(),
            format!("x=1; {pair}; y=stay"),
            format!("{pair};other"),
        ] {
            for client in [&mut threadbare.client(), &mut client] {
                let answer = ask(client, Some(&cookie));
                assert_eq!(answer.text(), name, "{cookie}");
                assert_eq!(set_cookie(&answer), None, "{cookie}");
            }
        }
    }
    let names: Vec<String> = (0..3).map(|_| ask(&mut client, None).text()).collect();
    assert_eq!(names, ["a", "b", "c"], "who stays spends no turn");
}

#[test]
fn the_cookie_has_the_attributes_that_were_asked_for_and_names_no_address() {
    // Goal: `HttpOnly`, `SameSite=Lax` and `Path=/` always; `Max-Age` and `Secure` on demand; and a
    // value that is opaque: nothing of the backend's address, and different for each.
    for (options, more) in [
        (&[][..], ""),
        (&["--sticky-max-age", "1h"], "; Max-Age=3600"),
        (&["--sticky-secure"], "; Secure"),
        (
            &["--sticky-max-age", "90s", "--sticky-secure"],
            "; Max-Age=90; Secure",
        ),
    ] {
        let (backends, threadbare) = three(&[&STICKY[..], options].concat());
        let mut values = Vec::new();
        for backend in &backends {
            let answer = ask(&mut threadbare.client(), None);
            let line = set_cookie(&answer).expect("it sets a cookie");
            let (pair, attributes) = line.split_once(';').expect("it has attributes");
            let wanted = format!(" Path=/; HttpOnly; SameSite=Lax{more}");
            assert_eq!(attributes, wanted, "{line}");
            let value = pair.strip_prefix("stay=").expect("it has this name");
            let is_opaque = value.len() == 16 && value.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(is_opaque, "{line}");
            let (port, ip) = (backend.addr.port(), backend.addr.ip().to_string());
            for told in [
                port.to_string(),
                format!("{port:x}{ip}"),
                format!("7f000001{port:04x}"),
            ] {
                assert!(!value.contains(&told), "{line}");
            }
            values.push(value.to_owned());
        }
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), 3, "{values:?}");
    }
}

#[test]
fn a_cookie_of_the_backends_own_is_passed_on_beside_ours() {
    // Goal: ours is one line more, and theirs stay as they are.
    let backend = Backend::replying(|_| {
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Path=/x\r\nContent-Length: 0\r\n\
          \r\n"
            .to_vec()
    });
    let threadbare = Threadbare::before(&[backend.addr], &STICKY);
    let answer = ask(&mut threadbare.client(), None);
    let lines = answer.head.all("Set-Cookie");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[..2], ["a=1", "b=2; Path=/x"]);
    assert!(lines[2].starts_with("stay="), "{lines:?}");
}

#[test]
fn when_its_backend_is_down_a_client_gets_another_and_a_new_cookie() {
    // Goal: no failure, one new cookie, and it stays with the new one, also when the old one is
    // back: what it has stored by then decides. Trick: the old cookie still leads to the old
    // backend once that is back.
    let ([mut a, _b, _c], threadbare) =
        three(&[&STICKY[..], &["--health-interval", "100ms"]].concat());
    let mut client = threadbare.client();
    let first = ask(&mut client, None);
    assert_eq!(first.text(), "a");
    let old = pair(&first);

    a.stop();
    // At once, before anybody knows: the connect is refused, and the next backend takes it.
    let moved = ask(&mut client, Some(&old));
    assert_ne!(moved.text(), "a");
    let new = pair(&moved);
    assert_ne!(new, old);
    threadbare.await_line(&a.is("down"));
    let moved_too = ask(&mut client, Some(&old));
    assert_ne!(moved_too.text(), "a");
    assert_ne!(pair(&moved_too), old);
    for _ in 0..4 {
        let answer = ask(&mut client, Some(&new));
        assert_eq!((answer.text(), set_cookie(&answer)), (moved.text(), None));
    }

    a.restart();
    threadbare.await_line(&a.is("up"));
    let answer = ask(&mut client, Some(&new));
    assert_eq!((answer.text(), set_cookie(&answer)), (moved.text(), None));
    let answer = ask(&mut client, Some(&old));
    assert_eq!((answer.text(), set_cookie(&answer)), ("a".to_owned(), None));
}

#[test]
fn who_is_full_or_a_backup_keeps_nobody() {
    // Goal: a client whose backend has all it may have goes to another and is told so; and one that
    // was with a backup leaves it as soon as others are up.
    let (gate, tape) = (Gate::closed(), Tape::new());
    let [a, b] = ["a", "b"].map(|name| Backend::holding_on(name, &gate, &tape));
    let backends = [(&a, ",max_connections=1"), (&b, "")];
    let threadbare = Threadbare::before_each(&backends, &STICKY);
    let mut client = threadbare.client();
    let first = ask(&mut client, None);
    assert_eq!(first.text(), "a");
    let cookie = pair(&first);
    let mut held = threadbare.client();
    held.send(format!(
        "GET /slow HTTP/1.1\r\nHost: a.test\r\nCookie: {cookie}\r\n\r\n"
    ));
    a.await_requests(2);
    let answer = ask(&mut client, Some(&cookie));
    assert_eq!(answer.text(), "b");
    assert_ne!(pair(&answer), cookie);
    gate.open();
    assert_eq!(held.answer().text(), "a");

    let [mut a, b] = ["a", "b"].map(Backend::answering);
    a.stop();
    let options = [&STICKY[..], &["--health-interval", "100ms"]].concat();
    let threadbare = Threadbare::before_each(&[(&a, ""), (&b, ",backup")], &options);
    let mut client = threadbare.client();
    threadbare.await_line(&a.is("down"));
    let first = ask(&mut client, None);
    assert_eq!(first.text(), "b");
    let cookie = pair(&first);
    assert_eq!(set_cookie(&ask(&mut client, Some(&cookie))), None);
    a.restart();
    threadbare.await_line(&a.is("up"));
    let answer = ask(&mut client, Some(&cookie));
    assert_eq!(answer.text(), "a");
    assert_ne!(pair(&answer), cookie);
}

#[test]
fn a_retried_request_brings_the_cookie_of_who_answered() {
    // Goal: what counts is the backend that served it. Trick: the first one breaks off, whichever
    // is asked first.
    let broken = Backend::start(|mut conn| conn.request().map(|_| ()));
    let good = Backend::answering("good");
    let options = [&STICKY[..], &["--health", "off", "--max-failures", "0"]].concat();
    let threadbare = Threadbare::before(&[broken.addr, good.addr], &options);
    let mut client = threadbare.client();
    let first = ask(&mut client, None);
    assert_eq!(broken.seen.len(), 1);
    let cookie = pair(&first);
    for _ in 0..4 {
        let answer = ask(&mut client, Some(&cookie));
        assert_eq!(
            (answer.text(), set_cookie(&answer)),
            ("good".to_owned(), None)
        );
    }
    assert_eq!(broken.seen.len(), 1, "it is with the other one");
}

#[test]
fn what_is_no_cookie_of_ours_is_as_good_as_none() {
    // Goal: forged, damaged and foreign values choose nobody, fail nothing, and are replaced.
    // Trick: they go round the backends like any other request.
    let (backends, threadbare) = three(&STICKY);
    let mut client = threadbare.client();
    let good = pair(&ask(&mut client, None));
    let bad = [
        "stay=".to_owned(),
        "stay=a".to_owned(),
        "stay=0000000000000000".to_owned(),
        format!("{}0", &good[..good.len() - 1].replace("stay=", "stay=f")),
        good.to_uppercase(),
        format!("{good}0"),
        good[..good.len() - 1].to_owned(),
        good.replace("stay", "stay2"),
        format!("stay=127.0.0.1:{}", backends[0].addr.port()),
        format!("stay=\"{}\"", "x".repeat(2000)),
        "stay=%00%0d%0aX:1".to_owned(),
    ];
    for (n, cookie) in bad.iter().enumerate() {
        let answer = ask(&mut client, Some(cookie));
        let turn = ["a", "b", "c"][(n + 1) % 3];
        assert_eq!(answer.text(), turn, "{cookie}");
        assert!(set_cookie(&answer).is_some(), "{cookie}");
    }
}

/// The cookies of three backends, by the names of these.
#[track_caller]
fn cookies(threadbare: &Threadbare) -> Vec<(String, String)> {
    let mut client = threadbare.client();
    let firsts = (0..3).map(|_| ask(&mut client, None));
    let mut cookies: Vec<_> = firsts.map(|first| (first.text(), pair(&first))).collect();
    cookies.sort_unstable();
    cookies
}

#[test]
fn with_a_secret_cookies_hold_over_restarts_and_in_several_balancers() {
    // Goal: the same secret, the same cookies, however the backends are ordered; another secret or
    // none, others, which choose nobody. Trick: processes side by side are a restart too.
    let backends = ["a", "b", "c"].map(Backend::answering);
    let [a, b, c] = backends.each_ref().map(|backend| backend.addr);
    let one = Threadbare::before(&[a, b, c], &SECRET);
    let known = cookies(&one);
    one.stop();
    for order in [[a, b, c], [c, a, b]] {
        let other = Threadbare::before(&order, &SECRET);
        assert_eq!(cookies(&other), known);
        for (name, cookie) in &known {
            for _ in 0..2 {
                let answer = ask(&mut other.client(), Some(cookie));
                assert_eq!((&answer.text(), set_cookie(&answer)), (name, None));
            }
        }
    }
    let other_secret = ["--sticky", "stay", "--sticky-secret", "of the test"];
    for options in [&other_secret[..], &STICKY] {
        let other = Threadbare::before(&[a, b, c], options);
        for (_, cookie) in &known {
            let answer = ask(&mut other.client(), Some(cookie));
            assert_ne!(&pair(&answer), cookie, "{options:?}");
        }
    }
}

#[test]
fn without_a_secret_each_process_draws_its_own() {
    let backends = ["a", "b", "c"].map(Backend::answering);
    let addrs = backends.each_ref().map(|backend| backend.addr);
    let [one, other] = [(); 2].map(|()| Threadbare::before(&addrs, &STICKY));
    for ((name, cookie), (same_name, other_cookie)) in cookies(&one).iter().zip(cookies(&other)) {
        assert_eq!(*name, same_name);
        assert_ne!(*cookie, other_cookie);
    }
}

#[test]
fn with_any_policy_a_client_stays() {
    // Goal: the cookie goes before the policy, whatever that is.
    for policy in [
        "weighted-round-robin",
        "least-connections",
        "random-two-choices",
        "ip-hash",
        "uri-hash",
    ] {
        let (_backends, threadbare) = three(&[&STICKY[..], &["--policy", policy]].concat());
        let mut client = threadbare.client();
        let first = ask(&mut client, None);
        let cookie = pair(&first);
        for _ in 0..10 {
            let answer = ask(&mut client, Some(&cookie));
            assert_eq!(
                (answer.text(), set_cookie(&answer)),
                (first.text(), None),
                "{policy}"
            );
        }
    }
}
