//! `ctl` and others against both listeners of the admin API, over real sockets.

use super::order;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::admin::fake::FakeSite;
use crate::admin::{self, Admin, Site};
use crate::intake::ListenAt;
use crate::intake::gate::HandedOver;
use crate::pool::saved::tests::TestDir;
use crate::process::ctl::{CTL, perform};
use crate::watch::Lane;

/// Serves a fake site at this address while the test talks to it, with threads as the server has.
fn serve<T>(at: &ListenAt, site: Arc<FakeSite>, talk: impl FnOnce(&str) -> T) -> T {
    let stopping = Arc::new(AtomicBool::new(false));
    let finished = AtomicBool::new(false);
    let bound = admin::bind(at, &stopping, &mut HandedOver::default()).expect("a free address");
    let site: Arc<dyn Site> = site;
    let admin = Admin::new(site, None, Instant::now(), Arc::clone(&stopping));
    let admin::Bound {
        listening,
        queue,
        jobs,
    } = bound;
    thread::scope(|scope| {
        let (run, waker) = (listening.run, listening.waker);
        scope.spawn(|| run(queue, &stopping, &finished));
        let handlers = (0..admin::N_HANDLERS)
            .map(|_| scope.spawn(|| admin::run_admin(&admin, &jobs, &Lane::new(Instant::now()))));
        let handlers: Vec<_> = handlers.collect();
        // A test that fails must not hang: the threads end all the same.
        let said = catch_unwind(AssertUnwindSafe(|| talk(&listening.addresses[0])));
        stopping.store(true, Ordering::Release);
        waker.wake();
        for handler in handlers {
            handler.join().expect("no handler panics");
        }
        finished.store(true, Ordering::Release);
        waker.wake();
        said.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// What `ctl` says to these words: exit code, standard output and standard error.
fn ctl(at: &str, words: &str) -> (u8, String, String) {
    let order = order(words, Some(at)).expect("good words");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = perform(CTL, &order, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (code, text(out), text(err))
}

/// Words, exit code, and what is said, after both listeners' word; in order of one site.
const TALK: &str = "
add http://web4:80,weight=2 --pool a     | 0 | web4:80: added
add http://web4:80,weight=2 --pool a     | 0 | web4:80: added, as before
add http://web4:80,weight=3 --pool a     | 1 | threadbare ctl: web4:80: another one is there
add http://web5                          | 1 | threadbare ctl: choose a pool with --pool: a, b
remove web4:80                           | 0 | web4:80: removed
remove web4:80 --pool a                  | 0 | web4:80: was not there
remove web4:80 --pool c                  | 1 | threadbare ctl: web4:80: there is no pool c; \
the pools are a, b
enable none --pool a                     | 1 | threadbare ctl: none: pool a has no backend none
weight web2:80/app 3                     | 0 | web2:80/app: weight 3
weight http://web2:80/app 3              | 0 | web2:80/app: weight 3, as before
down web1:80                             | 1 | threadbare ctl: web1:80: it is in several pools, \
choose with --pool: a, b
down web1:80 --pool b                    | 0 | web1:80: forced down
auto web1:80 --pool b                    | 0 | web1:80: as its probes say
drain web2:80/app --timeout 0s           | 0 | web2:80/app: drained, nothing is in flight
enable web2:80/app                       | 0 | web2:80/app: enabled
enable web2:80/app                       | 0 | web2:80/app: enabled, as before
reload                                   | 0 | + web3 weight=2\\n~ web1 weight 1→3
shutdown                                 | 0 | it is shutting down
";

fn talk(at: &str) {
    for line in TALK.trim().lines() {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [words, code, says] = columns.try_into().expect("three columns");
        let (got, out, err) = ctl(at, words);
        assert_eq!(
            format!("{out}{err}").trim_end(),
            says.replace("\\n", "\n"),
            "{words}"
        );
        assert_eq!(got.to_string(), code, "{words}");
    }
    let (code, out, err) = ctl(at, "status");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.contains("\npool a: round-robin, 0 in flight\n  BACKEND  "),
        "{out}"
    );
    let (_, json, _) = ctl(at, "status --json");
    assert!(
        json.starts_with(r#"{"version":"#) && json.ends_with("}\n"),
        "{json}"
    );
}

fn site() -> Arc<FakeSite> {
    let pools: &[(&str, &[&str])] = &[
        ("a", &["http://web1:80", "http://web2:80/app"]),
        ("b", &["http://web1:80", "http://web3:80"]),
    ];
    // What is in flight ends as soon as somebody waits for it.
    let (site, _) = FakeSite::new(pools);
    Arc::new(site)
}

#[test]
fn it_talks_to_the_api_on_loopback() {
    let at = ListenAt::Tcp("127.0.0.1:0".to_owned());
    serve(&at, site(), talk);
}

/// All that comes back to these bytes, whatever of the content is never sent.
fn raw(mut stream: impl io::Read + io::Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).expect("it is taken");
    let mut answers = String::new();
    // An error: it was reset behind the answer, which is here.
    let _ = stream.read_to_string(&mut answers);
    answers
}

#[test]
fn both_listeners_keep_long_content_out_and_serve_one_request_after_the_other() {
    let dir = TestDir::new("raw");
    let post = "POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let long = format!("{post}Content-Length: 65537\r\n\r\n");
    let chunk = format!("{:x}\r\n{{{}\r\n", 40_001, " ".repeat(40_000));
    let chunked = format!("{post}Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    let last = "GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let two = format!("{post}Content-Length: 2\r\n\r\n{{}}{last}");
    let expecting = format!("{post}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{{}}{last}");
    let requests = [
        (long, "413", 1),
        (chunked, "413", 1),
        (two, "200", 2),
        (expecting, "100", 3),
    ];
    let tcp = ListenAt::Tcp("127.0.0.1:0".to_owned());
    let unix = ListenAt::Unix(dir.path("admin.sock"));
    for at in [&tcp, &unix] {
        serve(at, site(), |at| {
            for (request, status, n) in &requests {
                let answers = match at.strip_prefix("unix:") {
                    Some(path) => raw(UnixStream::connect(path).expect("it listens"), request),
                    None => raw(TcpStream::connect(at).expect("it listens"), request),
                };
                assert_eq!(
                    &answers["HTTP/1.1 ".len()..][..3],
                    *status,
                    "{at}: {answers}"
                );
                assert_eq!(answers.matches("HTTP/1.1 ").count(), *n, "{at}: {answers}");
            }
        });
    }
}

#[test]
fn it_talks_to_the_api_on_a_unix_socket() {
    let dir = TestDir::new("ctl");
    let at = ListenAt::Unix(dir.path("admin.sock"));
    serve(&at, site(), talk);
    assert!(
        !dir.path("admin.sock").exists(),
        "the socket's file goes with it"
    );
}

#[test]
fn several_are_drained_together_and_each_is_told_of() {
    let at = ListenAt::Tcp("127.0.0.1:0".to_owned());
    let pools: &[(&str, &[&str])] = &[("a", &["http://web1", "http://web2", "http://web3"])];
    let (site, _finish) = FakeSite::new(pools);
    let site = Arc::new(site);
    site.occupy("a", "web2:80", 2);
    let address: SocketAddr = serve(&at, Arc::clone(&site), |at| {
        let words = "drain web1:80 nobody web2:80 web3:80 --timeout 20ms";
        let (code, out, err) = ctl(at, words);
        assert_eq!(code, 1);
        let gone = ": drained, nothing is in flight\n";
        assert_eq!(out, format!("web1:80{gone}web3:80{gone}"));
        let errors: Vec<&str> = err.lines().collect();
        assert_eq!(
            errors[0],
            "threadbare ctl: nobody: pool a has no backend nobody"
        );
        assert!(
            errors[1].starts_with("threadbare ctl: web2:80: 2 still in flight"),
            "{err}"
        );
        assert!(
            errors[1].ends_with("worker-4 has GET /slow of 192.0.2.1 since 12.0s"),
            "{err}"
        );
        assert_eq!(errors.len(), 2, "{err}");
        let (code, out, _) = ctl(at, "drain web2:80 --timeout 0s");
        assert_eq!(
            (code, out.as_str()),
            (0, "web2:80: drained, 2 still in flight\n")
        );
        at.parse().expect("an address")
    });
    let report = site.report(Instant::now());
    assert!(
        report[0]
            .backends
            .iter()
            .all(|backend| backend.mode == "drained")
    );
    let (code, _, err) = ctl(&address.to_string(), "drain web1 web2");
    assert_eq!(
        (code, err.lines().count()),
        (1, 1),
        "nobody is there, which is said once: {err}"
    );
}
