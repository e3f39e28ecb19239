//! SIGHUP at every moment: without a file, in the demo, during a stop, many in a row.

use std::thread;

use rustix::process::Signal;

use super::{REFUSED, RELOADED, Site, request, web};
use crate::harness::{Backend, Gate, Threadbare, command};

#[test]
fn without_a_file_there_is_nothing_to_change() {
    // Goal: one line, and the requests go on.
    let a = Backend::answering("a");
    let threadbare = Threadbare::before(&[a.addr], &["--retries", "2"]);
    let mut client = threadbare.client();
    for n in 1..=3 {
        assert_eq!(client.get("/").text(), "a");
        threadbare.signal(Signal::HUP);
        threadbare.await_lines("reloaded: nothing has changed", n);
        assert_eq!(client.get("/").text(), "a");
    }
    threadbare.stop();
    assert_eq!(threadbare.lines(RELOADED).len(), 3);
}

#[test]
fn the_demo_has_nothing_to_reload() {
    // Goal: one line, and its backends go on.
    let threadbare = Threadbare::launch(command(&["demo", "--listen", "127.0.0.1:0"]));
    threadbare.signal(Signal::HUP);
    let line = threadbare.await_line(REFUSED);
    assert!(line.contains("the demo has nothing to reload"), "{line}");
    for _ in 0..3 {
        assert_eq!(threadbare.get("/").status, 200);
    }
    threadbare.stop();
}

#[test]
fn a_stop_right_behind_a_reload_is_a_stop() {
    // Goal: exit 0 with every request answered, whether the reload still happened or not; never a
    // lost signal. Trick: many small rounds, each with another number of signals before the stop.
    let gate = Gate::closed();
    let (a, b) = (Backend::holding("a", &gate), Backend::answering("b"));
    for n in 0..8 {
        let name = format!("stop-behind-{n}");
        let site = Site::start_with(&name, &web("", &[("a", &a, "")]), |command| {
            command.args(["--shutdown-timeout", "1h"]);
        });
        let before = a.seen.len();
        let mut held = site.client();
        held.send(request("/slow"));
        a.await_requests(before + 1);
        site.file.write(&web("", &[("b", &b, "")]));
        for _ in 0..n {
            site.hup();
        }
        site.threadbare.signal(Signal::TERM);
        site.threadbare.await_line("stopping: SIGTERM");
        gate.open();
        assert_eq!(held.answer().text(), "a");
        let code = site.threadbare.exit_code();
        assert_eq!(code, Some(0), "{:#?}", site.threadbare.log.items());
        assert!(site.threadbare.lines(RELOADED).len() <= n);
    }
}

#[test]
fn a_reload_during_a_stop_changes_nothing() {
    // Goal: the stop goes on, and ends with 0. Trick: a held request keeps it from ending, and the
    // file would not be valid any more.
    let gate = Gate::closed();
    let a = Backend::holding("a", &gate);
    let site = Site::start_with("during-stop", &web("", &[("a", &a, "")]), |command| {
        command.args(["--shutdown-timeout", "1h"]);
    });
    let mut held = site.client();
    held.send(request("/slow"));
    a.await_requests(1);
    site.threadbare.signal(Signal::TERM);
    site.threadbare.await_line("stopping: SIGTERM");
    site.file.write("nonsense");
    for _ in 0..20 {
        site.hup();
    }
    gate.open();
    assert_eq!(held.answer().text(), "a");
    assert_eq!(site.threadbare.exit_code(), Some(0));
    assert_eq!(site.threadbare.lines("] (main) reload"), [""; 0]);
}

#[test]
fn the_last_of_many_signals_is_not_lost() {
    // Goal: twenty signals in a row may be fewer reloads, but the last of them sees the last file.
    // Trick: the last file has a backend that no other one has, under load all the time.
    let backends = ["a", "b", "c", "d"].map(Backend::answering);
    let off = "health = \"off\"\n";
    let text = |n: usize| web(off, &[(["a", "b", "c", "d"][n % 4], &backends[n % 4], "")]);
    let site = Site::start("many", &text(0));
    let gone = Gate::closed();
    let asker = {
        let (mut client, gone) = (site.client(), gone.clone());
        thread::spawn(move || {
            let mut n = 0;
            while gone.is_closed() {
                assert_eq!(client.get("/").status, 200);
                n += 1;
            }
            n
        })
    };
    for n in 1..20 {
        site.file.write(&text(n));
        site.hup();
    }
    site.file.write(&web(off, &[("last", &backends[3], "")]));
    site.hup();
    site.threadbare.await_line("(main)   + last url=");
    assert_eq!(site.get("/"), "d");
    gone.open();
    assert!(asker.join().expect("no request failed") > 0);
    assert_eq!(site.threadbare.lines(REFUSED), [""; 0]);
    site.threadbare.stop();
}
