//! What a reload applies: backends, weights, settings, pools, routes; and what the log says of it.

use super::{ONE_PROBE, Site, content, list, request, shares, since, web};
use crate::harness::{Backend, ConfigFile, Gate, ok, run};

#[test]
fn every_change_is_a_line() {
    // Goal: the log tells what changed as a diff, exactly and nothing else, in this order: options,
    // routes, backends. Trick: the backends do not matter; the reload back is told as well.
    let a = Backend::answering("a");
    let b = Backend::answering("b");
    let (url_a, url_b) = (a.url(), b.url());
    let before = format!(
        "connect_timeout = \"1s\"\n[pool.web]\npolicy = \"weighted-round-robin\"\n\
         backends = [\"{url_a}\", \"{url_b},name=web2,weight=2\"]\n"
    );
    let after = format!(
        "connect_timeout = \"2s\"\ntrust = [\"127.0.0.1\"]\n[pool.web]\n\
         policy = \"least-connections\"\nhealth_path = \"/up\"\nsticky = \"SRV\"\nretries = 2\n\
         backends = [\"{url_a},weight=3\", \"{url_b},name=web3,weight=2,max_connections=7\"]\n"
    );
    let site = Site::start("lines", &before);
    let host_a = a.addr.to_string();
    let wanted = [
        "~ trust [] → [\"127.0.0.1\"]",
        "~ connect_timeout \"1s\" → \"2s\"",
        "~ web.policy \"weighted-round-robin\" → \"least-connections\"",
        "~ web.sticky none → \"SRV\"",
        "~ web.health \"tcp\" → \"http\"",
        "~ web.health_path none → \"/up\"",
        "~ web.health_expect none → [\"200-399\"]",
        "~ web.retries 1 → 2",
        &format!("~ {host_a} weight 1→3"),
        &format!("+ web3 url={url_b} weight=2 max_connections=7"),
        "- web2",
    ];
    let mut lines = site.reload(&after);
    assert_eq!(lines.len(), wanted.len(), "{lines:#?}");
    for line in wanted {
        let at = lines.iter().position(|other| other == line);
        lines.remove(at.unwrap_or_else(|| panic!("{line}: {lines:#?}")));
    }
    let lines = site.reload(&before);
    for line in [
        "~ connect_timeout \"2s\" → \"1s\"",
        "~ web.sticky \"SRV\" → none",
        &format!("~ {host_a} weight 3→1"),
        "- web3",
    ] {
        assert!(
            lines.iter().any(|other| other == line),
            "{line}: {lines:#?}"
        );
    }
    assert_eq!(site.get("/").len(), 1);
}

#[test]
fn pools_and_routes_that_come_and_go_are_lines_too() {
    // Goal: `+ pool`, `- pool`, routes, and with several pools each backend's line says whose it
    // is; and requests go where the file says, from the line on. Trick: each backend says its name.
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let one = web("", &[("a", &a, "")]);
    let two = format!(
        "{one}[pool.api]\n{}[[route]]\npool = \"web\"\n[[route]]\npath = \"/api\"\n\
         pool = \"api\"\n",
        list(&[("b", &b, "")])
    );
    let other = two.replace("/api", "/v1");
    let same_in_another_way = other.replace("\"/v1\"\n", "\"/v1\"\nstrip_prefix = true\n");
    let site = Site::start("pools", &one);
    let mut client = site.client();
    let mut ask = |target| content(&mut client, target);
    assert_eq!(ask("/api"), "a");
    let url = b.url();
    let come = ["+ route /api to api", "+ pool api"].map(str::to_owned);
    let come = [&come[..], &[format!("api: + b url={url}")]].concat();
    assert_eq!(site.reload(&two), come);
    assert_eq!(
        (ask("/api"), ask("/v1"), ask("/")),
        ("b".into(), "a".into(), "a".into())
    );
    let routes = ["- route /api to api", "+ route /v1 to api"];
    assert_eq!(site.reload(&other), routes);
    assert_eq!(
        (ask("/api"), ask("/v1"), ask("/")),
        ("a".into(), "b".into(), "a".into())
    );
    assert_eq!(site.reload(&same_in_another_way), ["~ route /v1 to api"]);
    assert_eq!(ask("/v1/x"), "b");
    let last = b.seen.items().pop().expect("it was asked");
    assert_eq!(last.head.word(1), "/x");
    assert_eq!(site.reload(&one), ["- route /v1 to api", "- pool api"]);
    assert_eq!(
        (ask("/api"), ask("/v1"), ask("/")),
        ("a".into(), "a".into(), "a".into())
    );
}

#[test]
fn a_file_that_says_the_same_is_one_line() {
    // Goal: nothing changed, in one line, however often, also when only comments and order of keys
    // are others.
    let a = Backend::answering("a");
    let site = Site::start("same", &web("retries = 2\n", &[("a", &a, "")]));
    assert_eq!(site.reload_as_it_is(), [""; 0]);
    let other = format!("# the same\n{}retries = 2\n", web("", &[("a", &a, "")]));
    assert_eq!(site.reload(&other), [""; 0]);
    let lines = site.threadbare.lines("reloaded: nothing has changed");
    assert_eq!(lines.len(), 2);
}

#[test]
fn a_backend_that_comes_gets_its_share_on_a_connection_that_goes_on() {
    // Goal: one client's kept connection sees a backend come and go, and no request fails. Trick:
    // the state of the new one is the fence; exact shares on both sides of it.
    let [a, b] = ["a", "b"].map(Backend::answering);
    let site = Site::start("comes", &web("", &[("a", &a, "")]));
    let mut client = site.client();
    assert_eq!(content(&mut client, "/"), "a");
    site.reload(&web("", &[("a", &a, ""), ("b", &b, "")]));
    site.threadbare.await_line("backend web/b is up: ");
    let before = shares(&[&a, &b]);
    for _ in 0..20 {
        content(&mut client, "/");
    }
    assert_eq!(since(&before, &[&a, &b]), [10, 10]);
    site.reload(&web("", &[("b", &b, "")]));
    let before = shares(&[&a, &b]);
    for _ in 0..20 {
        assert_eq!(content(&mut client, "/"), "b");
    }
    assert_eq!(since(&before, &[&a, &b]), [0, 20]);
}

#[test]
fn a_backend_that_nobody_probes_gets_its_share_at_once() {
    // Goal: with health off there is no probe to wait for. Trick: no fence but the reload's line.
    let [a, b] = ["a", "b"].map(Backend::answering);
    let off = "health = \"off\"\n";
    let site = Site::start("unprobed", &web(off, &[("a", &a, "")]));
    site.reload(&web(off, &[("a", &a, ""), ("b", &b, "")]));
    let mut client = site.client();
    let before = shares(&[&a, &b]);
    for _ in 0..20 {
        content(&mut client, "/");
    }
    assert_eq!(since(&before, &[&a, &b]), [10, 10]);
}

#[test]
fn a_request_that_is_held_finishes_on_the_backend_that_goes() {
    // Goal: what a removed backend has, it finishes, and the client's connection goes on with the
    // others. Trick: it answers only after the reload.
    let gate = Gate::closed();
    let (a, b) = (Backend::holding("a", &gate), Backend::answering("b"));
    let site = Site::start("held", &web("", &[("a", &a, "")]));
    let mut client = site.client();
    client.send(request("/slow"));
    a.await_requests(1);
    site.reload(&web("", &[("b", &b, "")]));
    site.threadbare
        .await_line("backend web/a is gone: it is replaced");
    assert_eq!(site.get("/"), "b");
    gate.open();
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
    assert_eq!(answer.head.one("Connection"), None, "it is kept");
    assert_eq!(content(&mut client, "/"), "b");
    site.threadbare.stop();
}

#[test]
fn weights_are_applied_exactly() {
    // Goal: 1 and 1, then 3 and 1, then 1 and 3, of twelve requests over one connection.
    let [a, b] = ["a", "b"].map(Backend::answering);
    let text = |of_a: &str, of_b: &str| {
        let policy = "policy = \"weighted-round-robin\"\n";
        web(policy, &[("a", &a, of_a), ("b", &b, of_b)])
    };
    let site = Site::start("weights", &text("", ""));
    let mut client = site.client();
    let mut shares_of_twelve = || {
        let before = shares(&[&a, &b]);
        for _ in 0..12 {
            content(&mut client, "/");
        }
        since(&before, &[&a, &b])
    };
    assert_eq!(shares_of_twelve(), [6, 6]);
    assert_eq!(site.reload(&text(",weight=3", "")), ["~ a weight 1→3"]);
    assert_eq!(shares_of_twelve(), [9, 3]);
    let lines = site.reload(&text("", ",weight=3"));
    assert_eq!(lines, ["~ a weight 3→1", "~ b weight 1→3"]);
    assert_eq!(shares_of_twelve(), [3, 9]);
}

#[test]
fn a_backend_with_another_name_is_another_one() {
    // Goal: a rename is told as what it is, and loses nothing. Trick: the one backend of the pool
    // is renamed, so that it replaces itself.
    let a = Backend::answering("a");
    let site = Site::start("renamed", &web("", &[("a", &a, "")]));
    let mut client = site.client();
    assert_eq!(content(&mut client, "/"), "a");
    let lines = site.reload(&web("", &[("z", &a, "")]));
    assert_eq!(lines, [format!("+ z url={}", a.url()), "- a".to_owned()]);
    for _ in 0..5 {
        assert_eq!(content(&mut client, "/"), "a");
    }
    site.threadbare.await_line("backend web/z is up: ");
    site.threadbare.await_line("backend web/a is gone: ");
    assert_eq!(content(&mut client, "/"), "a");
}

#[test]
fn a_pool_with_another_name_serves_at_once() {
    // Goal: all of it is new, and no request waits for a probe or a look-up. Trick: its backend is
    // a name, which is known already under the pool's old name; requests right behind the line.
    let a = Backend::answering("a");
    let port = a.addr.port();
    let text = |pool: &str| format!("[pool.{pool}]\nbackends = [\"http://localhost:{port}\"]\n");
    let site = Site::start("pool-renamed", &text("old"));
    let mut client = site.client();
    assert_eq!(content(&mut client, "/"), "a");
    let wanted = [
        "- route / to old",
        "+ route / to new",
        "+ pool new",
        &format!("+ localhost:{port}"),
        "- pool old",
    ];
    let lines = site.reload(&text("new"));
    for _ in 0..5 {
        assert_eq!(content(&mut client, "/"), "a");
    }
    assert_eq!(lines, wanted);
}

#[test]
fn the_policy_and_the_cookie_are_those_of_the_file() {
    // Goal: sticky comes and goes, and least-connections avoids who is busy.
    let gate = Gate::closed();
    let [a, b] = ["a", "b"].map(|name| Backend::holding(name, &gate));
    let both = [("a", &a, ""), ("b", &b, "")];
    let site = Site::start("policy", &web("", &both));
    let mut client = site.client();
    assert_eq!(client.get("/").head.one("Set-Cookie"), None);
    site.reload(&web("sticky = \"SRV\"\n", &both));
    let cookie = client.get("/").head.one("Set-Cookie");
    assert!(cookie.is_some_and(|cookie| cookie.starts_with("SRV=")));
    site.reload(&web("policy = \"least-connections\"\n", &both));
    assert_eq!(client.get("/").head.one("Set-Cookie"), None);
    let mut held = site.client();
    let before = shares(&[&a, &b]);
    held.send(request("/slow"));
    let find = |n: usize, backend: &Backend| backend.seen.len() > n;
    while !find(before[0], &a) && !find(before[1], &b) {
        content(&mut client, "/");
    }
    let is_held = |backend: &Backend| {
        let seen = backend.seen.items();
        seen.iter().any(|seen| seen.head.word(1) == "/slow")
    };
    while !is_held(&a) && !is_held(&b) {
        content(&mut client, "/");
    }
    let free = if is_held(&a) { "b" } else { "a" };
    for _ in 0..10 {
        assert_eq!(content(&mut client, "/"), free);
    }
    gate.open();
    assert_eq!(held.answer().status, 200);
}

#[test]
fn the_health_check_is_that_of_the_file() {
    // Goal: another path is asked for from the reload on, and what it says counts. Trick: the old
    // path is good and the new one bad, at one of two backends.
    let a = Backend::replying(|seen| match seen.head.word(1) {
        "/bad" => b"HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n".to_vec(),
        _ => ok("a"),
    });
    let b = Backend::answering("b");
    let text = |path: &str| {
        let settings = format!("health_path = \"{path}\"\nhealth_interval = \"100ms\"\n");
        web(&settings, &[("a", &a, ""), ("b", &b, "")])
    };
    let site = Site::start("health", &text("/good"));
    let lines = site.reload(&text("/bad"));
    assert_eq!(lines, ["~ web.health_path \"/good\" → \"/bad\""]);
    site.threadbare.await_line("backend web/a is down: ");
    assert_eq!(site.get("/"), "b");
    site.reload(&text("/good"));
    site.threadbare.await_line("backend web/a is up: ");
}

#[test]
fn timeouts_and_retries_are_those_of_the_file() {
    // Goal: a response_timeout that comes with a reload ends a request that would hang, and one
    // that goes does not; retries as well. Trick: the backend never answers `/never`; it closes
    // on `/close`, and counts.
    let a = Backend::start(|mut conn| {
        loop {
            match conn.request()?.head.word(1) {
                "/never" => return Err(conn.end()),
                "/close" => return Ok(()),
                _ => conn.send(ok("a"))?,
            }
        }
    });
    let b = Backend::start(|mut conn| {
        loop {
            match conn.request()?.head.word(1) {
                "/never" => return Err(conn.end()),
                "/close" => return Ok(()),
                _ => conn.send(ok("b"))?,
            }
        }
    });
    let text = |timeout: &str, retries: u32| {
        let settings = format!("retries = {retries}\nmax_failures = 0\n{ONE_PROBE}");
        let text = web(&settings, &[("a", &a, ""), ("b", &b, "")]);
        format!("response_timeout = \"{timeout}\"\n{text}")
    };
    let site = Site::start("timeouts", &text("1h", 0));
    let mut client = site.client();
    let n = |path: &str| {
        let of = |backend: &Backend| {
            let seen = backend.seen.items();
            seen.iter().filter(|seen| seen.head.word(1) == path).count()
        };
        of(&a) + of(&b)
    };
    client.get("/");
    assert_eq!(client.get("/close").status, 502);
    assert_eq!(n("/close"), 1);
    let lines = site.reload(&text("100ms", 1));
    assert_eq!(
        lines,
        [
            "~ response_timeout \"1h\" → \"100ms\"",
            "~ web.retries 0 → 1"
        ]
    );
    assert_eq!(client.get("/never").status, 504);
    site.reload(&text("1h", 1));
    assert_eq!(client.get("/close").status, 502);
    assert_eq!(n("/close"), 3, "one more attempt");
    site.reload(&text("1h", 0));
    assert_eq!(client.get("/close").status, 502);
    assert_eq!(n("/close"), 4);
}

#[test]
fn trust_is_that_of_the_file() {
    // Goal: whose X-Forwarded-For is kept changes with the file, on the same connection.
    let a = Backend::answering("a");
    let plain = web("", &[("a", &a, "")]);
    let trusting = format!("trust = [\"127.0.0.1\"]\n{plain}");
    let site = Site::start("trust", &plain);
    let mut client = site.client();
    let mut forwarded_for = || {
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
        assert_eq!(client.answer().status, 200);
        let last = a.seen.items().pop().expect("it was asked");
        last.head.one("X-Forwarded-For").unwrap_or_default()
    };
    assert_eq!(forwarded_for(), "127.0.0.1");
    site.reload(&trusting);
    assert_eq!(forwarded_for(), "192.0.2.7, 127.0.0.1");
    site.reload(&plain);
    assert_eq!(forwarded_for(), "127.0.0.1");
}

#[test]
fn the_log_says_as_much_as_the_file_wants() {
    // Goal: the level goes up and down, and a reload that hides info still says that. Trick: each
    // exchange is a line at debug, by its target; behind the quiet one debug never comes again.
    let a = Backend::answering("a");
    let plain = web("", &[("a", &a, "")]);
    let at = |level: &str| format!("log_level = \"{level}\"\n{plain}");
    let site = Site::start("log", &plain);
    let lines = site.reload(&at("debug"));
    assert_eq!(lines, ["~ log_level \"info\" → \"debug\""]);
    site.get("/loud");
    site.threadbare.await_line("GET /loud by web/a");
    let lines = site.reload(&at("warn"));
    assert_eq!(lines, ["~ log_level \"debug\" → \"warn\""]);
    site.refuse("nonsense"); // a fence: the level is set behind the line that tells it
    site.get("/quiet");
    let lines = site.reload(&at("info"));
    assert_eq!(lines, ["~ log_level \"warn\" → \"info\""]);
    site.threadbare.stop();
    assert_eq!(site.threadbare.lines("/quiet"), [""; 0]);
}

#[test]
fn variables_are_those_of_the_start() {
    // Goal: what a reload adds may stand in a variable; one that is not set is a fault.
    let [a, b] = ["a", "b"].map(Backend::answering);
    let site = Site::start_with("variables", &web("", &[("a", &a, "")]), |command| {
        command.env("THREADBARE_TEST_B", b.addr.to_string());
    });
    let text = |name: &str| format!("[pool.web]\nbackends = [\"http://${{{name}}},name=b\"]\n");
    let lines = site.reload(&text("THREADBARE_TEST_B"));
    assert_eq!(lines, [format!("+ b url={}", b.url()), "- a".to_owned()]);
    site.threadbare.await_line("backend web/a is gone: ");
    assert_eq!(site.get("/"), "b");
    let fault = site.refuse(&text("THREADBARE_TEST_C"));
    assert!(fault.contains("THREADBARE_TEST_C is not set"), "{fault}");
    site.reload(&text(&format!("THREADBARE_TEST_C:-{}", b.addr)));
    assert_eq!(site.get("/"), "b");
}

#[test]
fn a_flag_goes_before_the_file_at_a_reload_too() {
    // Goal: what was typed stays, and is no change.
    let a = Backend::answering("a");
    let plain = web("", &[("a", &a, "")]);
    let site = Site::start_with("flag", &plain, |command| {
        command.args(["--connect-timeout", "3s"]);
    });
    let lines = site.reload(&format!("connect_timeout = \"9s\"\n{plain}"));
    assert_eq!(lines, [""; 0]);
}

#[test]
fn what_a_reload_says_is_what_check_says() {
    // Goal: a file that --check finds good is taken, whole. Trick: what --check prints of it is the
    // same configuration: a reload of that changes nothing.
    let [a, b] = ["a", "b"].map(Backend::answering);
    let text = format!(
        "{}[pool.api]\n{}[[route]]\npool = \"web\"\n[[route]]\nhost = \"*.example.org\"\n\
         path = \"/api\"\npool = \"api\"\nset_fields = {{ \"X-A\" = \"1\" }}\n",
        web(
            "policy = \"uri-hash\"\nhash_max_load = \"125%\"\n",
            &[("a", &a, ",weight=2")]
        ),
        list(&[("b", &b, "")])
    );
    let file = ConfigFile::new("reload-check", &text);
    let listen = ["--listen", "127.0.0.1:0"];
    let checked = run(&[&["--check", "--config", file.path()][..], &listen].concat());
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let site = Site::start("checked", &text);
    let printed: Vec<&str> = checked.stdout.iter().map(String::as_str).collect();
    assert_eq!(site.reload(&printed.join("\n")), [""; 0]);
}
