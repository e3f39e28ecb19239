//! Where the gate listens: several addresses, Unix sockets, and sockets that systemd hands over.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{self, Command, Stdio};

use rustix::process::Signal;

use crate::harness::{
    Backend, Client, DEADLINE, Folder, Port, Threadbare, ask, command, level, ok,
};

/// A path of this test's own; the file is gone when it is dropped.
struct SocketPath(PathBuf);

impl SocketPath {
    fn new(name: &str) -> Self {
        let name = format!("threadbare-{}-{name}", process::id());
        Self(env::temp_dir().join(name))
    }

    fn option(&self) -> String {
        format!("unix:{}", self.0.display())
    }

    /// The whole answer to one request over it.
    #[track_caller]
    fn ask(&self) -> String {
        let mut stream = UnixStream::connect(&self.0).expect("threadbare listens there");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a socket takes it");
        let request = b"GET / HTTP/1.1\r\nHost: front.test\r\nConnection: close\r\n\r\n";
        stream.write_all(request).expect("threadbare reads");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .expect("a whole answer comes");
        answer
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // threadbare has removed it already
    }
}

/// Answers with the client's address that it was told, `nobody` if none.
fn echo() -> Backend {
    Backend::replying(|seen| {
        let client = seen.head.one("X-Forwarded-For");
        ok(client.as_deref().unwrap_or("nobody"))
    })
}

/// Before this backend, listening on these, and ready.
fn listening_on(backend: &Backend, at: &[&str]) -> Threadbare {
    let url = backend.url();
    let mut args = vec!["--backend", &url];
    args.extend(at.iter().flat_map(|at| ["--listen", at]));
    let threadbare = Threadbare::spawn(command(&args));
    threadbare.await_line("listening on ");
    threadbare
}

/// The addresses that the log names, in their order.
fn addresses(threadbare: &Threadbare) -> Vec<String> {
    let line = threadbare.await_line("listening on ");
    let (_, rest) = line
        .split_once("listening on ")
        .expect("it was found by this");
    let (addresses, _) = rest.split_once(": ").expect("the rest follows");
    addresses.split(", ").map(str::to_owned).collect()
}

#[test]
fn it_listens_on_every_address_at_once() {
    // Goal: two ports, IPv6 where the machine has it, and a Unix socket, all at once, in the order
    // in which they were asked for; each client's address is its own.
    let backend = echo();
    let path = SocketPath::new("all");
    let unix = path.option();
    let mut at = vec!["127.0.0.1:0", "127.0.0.1:0", &unix];
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    if has_ipv6 {
        at.push("[::1]:0");
    } else {
        eprintln!("no IPv6 here: that part is skipped");
    }
    let threadbare = listening_on(&backend, &at);
    let addresses = addresses(&threadbare);
    assert_eq!(addresses.len(), at.len(), "{addresses:?}");
    assert_eq!(addresses[2], unix);
    let told = ["127.0.0.1", "127.0.0.1", "", "::1"];
    for (address, told) in addresses.iter().zip(told) {
        if let Ok(address) = address.parse::<SocketAddr>() {
            assert_eq!(Client::connect(address).get("/").text(), told);
        }
    }
    assert!(path.ask().ends_with("\r\n\r\nnobody"));
    threadbare.stop();
}

#[test]
fn all_of_ipv4_and_all_of_ipv6_share_a_port() {
    // Goal: `0.0.0.0:P` and `[::]:P`, in either order, are not in each other's way; `[::]` alone
    // takes IPv4 as well. Trick: whose client it is tells by which family it came.
    let system = fs::read_to_string("/proc/sys/net/ipv6/bindv6only");
    if TcpListener::bind("[::1]:0").is_err() || system.is_ok_and(|only| only.trim() == "1") {
        return eprintln!("no IPv6 here, or never with IPv4: skipped");
    }
    let backend = echo();
    let from_both = |port| {
        for host in ["127.0.0.1", "::1"] {
            let address = SocketAddr::new(host.parse().expect("an address"), port);
            assert_eq!(Client::connect(address).get("/").text(), host);
        }
    };
    for is_turned in [false, true] {
        let port = Port::take();
        let mut at = ["0.0.0.0", "[::]"].map(|host| format!("{host}:{}", port.addr.port()));
        if is_turned {
            at.reverse();
        }
        let threadbare = listening_on(&backend, &at.each_ref().map(String::as_str));
        assert_eq!(addresses(&threadbare), at);
        from_both(port.addr.port());
        threadbare.stop();
    }
    let threadbare = listening_on(&backend, &["[::]:0"]);
    let address: SocketAddr = addresses(&threadbare)[0].parse().expect("an address");
    from_both(address.port());
    threadbare.stop();
}

#[test]
fn descriptors_that_do_not_do_are_told_in_words() {
    // Goal: whatever the first thing is for which there is no descriptor, nobody is told to listen
    // on epoll. Trick: one more each time, from too few for anything up to where it starts.
    let inner = command(&["--backend", "http://127.0.0.1:1", "--listen", "127.0.0.1:0"]);
    let started = |n: u32| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {n}; exec \"$0\" \"$@\"")]);
        shell.arg(inner.get_program()).args(inner.get_args());
        let threadbare = Threadbare::spawn(shell);
        threadbare.log.wait("a start or a reason", |lines| {
            let is_end = |l: &&String| level(l) == "ERROR" || l.contains("listening on ");
            lines.iter().find(is_end).cloned()
        })
    };
    let reasons = (5..100).map(started);
    let reasons: Vec<String> = reasons.take_while(|l| level(l) == "ERROR").collect();
    assert!(
        reasons.iter().all(|line| !line.contains("epoll")),
        "{reasons:#?}"
    );
    let wanted = "cannot listen on 127.0.0.1:0: connections can't be watched: too many open files";
    assert!(
        reasons.iter().any(|line| line.ends_with(wanted)),
        "{reasons:#?}"
    );
}

#[test]
fn a_unix_socket_has_no_client_address_and_leaves_no_file() {
    // Goal: no X-Forwarded-For is made up, and the file is gone at the end.
    let backend = echo();
    let path = SocketPath::new("plain");
    let threadbare = listening_on(&backend, &[&path.option()]);
    for _ in 0..3 {
        let answer = path.ask();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\nnobody"), "{answer}");
    }
    threadbare.stop();
    assert!(!path.0.exists(), "the file is removed at the end");
}

#[test]
fn a_socket_file_is_replaced_only_if_nobody_listens_there() {
    // Goal: what a crash left behind is no obstacle, and a live server is not robbed of its
    // clients. Trick: the first is killed; the third finds the second alive. An ordinary file is
    // nobody's socket, and stays.
    let backend = echo();
    let path = SocketPath::new("stale");
    let at = path.option();
    let first = listening_on(&backend, &[&at]);
    first.signal(Signal::KILL);
    assert_eq!(first.exit_code(), None);
    assert!(path.0.exists(), "a crash leaves the file behind");
    let second = listening_on(&backend, &[&at]);
    assert!(path.ask().ends_with("nobody"));
    assert_is_refused(&backend, &at);
    assert!(
        path.ask().ends_with("nobody"),
        "the second is not disturbed"
    );
    second.stop();
    fs::write(&path.0, "precious").expect("a file can be written");
    let why = assert_is_refused(&backend, &at);
    assert!(
        why.ends_with("what is there is no socket, and stays"),
        "{why}"
    );
    let kept = fs::read_to_string(&path.0).expect("the file is still there");
    assert_eq!(kept, "precious");
}

#[test]
fn a_socket_file_that_another_server_has_put_there_stays() {
    // Goal: the old server's end does not cut the new one off when they change places. Trick: the
    // first one's file is taken away before the second starts.
    let backend = echo();
    let path = SocketPath::new("handover");
    let old = listening_on(&backend, &[&path.option()]);
    fs::remove_file(&path.0).expect("the old one's file is there");
    let new = listening_on(&backend, &[&path.option()]);
    old.stop();
    assert!(path.ask().ends_with("nobody"));
    new.stop();
    assert!(!path.0.exists(), "the new one removes its own");
}

#[track_caller]
fn assert_is_refused(backend: &Backend, at: &str) -> String {
    let url = backend.url();
    let run = crate::harness::run(&["--backend", &url, "--listen", at]);
    assert!(matches!(run.code, Some(1 | 2)), "{run:?}");
    let line = run.stderr.iter().find(|line| line.contains(at));
    line.unwrap_or_else(|| panic!("it names it: {run:?}"))
        .clone()
}

/// Starts it as systemd does: the socket as descriptor 3. Trick: a shell moves it there from its
/// standard input, and becomes threadbare.
fn handed(backend: &Backend, socket: OwnedFd) -> Threadbare {
    let threadbare = handed_to(backend, socket, None, &["--listen", "systemd"]);
    threadbare.await_line("listening on ");
    threadbare
}

/// The same with other options, and with a name for the socket.
fn handed_to(
    backend: &Backend,
    socket: OwnedFd,
    name: Option<&str>,
    options: &[&str],
) -> Threadbare {
    let url = backend.url();
    let inner = command(&[&["--backend", &url], options].concat());
    let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]);
    shell.arg(inner.get_program()).args(inner.get_args());
    match name {
        Some(name) => shell.env("LISTEN_FDNAMES", name),
        None => shell.env_remove("LISTEN_FDNAMES"),
    };
    Threadbare::spawn_with_input(shell, Stdio::from(socket))
}

fn free_listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = listener.local_addr().expect("it is bound");
    (listener, addr)
}

#[test]
fn a_socket_that_is_handed_over_is_taken_by_its_name() {
    // Goal: `systemd:NAME` takes it, `systemd` does so too while nobody asks for it by name;
    // another name is an error that tells the names that there are.
    let backend = echo();
    for at in ["systemd:web", "systemd"] {
        let (listener, addr) = free_listener();
        let threadbare = handed_to(&backend, listener.into(), Some("web"), &["--listen", at]);
        assert_eq!(addresses(&threadbare), [addr.to_string()]);
        assert_eq!(Client::connect(addr).get("/").text(), "127.0.0.1");
        threadbare.stop();
    }
    let (listener, _) = free_listener();
    let options = ["--listen", "systemd:api"];
    let threadbare = handed_to(&backend, listener.into(), Some("web"), &options);
    threadbare.await_line("cannot listen on systemd:api: no socket named api was handed over");
    assert_eq!(threadbare.exit_code(), Some(1));
    assert!(threadbare.lines("the names are \"web\"").len() == 1);
}

#[test]
fn the_admin_api_takes_its_socket_and_leaves_it_to_nobody_else() {
    // Goal: one socket for the API, by its name; a listener that asks for no name does not get it.
    // A token is asked for, as nobody knows who can reach the socket.
    let backend = echo();
    let folder = Folder::new();
    let token = folder.write("token", "s3cret");
    let admin = ["--admin", "systemd:admin", "--admin-token-file", &token];
    let (listener, addr) = free_listener();
    let options = [&admin[..], &["--listen", "127.0.0.1:0"]].concat();
    let threadbare = handed_to(&backend, listener.into(), Some("admin"), &options);
    threadbare.await_line(&format!("admin API on {addr}"));
    let authorization = "Authorization: Bearer s3cret";
    let answer = ask(addr, "GET", "/status", &[authorization], "");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(ask(addr, "GET", "/status", &[], "").status, 401);
    threadbare.stop();

    let (listener, _) = free_listener();
    let options = [&admin[..], &["--listen", "systemd"]].concat();
    let threadbare = handed_to(&backend, listener.into(), Some("admin"), &options);
    threadbare.await_line("cannot listen on systemd: no socket was handed over");
    assert_eq!(threadbare.exit_code(), Some(1));
    let run = crate::harness::run(&["--backend", &backend.url(), "--admin", "systemd:admin"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr[0].contains("--admin-token-file"), "{run:?}");
}

#[test]
fn a_socket_that_systemd_hands_over_is_served() {
    // Goal: TCP and Unix. Trick: clients connect before the process exists, as they may.
    let backend = echo();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = listener.local_addr().expect("it is bound");
    let mut early = Client::connect(addr);
    let threadbare = handed(&backend, listener.into());
    assert_eq!(addresses(&threadbare), [addr.to_string()]);
    assert_eq!(early.get("/").text(), "127.0.0.1");
    assert_eq!(Client::connect(addr).get("/").text(), "127.0.0.1");
    threadbare.stop();

    let path = SocketPath::new("handed");
    let listener = UnixListener::bind(&path.0).expect("the path is free");
    let threadbare = handed(&backend, listener.into());
    assert_eq!(addresses(&threadbare), [path.option()]);
    assert!(path.ask().ends_with("nobody"));
    threadbare.stop();
    assert!(path.0.exists(), "who made the file removes it");
}

#[test]
fn systemd_without_a_socket_is_an_error() {
    // Goal: one line that says what is missing. Also when the sockets are meant for somebody else.
    for pid in ["", "1"] {
        let mut command = command(&["--backend", "http://127.0.0.1:1", "--listen", "systemd"]);
        command.env_remove("LISTEN_PID").env_remove("LISTEN_FDS");
        if !pid.is_empty() {
            command.env("LISTEN_PID", pid).env("LISTEN_FDS", "1");
        }
        let threadbare = Threadbare::spawn(command);
        assert!(matches!(threadbare.exit_code(), Some(1 | 2)));
        threadbare.await_line("cannot listen on systemd: no socket was handed over");
    }
}
