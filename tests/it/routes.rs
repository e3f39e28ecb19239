//! Routes of a file: by host and path to a pool, with another prefix and other fields, or to https.

use std::fmt::Write as _;
use std::thread;

use crate::harness::{Answer, Backend, Client, ConfigFile, Seen, Threadbare, command, ok};

/// Backends, each the only one of a pool of its own name, behind these routes.
struct Routed {
    backends: Vec<(&'static str, Backend)>,
    threadbare: Threadbare,
    _file: ConfigFile,
}

impl Routed {
    #[track_caller]
    fn start(names: &[&'static str], routes: &str) -> Self {
        let make = |name: &&'static str| (*name, Backend::answering(name));
        Self::before(names.iter().map(make).collect(), routes)
    }

    #[track_caller]
    fn before(backends: Vec<(&'static str, Backend)>, routes: &str) -> Self {
        let mut text = "listen = \"127.0.0.1:0\"\n".to_owned();
        for (name, backend) in &backends {
            let url = backend.url();
            writeln!(text, "[pool.{name}]\nbackends = \"{url}\"").expect("a String takes all");
        }
        text.push_str(routes);
        // Tests of one process run side by side, and each has a thread of its own.
        let file = ConfigFile::new(&format!("routes-{:?}", thread::current().id()), &text);
        let threadbare = Threadbare::launch(command(&["--config", file.path()]));
        Self {
            backends,
            threadbare,
            _file: file,
        }
    }

    /// The request that this backend saw last.
    #[track_caller]
    fn last(&self, name: &str) -> Seen {
        let mut backends = self.backends.iter();
        let (_, backend) = backends.find(|(n, _)| *n == name).expect("it is there");
        backend.seen.items().pop().expect("it has seen one")
    }
}

#[track_caller]
fn ask(client: &mut Client, host: &str, target: &str) -> Answer {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    client.answer()
}

#[test]
fn the_most_exact_host_counts_and_then_the_longest_path() {
    // Goal: exact host, wildcard, any host; the longest prefix that ends where a segment ends, in
    // whatever order they stand. Trick: all over one connection, where each request may go
    // elsewhere.
    let server = Routed::start(
        &["any", "api", "apiv2", "www", "wwwapi", "below", "deep"],
        r#"
        [[route]]
        pool = "any"
        [[route]]
        pool = "apiv2"
        path = "/api/v2/"
        [[route]]
        pool = "api"
        path = "/api"
        [[route]]
        pool = "below"
        host = "*.example.org"
        [[route]]
        pool = "www"
        host = "www.example.org"
        [[route]]
        pool = "wwwapi"
        host = "www.example.org"
        path = "/api"
        [[route]]
        pool = "deep"
        host = "*.deep.example.org"
        path = "/only"
    "#,
    );
    let mut client = server.threadbare.client();
    for (host, target, wanted) in [
        ("other.test", "/", "any"),
        ("other.test", "/api", "api"),
        ("other.test", "/api/", "api"),
        ("other.test", "/api?x", "api"),
        ("other.test", "/api/x", "api"),
        ("other.test", "/apix", "any"),
        ("other.test", "/API", "any"),
        ("other.test", "/api/v2", "apiv2"),
        ("other.test", "/api/v2/x", "apiv2"),
        ("other.test", "/api/v2x", "api"),
        ("other.test", "/x/api", "any"),
        ("other.test", "/?/api", "any"),
        ("other.test", "/%61pi/x", "api"),
        ("other.test", "/x/../api/y", "api"),
        ("other.test", "/api/../x", "any"),
        ("other.test", "/api%2Fx", "any"),
        ("other.test", "//api", "any"),
        ("www.example.org", "/", "www"),
        ("WwW.Example.ORG:8080", "/", "www"),
        ("www.example.org.", "/", "www"),
        ("www.example.org", "/api/v2", "wwwapi"),
        ("a.example.org", "/", "below"),
        ("a.b.example.org", "/api", "below"),
        ("example.org", "/", "any"),
        ("xexample.org", "/", "any"),
        ("www.example.org.evil.test", "/", "any"),
        ("a.deep.example.org", "/only/x", "deep"),
        ("a.deep.example.org", "/", "below"),
        ("", "/api", "api"),
        ("[::1]:80", "/", "any"),
    ] {
        let answer = ask(&mut client, host, target);
        assert_eq!(answer.text(), wanted, "{host} {target}: {answer:?}");
        let seen = server.last(wanted);
        assert_eq!(seen.head.line, format!("GET {target} HTTP/1.1"), "{host}");
    }
}

#[test]
fn an_absolute_target_has_the_last_word_on_the_host() {
    // Goal: a request in absolute-form goes where its target says, and the backend gets the path.
    let routes = r#"
        [[route]]
        pool = "any"
        [[route]]
        pool = "www"
        host = "www.example.org"
        path = "/x"
    "#;
    let server = Routed::start(&["any", "www"], routes);
    let mut client = server.threadbare.client();
    client.send("GET http://www.example.org/x?y HTTP/1.1\r\nHost: other.test\r\n\r\n");
    assert_eq!(client.answer().text(), "www");
    assert_eq!(server.last("www").head.word(1), "/x?y");
    client.send("OPTIONS * HTTP/1.1\r\nHost: other.test\r\n\r\n");
    assert_eq!(client.answer().text(), "any");
    assert_eq!(server.last("any").head.line, "OPTIONS * HTTP/1.1");
}

#[test]
fn what_fits_no_route_is_404_and_the_connection_goes_on() {
    // Goal: 404 by us, for any method, and nothing reaches a backend; the connection is as good as
    // before, also behind content that nobody wanted.
    let routes = r#"
        [[route]]
        pool = "a"
        path = "/a"
        [[route]]
        pool = "a"
        host = "a.test"
    "#;
    let server = Routed::start(&["a"], routes);
    let mut client = server.threadbare.client();
    for (host, target) in [
        ("b.test", "/"),
        ("b.test", "/ab"),
        ("", "/b"),
        ("x.a.test", "/"),
    ] {
        let answer = ask(&mut client, host, target);
        assert_eq!(answer.status, 404, "{host} {target}");
        assert!(answer.text().contains("no route"), "{answer:?}");
        assert_eq!(ask(&mut client, host, "/a").text(), "a");
    }
    client.send("POST / HTTP/1.1\r\nHost: b.test\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.answer().status, 404);
    client.send("HEAD / HTTP/1.1\r\nHost: b.test\r\n\r\n");
    assert_eq!(client.answer_to("HEAD").status, 404);
    client.send("OPTIONS * HTTP/1.1\r\nHost: b.test\r\n\r\n");
    assert_eq!(client.answer().status, 404);
    assert_eq!(ask(&mut client, "a.test", "/").text(), "a");
    let targets: Vec<_> = server.backends[0].1.seen.items();
    assert_eq!(targets.len(), 5, "{targets:?}");
}

#[test]
fn a_prefix_is_stripped_or_replaced_and_the_rest_stays_as_it_was_sent() {
    // Goal: what a backend gets, with queries, encoded bytes, dots and slashes; and nothing climbs
    // out of the new prefix.
    let server = Routed::start(
        &["strip", "replace", "keep", "root"],
        r#"
        [[route]]
        pool = "strip"
        path = "/strip"
        strip_prefix = true
        [[route]]
        pool = "replace"
        path = "/old/v1"
        replace_prefix = "/new/v2"
        [[route]]
        pool = "keep"
        path = "/keep"
        [[route]]
        pool = "root"
        host = "root.test"
        replace_prefix = "/base"
    "#,
    );
    let mut client = server.threadbare.client();
    for (host, target, pool, wanted) in [
        ("a.test", "/strip", "strip", "/"),
        ("a.test", "/strip/", "strip", "/"),
        ("a.test", "/strip?q=/strip", "strip", "/?q=/strip"),
        ("a.test", "/strip/x/y?a=b&c=%20", "strip", "/x/y?a=b&c=%20"),
        ("a.test", "/strip/%2F%41%20b", "strip", "/%2F%41%20b"),
        ("a.test", "/strip//evil.test/x", "strip", "/evil.test/x"),
        ("a.test", "/strip/strip/x", "strip", "/strip/x"),
        ("a.test", "/strip/a/../b", "strip", "/b"),
        ("a.test", "/%73trip/x", "strip", "/x"),
        ("a.test", "/old/v1", "replace", "/new/v2"),
        ("a.test", "/old/v1/", "replace", "/new/v2/"),
        ("a.test", "/old/v1/x?y", "replace", "/new/v2/x?y"),
        ("a.test", "/old/v1?", "replace", "/new/v2?"),
        (
            "a.test",
            "/old/v1/x%2e%2e/y",
            "replace",
            "/new/v2/x%2e%2e/y",
        ),
        ("a.test", "/old/v1/a/%2e%2e/b", "replace", "/new/v2/b"),
        ("a.test", "/x/../old/v1/b", "replace", "/new/v2/b"),
        ("a.test", "/keep/./x/../y?z", "keep", "/keep/./x/../y?z"),
        ("root.test", "/", "root", "/base/"),
        ("root.test", "/x", "root", "/base/x"),
        ("root.test", "/../../secret", "root", "/base/secret"),
        ("root.test", "/%2e%2E/secret", "root", "/base/secret"),
        ("root.test", "/..%2fsecret", "root", "/base/..%2fsecret"),
    ] {
        let answer = ask(&mut client, host, target);
        assert_eq!(answer.text(), pool, "{host} {target}: {answer:?}");
        assert_eq!(server.last(pool).head.word(1), wanted, "{host} {target}");
    }
    for target in ["/old/v1/../v3", "/strip/../x", "/old/v1/%2e%2e/%2e%2e/x"] {
        assert_eq!(ask(&mut client, "a.test", target).status, 404, "{target}");
    }
}

#[test]
fn a_backends_base_goes_before_the_new_prefix() {
    // Goal: both together: what the route makes of the target stands behind the backend's base.
    let backend = Backend::answering("a");
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[pool.a]\nbackends = \"{}/base\"\n\
         [[route]]\npath = \"/x\"\npool = \"a\"\nstrip_prefix = true\n",
        backend.url()
    );
    let file = ConfigFile::new("routes-base", &text);
    let threadbare = Threadbare::launch(command(&["--config", file.path()]));
    for (target, wanted) in [("/x/y?z", "/base/y?z"), ("/x", "/base/")] {
        assert_eq!(threadbare.get(target).status, 200);
        let seen = backend.seen.items().pop().expect("it has seen it");
        assert_eq!(seen.head.word(1), wanted);
    }
}

#[test]
fn fields_are_set_and_removed_in_both_directions() {
    // Goal: the backend gets what the route says, once, whatever the client sent and however it is
    // spelt; the client gets what the route says of the answer. Trick: each field comes in twice.
    let reply = |_: &Seen| {
        b"HTTP/1.1 200 OK\r\nServer: secret/1\r\nX-Both: theirs\r\nX-Both: again\r\nx-keep: 1\r\n\
          Content-Length: 1\r\n\r\na"
            .to_vec()
    };
    let server = Routed::before(
        vec![("a", Backend::replying(reply))],
        r#"
        [[route]]
        pool = "a"
        set_fields = { "X-Set" = "ours", "Host" = "inner.test", "X-Forwarded-Proto" = "https" }
        remove_fields = ["Cookie", "x-remove"]
        set_response_fields = { "X-Both" = "ours", "X-New" = "", "Server" = "front" }
        remove_response_fields = ["x-gone", "X-KEEP"]
    "#,
    );
    let mut client = server.threadbare.client();
    client.send(
        "GET / HTTP/1.1\r\nHost: front.test\r\nx-set: forged\r\nX_Set: forged\r\nX-SET: again\r\n\
         Cookie: a=1\r\nX-Remove: 1\r\ncookie: b=2\r\nX-Stay: 1\r\nX-Forwarded-Proto: http\r\n\r\n",
    );
    let answer = client.answer();
    let seen = server.last("a").head;
    assert_eq!(seen.all("Host"), ["inner.test"]);
    assert_eq!(seen.all("X-Set"), ["ours"]);
    assert_eq!(seen.all("X_Set"), [""; 0]);
    assert_eq!(seen.all("X-Stay"), ["1"]);
    assert_eq!(seen.all("X-Forwarded-Proto"), ["https"]);
    assert_eq!(seen.all("X-Forwarded-Host"), ["front.test"]);
    for removed in ["Cookie", "X-Remove"] {
        assert_eq!(seen.all(removed), [""; 0], "{removed}: {seen:?}");
    }
    assert_eq!(answer.text(), "a");
    assert_eq!(answer.head.all("X-Both"), ["ours"]);
    assert_eq!(answer.head.all("X-New"), [""]);
    assert_eq!(answer.head.all("Server"), ["front"]);
    assert_eq!(answer.head.all("x-keep"), [""; 0]);
    // And the next request of this connection, which another route could take, gets the same.
    assert_eq!(ask(&mut client, "x.test", "/").head.all("X-Both"), ["ours"]);
    assert_eq!(server.last("a").head.all("Host"), ["inner.test"]);
}

#[test]
fn edits_of_one_route_are_not_those_of_another() {
    // Goal: the same pool behind two routes. Trick: one connection to the client and one to the
    // backend, so that nothing but the route tells them apart.
    let routes = r#"
        [[route]]
        pool = "a"
        [[route]]
        pool = "a"
        path = "/edited"
        set_fields = { "X-Route" = "edited" }
        set_response_fields = { "X-Route" = "edited" }
    "#;
    let server = Routed::start(&["a"], routes);
    let mut client = server.threadbare.client();
    for (target, wanted) in [("/", vec![]), ("/edited", vec!["edited"]), ("/", vec![])] {
        let answer = ask(&mut client, "a.test", target);
        assert_eq!(answer.head.all("X-Route"), wanted, "{target}");
        assert_eq!(server.last("a").head.all("X-Route"), wanted, "{target}");
    }
}

#[test]
fn a_route_to_https_is_a_308_to_the_same_place() {
    // Goal: 308, with the client's host without its port, its whole target, and the port that was
    // told; the connection goes on. Trick: the next request of it goes to a pool.
    let server = Routed::start(
        &["a"],
        r#"
        [[route]]
        pool = "a"
        path = "/.well-known/acme-challenge"
        [[route]]
        redirect = "https"
        [[route]]
        host = "*.other.test"
        redirect = "https:8443"
    "#,
    );
    let mut client = server.threadbare.client();
    for (host, target, wanted) in [
        ("a.test", "/", "https://a.test/"),
        (
            "a.test:8080",
            "/x/y?z=1&b=%20",
            "https://a.test/x/y?z=1&b=%20",
        ),
        ("www.other.test:80", "/x", "https://www.other.test:8443/x"),
        ("[::1]:8080", "/", "https://[::1]/"),
        ("a.test", "//evil.test/x", "https://a.test//evil.test/x"),
    ] {
        let answer = ask(&mut client, host, target);
        assert_eq!(answer.status, 308, "{answer:?}");
        assert_eq!(answer.head.one("Location").as_deref(), Some(wanted));
        assert_eq!(answer.head.one("Connection"), None, "{answer:?}");
    }
    client.send("POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.answer().status, 308, "a POST stays a POST");
    client.send("HEAD /p HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let answer = client.answer_to("HEAD");
    assert_eq!(
        answer.head.one("Location").as_deref(),
        Some("https://a.test/p")
    );
    let answer = ask(&mut client, "a.test", "/.well-known/acme-challenge/token");
    assert_eq!(answer.text(), "a");
    assert_eq!(
        ask(&mut client, "", "/").status,
        400,
        "there is nowhere to go"
    );
}

#[test]
fn each_pool_has_its_own_policy_health_and_cookie() {
    // Goal: what one pool is told is not told to the other: one is sticky, the other is not; one
    // retries statuses, the other passes them on; and one that is down is no trouble for the other.
    let sticky = ["s1", "s2"].map(Backend::answering);
    let bad = |_: &Seen| b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno".to_vec();
    let failing = [(); 2].map(|()| Backend::replying(bad));
    let mut down = Backend::answering("down");
    down.stop();
    let text = format!(
        "listen = \"127.0.0.1:0\"\n\
         [pool.sticky]\nsticky = \"S\"\nbackends = [\"{}\", \"{}\"]\n\
         [pool.failing]\nretry_on = [503]\nbackends = [\"{}\", \"{}\"]\n\
         [pool.down]\nbackends = [\"{}\"]\n\
         [[route]]\npool = \"sticky\"\n\
         [[route]]\npath = \"/failing\"\npool = \"failing\"\n\
         [[route]]\npath = \"/down\"\npool = \"down\"\n",
        sticky[0].url(),
        sticky[1].url(),
        failing[0].url(),
        failing[1].url(),
        down.url(),
    );
    let file = ConfigFile::new("routes-pools", &text);
    let threadbare = Threadbare::launch(command(&["--config", file.path()]));
    let line = threadbare.await_line(" is down: ");
    assert!(line.contains(&format!("down/{}", down.addr)), "{line}");
    let mut client = threadbare.client();
    let first = client.get("/");
    assert!(first.head.one("Set-Cookie").is_some());
    let answer = client.get("/failing");
    assert_eq!((answer.status, answer.text().as_str()), (503, "no"));
    assert_eq!(answer.head.one("Set-Cookie"), None);
    assert_eq!(failing.each_ref().map(|b| b.seen.len()), [1, 1], "retried");
    assert_eq!(client.get("/down").status, 503);
    assert_ne!(client.get("/").text(), first.text(), "in turn without it");
}

#[test]
fn pipelined_requests_take_their_own_routes_in_order() {
    // Goal: answers come in the order of the requests, whoever gives them.
    let routes = r#"
        [[route]]
        pool = "a"
        path = "/a"
        [[route]]
        pool = "b"
        path = "/b"
        [[route]]
        path = "/tls"
        redirect = "https"
    "#;
    let server = Routed::start(&["a", "b"], routes);
    let mut client = server.threadbare.client();
    let targets = ["/a", "/none", "/b", "/tls", "/a"];
    let requests = targets.map(|t| format!("GET {t} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
    client.send(requests.concat());
    let statuses = targets.map(|_| client.answer().status);
    assert_eq!(statuses, [200, 404, 200, 308, 200]);
}

#[test]
fn a_stripped_request_is_retried_with_the_same_target() {
    // Goal: the second attempt sends what the first one did, fields and all.
    let mut failed = Backend::start(|mut conn| conn.request().map(|_| ()));
    let good = Backend::start(|conn| conn.serve(|_| ok("good")));
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[pool.a]\nbackends = [\"{}\", \"{}\"]\n\
         [[route]]\npath = \"/x\"\npool = \"a\"\nstrip_prefix = true\n\
         set_fields = {{ \"X\" = \"1\" }}\n",
        failed.url(),
        good.url(),
    );
    let file = ConfigFile::new("routes-retry", &text);
    let threadbare = Threadbare::launch(command(&["--config", file.path()]));
    assert_eq!(threadbare.get("/x/y?z").text(), "good");
    let [first, second] = [&failed, &good].map(|backend| backend.await_requests(1).remove(0).head);
    assert_eq!(first.line, "GET /y?z HTTP/1.1");
    assert_eq!(first.lines(), second.lines());
    failed.stop();
}
