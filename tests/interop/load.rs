//! The promise of a balancer, under load: backends die and come back, and no request fails.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::backends::start_nginx;
use crate::balancer::{Balancer, start_demo_backend};
use crate::peer::{Folder, Peer, find, installed, output_of, wait};

/// How long the load runs and how many connections it holds.
const LOAD_SECONDS: u64 = 10;
const CONNECTIONS: &str = "64";

/// So that a killed backend is back in turn several times within the load's time.
const OPTIONS: &[&str] = &["--health-interval", "100ms", "--health-timeout", "1s"];

/// How long the load runs before each kill: the backend must be in full use again.
const IN_USE: Duration = Duration::from_millis(300);

/// The load must end this long before its time is over for the kills to have hit it.
const TAIL: Duration = Duration::from_millis(500);

/// Fewer kills than this in the load's time would prove little.
const MIN_KILLS: usize = 3;

#[test]
fn no_request_fails_while_demo_backends_are_killed_and_started_again() {
    assert_no_failure_under_kills(|folder| Some(start_demo_backend(folder)));
}

#[test]
fn no_request_fails_while_nginx_backends_are_killed_and_started_again() {
    let server = "server { listen LISTEN; location / { return 200 'hello from nginx\n'; } }";
    assert_no_failure_under_kills(|folder| start_nginx(folder, server));
}

/// The goal: zero failed requests. The trick: the next kill waits for the log to say that the last
/// backend killed is up again, so that two are always alive and every kill hits one in full use.
fn assert_no_failure_under_kills(start_backend: impl Fn(&Folder) -> Option<Peer>) {
    let Some(tool) = LoadTool::find() else { return };
    let folder = Folder::new();
    let mut backends = Vec::new();
    for _ in 0..3 {
        let Some(backend) = start_backend(&folder) else {
            return;
        };
        backends.push(backend);
    }
    let addrs: Vec<SocketAddr> = backends.iter().map(|backend| backend.addr).collect();
    let mut balancer = Balancer::start(&addrs, OPTIONS);

    let begun = Instant::now();
    let load = tool.start(balancer.addr);
    let mut n_kills = 0;
    while begun.elapsed() + IN_USE + TAIL < Duration::from_secs(LOAD_SECONDS) {
        wait(IN_USE);
        let backend = &mut backends[n_kills % 3];
        backend.kill();
        balancer.await_line(&format!("backend {} is down", backend.addr));
        backend.restart();
        balancer.await_line(&format!("backend {} is up", backend.addr));
        n_kills += 1;
    }
    let report = finish(load);
    tool.assert_no_failure(&report);
    assert!(
        n_kills >= MIN_KILLS,
        "only {n_kills} kills in {LOAD_SECONDS} s"
    );
    println!("{n_kills} kills, no failed request:\n{report}");
}

/// Divides by neither the number of clients nor that of requests on a connection.
const N_REQUESTS: &str = "3001";
const CLOSING: &[&str] = &["--max-requests", "7"];

/// nginx, and a balancer that ends each connection after a few requests.
fn start_closing(folder: &Folder) -> Option<(Peer, Balancer)> {
    let server = "server { listen LISTEN; location / { return 200 'hello\n'; } }";
    let nginx = start_nginx(folder, server)?;
    let balancer = Balancer::start(&[nginx.addr], CLOSING);
    Some((nginx, balancer))
}

/// ab speaks HTTP/1.0: each request has its connection, or says that it wants to keep it.
#[test]
fn ab_gets_every_answer_on_connections_that_end() {
    let Some(ab) = installed("ab") else { return };
    let folder = Folder::new();
    let Some((_nginx, balancer)) = start_closing(&folder) else {
        return;
    };
    for kept in [&[][..], &["-k"][..]] {
        let mut command = Command::new(&ab);
        command.args(kept).args(["-q", "-s", "20", "-c", "20"]);
        command.args(["-n", N_REQUESTS, &format!("http://{}/", balancer.addr)]);
        let (code, report, stderr) = output_of(&mut command);
        let number = |name: &str| {
            let line = report.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_whitespace().nth(2))
        };
        let counts = (number("Complete requests:"), number("Failed requests:"));
        assert_eq!(code, 0, "{kept:?}: {stderr}");
        assert_eq!(counts, (Some(N_REQUESTS), Some("0")), "{kept:?}: {report}");
        assert!(!report.contains("Non-2xx"), "{kept:?}: {report}");
    }
}

#[test]
fn h2load_gets_every_answer_on_connections_that_end() {
    let Some(h2load) = installed("h2load") else {
        return;
    };
    let folder = Folder::new();
    let Some((_nginx, balancer)) = start_closing(&folder) else {
        return;
    };
    let mut command = Command::new(h2load);
    command.args(["--h1", "-c", "20", "-n", N_REQUESTS]);
    command.args(["--connection-active-timeout", "20"]);
    command.arg(format!("http://{}/", balancer.addr));
    let (code, report, stderr) = output_of(&mut command);
    assert_eq!(code, 0, "{stderr}");
    let wanted = format!("{N_REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout");
    assert!(report.contains(&wanted), "{report}");
    let wanted = format!("status codes: {N_REQUESTS} 2xx, 0 3xx, 0 4xx, 0 5xx");
    assert!(report.contains(&wanted), "{report}");
}

/// wrk, or h2load where wrk is not installed.
enum LoadTool {
    Wrk(std::path::PathBuf),
    H2load(std::path::PathBuf),
}

impl LoadTool {
    fn find() -> Option<Self> {
        let tool = find("wrk")
            .map(Self::Wrk)
            .or_else(|| find("h2load").map(Self::H2load));
        if tool.is_none() {
            println!("skipped: neither wrk nor h2load is installed");
        }
        tool
    }

    fn start(&self, addr: SocketAddr) -> Child {
        let seconds = LOAD_SECONDS.to_string();
        let mut command = match self {
            Self::Wrk(program) => {
                let mut command = Command::new(program);
                // Above a busy machine's hiccups, far below any deadline that would hide a failure.
                command.args([
                    "-t",
                    "2",
                    "-c",
                    CONNECTIONS,
                    "-d",
                    &seconds,
                    "--timeout",
                    "5s",
                ]);
                command
            }
            Self::H2load(program) => {
                let mut command = Command::new(program);
                command.args(["--h1", "-t", "2", "-c", CONNECTIONS, "-D", &seconds]);
                command
            }
        };
        command
            .arg(format!("http://{addr}/"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("a program that was found can be started")
    }

    /// wrk is silent about failures when there are none; h2load counts them.
    fn assert_no_failure(&self, report: &str) {
        match self {
            Self::Wrk(_) => {
                let n_requests = report.lines().find(|line| line.contains(" requests in "));
                let n_requests = n_requests.and_then(|line| line.split_whitespace().next());
                let n_requests: u64 = n_requests.and_then(|n| n.parse().ok()).unwrap_or(0);
                assert!(n_requests > 0, "no request was answered:\n{report}");
                assert!(!report.contains("Socket errors"), "{report}");
                assert!(!report.contains("Non-2xx"), "{report}");
            }
            Self::H2load(_) => {
                assert!(
                    report.contains(" 0 failed, 0 errored, 0 timeout"),
                    "{report}"
                );
                assert!(report.contains(" 0 3xx, 0 4xx, 0 5xx"), "{report}");
                assert!(!report.contains("status codes: 0 2xx"), "{report}");
            }
        }
    }
}

/// The load ends by itself; what it has printed then.
fn finish(mut load: Child) -> String {
    let mut report = String::new();
    let mut stdout = load.stdout.take().expect("stdout was asked for as a pipe");
    stdout
        .read_to_string(&mut report)
        .expect("a load tool prints text");
    let status = load.wait().expect("a child can be waited for");
    assert!(status.success(), "the load tool: {status}\n{report}");
    report
}
