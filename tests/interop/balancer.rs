//! The binary under test as a child process, its log read line by line.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::peer::{DEADLINE, Folder, Peer, free_addr, wait};

const BINARY: &str = env!("CARGO_BIN_EXE_threadbare");

/// How long to wait before looking again at what the process holds.
const PAUSE: Duration = Duration::from_millis(50);

/// What the process holds of the system.
#[derive(Clone, Copy, Debug)]
pub struct Means {
    pub n_threads: usize,
    pub n_descriptors: usize,
}

/// A running threadbare; killed when dropped.
pub struct Balancer {
    pub addr: SocketAddr,
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Balancer {
    /// Starts it before these backends, and waits until it says where it listens.
    pub fn start(backends: &[SocketAddr], options: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["--listen", "127.0.0.1:0"]).args(options);
        for backend in backends {
            command.args(["--backend", &format!("http://{backend}")]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary of this package can be started");
        let stderr = child.stderr.take().expect("stderr was asked for as a pipe");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            // Ends with the child, or with the test that no longer listens.
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut balancer = Balancer {
            addr,
            child,
            lines,
            seen: Vec::new(),
        };
        let line = balancer.await_line("listening on ");
        let (_, addr) = line
            .split_once("listening on ")
            .expect("this line was awaited for it");
        let addr = addr.split_whitespace().next().unwrap_or_default();
        let addr = addr.trim_end_matches([':', ',']);
        balancer.addr = addr
            .parse()
            .unwrap_or_else(|e| panic!("{e}: {addr:?} in {line:?}"));
        balancer
    }

    /// Waits for a line of the log that holds `wanted`; lines before it are passed over.
    pub fn await_line(&mut self, wanted: &str) -> String {
        let begun = Instant::now();
        loop {
            let left = DEADLINE.saturating_sub(begun.elapsed());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!(
                    "no line of the log has {wanted:?}; the log:\n{}",
                    self.seen.join("\n")
                );
            };
            self.seen.push(line.clone());
            if line.contains(wanted) {
                return line;
            }
        }
    }

    /// The lines of its log so far that hold `wanted`.
    pub fn lines(&mut self, wanted: &str) -> Vec<String> {
        self.seen.extend(self.lines.try_iter());
        let lines = self.seen.iter().filter(|line| line.contains(wanted));
        lines.cloned().collect()
    }

    /// How many threads and descriptors it has now; None where the system does not tell.
    pub fn means(&self) -> Option<Means> {
        let count = |what| {
            let folder = std::fs::read_dir(format!("/proc/{}/{what}", self.child.id()));
            folder.ok().map(Iterator::count)
        };
        Some(Means {
            n_threads: count("task")?,
            n_descriptors: count("fd")?,
        })
    }

    /// Waits until it has no more threads and descriptors than these.
    pub fn await_means(&self, wanted: Option<Means>) {
        let begun = Instant::now();
        let Some(wanted) = wanted else { return };
        while let Some(now) = self.means() {
            let fits = now.n_threads <= wanted.n_threads;
            if fits && now.n_descriptors <= wanted.n_descriptors {
                return;
            }
            let is_late = begun.elapsed() >= DEADLINE;
            assert!(!is_late, "still {now:?}, wanted {wanted:?}");
            wait(PAUSE);
        }
        panic!("threadbare has ended");
    }

    /// The most memory it has ever held, in MiB; None where the system does not tell.
    pub fn peak_memory_mib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib / 1024)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // The error is that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            self.seen.extend(self.lines.try_iter());
            eprintln!("threadbare logged:\n{}", self.seen.join("\n"));
        }
    }
}

/// One of the demo's backends, alone: the peer that is always there.
pub fn start_demo_backend(folder: &Folder) -> Peer {
    let addr = free_addr();
    let mut command = Command::new(BINARY);
    command.args(["demo-backend", "--listen", &addr.to_string()]);
    Peer::start(command, addr, folder)
}
