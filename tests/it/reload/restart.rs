//! Options that need a restart: a reload says so each time, and does not apply them.

use super::{Site, content, request, web};
use crate::harness::{Answer, Backend, Client, Gate};

const STAYS: &str = ": needs a restart; the old one stays";

#[test]
fn what_needs_a_restart_is_told_each_time() {
    // Goal: the line comes with every reload until the file says what runs, which is told against
    // what runs and not against the file before; what is taken out of the file counts as well.
    let a = Backend::answering("a");
    let plain = web("", &[("a", &a, "")]);
    let with = |options: &str| format!("{options}{plain}");
    let site = Site::start_with("restart", &with("drain_dir = \"/nowhere\"\n"), |command| {
        command.args(["--workers", "7"]);
    });
    let gone = format!("~ drain_dir \"/nowhere\" → none{STAYS}");
    let queue = |n: usize| format!("~ queue 1024 → {n}{STAYS}");
    for _ in 0..2 {
        assert_eq!(site.reload(&with("queue = 9\n")), [queue(9), gone.clone()]);
    }
    assert_eq!(site.reload(&with("queue = 10\n")), [queue(10), gone]);
    let back = "drain_dir = \"/nowhere\"\n";
    assert_eq!(site.reload(&with(back)), [""; 0]);
    let all = "accept_proxy = true\nmax_requests = 1\nmax_content = 1\nmax_target = 64\n\
               keep_alive_timeout = \"1ms\"\nidle_timeout = \"1ms\"\nqueue_timeout = \"1ms\"\n";
    let lines = site.reload(&with(&format!("{all}{back}")));
    assert_eq!(lines.len(), 7, "{lines:#?}");
    assert!(lines.iter().all(|line| line.ends_with(STAYS)), "{lines:#?}");
    let mut client = site.client();
    for _ in 0..3 {
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(content(&mut client, &format!("/{}", "a".repeat(100))), "a");
}

#[test]
fn another_address_is_not_listened_on() {
    // Goal: the old address goes on, and the new one refuses.
    let a = Backend::answering("a");
    let other = Backend::refusing(|_| Ok(()));
    let text = |listen: &str| format!("listen = \"{listen}\"\n{}", web("", &[("a", &a, "")]));
    let file = crate::harness::ConfigFile::new("reload-listen", &text("127.0.0.1:0"));
    let command = crate::harness::command(&["--config", file.path()]);
    let threadbare = crate::harness::Threadbare::launch(command);
    let site = Site { threadbare, file };
    let lines = site.reload(&text(&other.addr.to_string()));
    let wanted = format!(
        "~ listen [\"127.0.0.1:0\"] → [\"{}\"]: needs a restart; the old one stays",
        other.addr
    );
    assert_eq!(lines, [wanted]);
    assert_eq!(site.get("/"), "a");
    let refused = std::net::TcpStream::connect(other.addr);
    assert!(refused.is_err(), "nobody listens there");
}

#[test]
fn a_time_that_needs_a_restart_is_not_half_applied() {
    // Goal: idle_timeout and queue_timeout bound the queue and the gate, which stay; so workers
    // keep to the old ones as well. Trick: a backend that is silent in the middle of its answer,
    // and a request that waits for a worker, both for longer than the new times.
    let gate = Gate::closed();
    let closed = gate.clone();
    let a = Backend::start(move |mut conn| {
        loop {
            if conn.request()?.head.word(1) == "/slow" {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")?;
                closed.pass()?;
                conn.send("a")?;
            } else {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\naa")?;
            }
        }
    });
    let clock = Backend::start(|mut conn| {
        conn.request()?;
        Err(conn.end())
    });
    let text = |time: &str| {
        format!(
            "idle_timeout = \"{time}\"\nqueue_timeout = \"{time}\"\nworkers = 2\nlong_haul = 0\n\
             response_timeout = \"300ms\"\n{}[pool.clock]\nbackends = [\"{}\"]\n\
             [[route]]\npool = \"web\"\n[[route]]\npath = \"/clock\"\npool = \"clock\"\n",
            web("", &[("a", &a, "")]),
            clock.url()
        )
    };
    let site = Site::start("half", &text("1h"));
    assert_eq!(site.reload(&text("1ms")).len(), 2);
    let mut slow = site.client();
    slow.send(request("/slow"));
    let head = slow.head().expect("its head comes");
    assert_eq!(head.word(1), "200");
    // The other worker is the clock, and the next request waits behind it.
    let mut clocks: Vec<Client> = (0..2).map(|_| site.client()).collect();
    for client in &mut clocks {
        client.send(request("/clock"));
    }
    let answers: Vec<Answer> = clocks.iter_mut().map(Client::answer).collect();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [504, 504], "{answers:?}");
    gate.open();
    assert_eq!(slow.take(2).as_deref(), Ok(&b"aa"[..]));
}

#[cfg(target_os = "linux")]
#[test]
fn where_descriptors_are_scarce_more_backends_are_only_that() {
    // Goal: max_connections is fitted to the descriptors and the backends at the start; with other
    // backends it is not another one. Trick: 600 descriptors, of which each backend wants some.
    let [a, b, c] = ["a", "b", "c"].map(Backend::answering);
    let site = Site::start_with("scarce", &web("", &[("a", &a, "")]), |command| {
        command.args(["--workers", "4"]);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "ulimit -n 600 && exec \"$0\" \"$@\""]);
        shell.arg(command.get_program()).args(command.get_args());
        *command = shell;
    });
    site.threadbare.await_line("descriptors are all there are");
    let lines = site.reload(&web("", &[("a", &a, ""), ("b", &b, ""), ("c", &c, "")]));
    let come = |name: &str, backend: &Backend| format!("+ {name} url={}", backend.url());
    assert_eq!(lines, [come("b", &b), come("c", &c)]);
    let other = format!("max_connections = 9\n{}", web("", &[("a", &a, "")]));
    let lines = site.reload(&other);
    assert!(lines[0].ends_with(&format!(" → 9{STAYS}")), "{lines:#?}");
    assert_eq!(site.get("/").len(), 1);
}
