//! The real binary as a child process: its log, its address, its memory, its signals, its exit
//! code.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Answer;
use super::backend::Backend;
use super::client::Client;
use super::tape::Tape;

/// The level of a log line: its second word, with or without brackets.
pub fn level(line: &str) -> &str {
    let word = line.split_whitespace().nth(1).unwrap_or_default();
    word.trim_matches(['[', ']'])
}

/// Names the listener of every server whose test does not: most of what tests/it says holds for
/// both, and is run once for each.
const LISTENER: &str = "THREADBARE_LISTENER";

/// The binary with these arguments, not started yet.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadbare"));
    command.args(args);
    if let Some(listener) = env::var_os(LISTENER) {
        let others = [
            "ctl",
            "demo-backend",
            "healthcheck",
            "service",
            "top",
            "why",
        ];
        let balances = !args.iter().any(|arg| others.contains(arg));
        if balances && !args.contains(&"--listener") {
            command.arg("--listener").arg(listener);
        }
    }
    command
}

/// So many workers, none that leaves them, and so much room in a queue that never gives up.
pub fn room_for(n_workers: &'static str, n_queued: &'static str) -> [&'static str; 8] {
    let [long_haul, queue, timeout] = ["--long-haul", "--queue", "--queue-timeout"];
    [
        "--workers",
        n_workers,
        long_haul,
        "0",
        queue,
        n_queued,
        timeout,
        "1h",
    ]
}

/// What a run that ends by itself left behind.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: Vec<String>,
    pub stderr: Vec<String>,
}

/// Runs the binary to its own end.
#[track_caller]
pub fn run(args: &[&str]) -> Run {
    run_command(command(args))
}

/// Runs whatever the command says to its own end.
#[track_caller]
pub fn run_command(command: Command) -> Run {
    let threadbare = Threadbare::spawn(command);
    let code = threadbare.exit_code();
    let (stdout, stderr) = (threadbare.out.items(), threadbare.log.items());
    Run {
        code,
        stdout,
        stderr,
    }
}

pub struct Threadbare {
    /// Where it listens; port 0 until it said so.
    pub addr: SocketAddr,
    pub log: Tape<String>,
    pub out: Tape<String>,
    pid: Pid,
    /// One item, when the process has ended and has been reaped.
    ended: Tape<(ExitStatus, Instant)>,
}

impl Threadbare {
    /// Before these backends, on a free port, ready for requests.
    #[track_caller]
    pub fn before(backends: &[SocketAddr], options: &[&str]) -> Self {
        let urls: Vec<String> = backends
            .iter()
            .map(|addr| format!("http://{addr}"))
            .collect();
        let mut args: Vec<&str> = urls.iter().flat_map(|url| ["--backend", url]).collect();
        args.extend(options);
        Self::start(&args)
    }

    /// Before these backends, each with options of its own, as in `,weight=2`.
    #[track_caller]
    pub fn before_each(backends: &[(&Backend, &str)], options: &[&str]) -> Self {
        let urls: Vec<String> = backends
            .iter()
            .map(|(backend, of_it)| format!("{}{of_it}", backend.url()))
            .collect();
        let mut args: Vec<&str> = urls.iter().flat_map(|url| ["--backend", url]).collect();
        args.extend(options);
        Self::start(&args)
    }

    /// With these arguments and `--listen 127.0.0.1:0`, ready for requests.
    #[track_caller]
    pub fn start(args: &[&str]) -> Self {
        let listen = ["--listen", "127.0.0.1:0"];
        Self::launch(command(&[args, &listen].concat()))
    }

    /// Whatever the command says, ready for requests.
    #[track_caller]
    pub fn launch(command: Command) -> Self {
        let mut threadbare = Self::spawn(command);
        let line = threadbare.await_line("listening on ");
        let (_, rest) = line
            .split_once("listening on ")
            .expect("the line was found by this");
        let addr = rest
            .split_whitespace()
            .next()
            .unwrap_or(rest)
            .trim_end_matches([':', ',']);
        threadbare.addr = addr.parse().expect("an address follows `listening on`");
        threadbare
    }

    /// Whatever the command says, ready or not.
    #[track_caller]
    pub fn spawn(command: Command) -> Self {
        Self::spawn_with_input(command, Stdio::null())
    }

    /// The same, with something else than nothing as its standard input.
    #[track_caller]
    pub fn spawn_with_input(mut command: Command, input: Stdio) -> Self {
        command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary can be started");
        let pid = Pid::from_child(&child);
        let out = tape_of(child.stdout.take().expect("stdout is piped"));
        let log = tape_of(child.stderr.take().expect("stderr is piped"));
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            addr,
            log,
            out,
            pid,
            ended: wait_in_thread(child),
        }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.addr)
    }

    /// One GET over a connection of its own.
    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        self.client().get(target)
    }

    /// `n` clients that each ask for `/slow`: their answers, in the order in which they are
    /// answered, with the connections they came on.
    pub fn ask_slow(&self, n: usize) -> Receiver<(Answer, Client)> {
        let (sender, answers) = channel();
        for _ in 0..n {
            let (mut client, sender) = (self.client(), sender.clone());
            thread::spawn(move || {
                let answer = client.get("/slow");
                // The test may be over, and its receiver gone.
                let _ = sender.send((answer, client));
            });
        }
        answers
    }

    #[track_caller]
    pub fn await_line(&self, wanted: &str) -> String {
        self.await_lines(wanted, 1)
            .pop()
            .expect("one line was awaited")
    }

    /// The first `n` lines that contain `wanted`, once there are as many.
    #[track_caller]
    pub fn await_lines(&self, wanted: &str, n: usize) -> Vec<String> {
        self.log
            .wait(&format!("{n} log lines with {wanted:?}"), |lines| {
                let found = lines.iter().filter(|line| line.contains(wanted)).cloned();
                let found: Vec<String> = found.take(n).collect();
                (found.len() == n).then_some(found)
            })
    }

    /// The lines so far that contain `wanted`.
    pub fn lines(&self, wanted: &str) -> Vec<String> {
        self.log
            .items()
            .into_iter()
            .filter(|line| line.contains(wanted))
            .collect()
    }

    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("the process is ours and not yet reaped");
    }

    /// Waits for the end. `None` when a signal killed it. The log is complete afterwards.
    #[track_caller]
    pub fn exit_code(&self) -> Option<i32> {
        let (status, _) = self.end();
        status.code()
    }

    /// How long after `start` the process ended.
    #[track_caller]
    pub fn ended_after(&self, start: Instant) -> Duration {
        let (_, at) = self.end();
        at.saturating_duration_since(start)
    }

    #[track_caller]
    fn end(&self) -> (ExitStatus, Instant) {
        let Some(end) = self.ended.first() else {
            panic!(
                "awaited the end of the process, its log so far: {:#?}",
                self.log.items()
            );
        };
        self.log.wait_for_end("the log");
        self.out.wait_for_end("the output");
        end
    }

    /// Sends SIGTERM and waits for a clean end: a fence after which nothing more can reach a
    /// backend.
    #[track_caller]
    pub fn stop(&self) {
        self.signal(Signal::TERM);
        assert_eq!(self.exit_code(), Some(0), "log: {:#?}", self.log.items());
    }

    /// A line of /proc/PID/status in KiB: `VmRSS` for now, `VmHWM` for the peak.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn memory_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("the process lives");
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .expect("Linux tells it");
        let number = line
            .split_whitespace()
            .nth(1)
            .expect("a number follows the name");
        number.parse().expect("it is a number of KiB")
    }
}

impl Drop for Threadbare {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the log of {}: {:#?}", self.addr, self.log.items());
        }
        if self.ended.len() == 0 {
            // It may end by itself at this very moment: nothing is left to do then.
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

fn tape_of(pipe: impl Read + Send + 'static) -> Tape<String> {
    let tape = Tape::new();
    let filled = tape.clone();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            filled.push(line);
        }
        filled.end();
    });
    tape
}

pub(super) fn wait_in_thread(mut child: Child) -> Tape<(ExitStatus, Instant)> {
    let ended = Tape::new();
    let told = ended.clone();
    thread::spawn(move || {
        let status = child.wait().expect("a child can be waited for once");
        told.push((status, Instant::now()));
    });
    ended
}
