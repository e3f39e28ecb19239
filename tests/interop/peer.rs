//! Real programs as children of a test: found, started, awaited, killed.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, thread};

/// Nothing a test waits for may take longer; ample on a machine that is busy with other things.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How long to wait before asking again whether a peer has come up.
const PAUSE: Duration = Duration::from_millis(20);

/// Where Debian and others keep servers; not on every user's PATH.
const SERVER_FOLDERS: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin", "/opt/homebrew/bin"];

/// Where a program is, or None after a line that says why this test is skipped.
pub fn installed(program: &str) -> Option<PathBuf> {
    let found = find(program);
    if found.is_none() {
        println!("skipped: {program} is not installed");
    }
    found
}

/// Where a program is.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let servers = SERVER_FOLDERS.iter().map(PathBuf::from);
    env::split_paths(&path)
        .chain(servers)
        .map(|folder| folder.join(program))
        .find(|p| p.is_file())
}

/// A Python that has this module: the system's own comes first, as its packages bring modules.
/// None after a line that says why this test is skipped.
pub fn python_with(module: &str) -> Option<PathBuf> {
    let system = Some(PathBuf::from("/usr/bin/python3")).filter(|path| path.is_file());
    let has_module = |python: &PathBuf| {
        let import = format!("import {module}");
        output_of(Command::new(python).args(["-c", &import])).0 == 0
    };
    let mut pythons = system.into_iter().chain(find("python3"));
    let found = pythons.find(has_module);
    if found.is_none() {
        println!("skipped: no python3 with {module} is installed");
    }
    found
}

/// A file beside this one.
pub fn source(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop")).join(name)
}

/// A port of loopback that was free a moment ago, for peers that can't choose one themselves.
pub fn free_addr() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener
        .local_addr()
        .expect("a bound listener has an address")
}

/// A folder of this test's own, removed with it.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn new() -> Self {
        // Relaxed: numbers only have to differ.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("threadbare-interop-{}-{number}", process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).expect("the folder for temporary files takes a new folder");
        Folder { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, text).expect("a folder just made takes a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A leftover harms nobody, and a panic in drop would hide the test's own.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A server that runs until it is killed or dropped, and can be started again where it was.
pub struct Peer {
    pub addr: SocketAddr,
    command: Command,
    child: Child,
    log: PathBuf,
}

impl Peer {
    /// Starts a server that stays in the foreground, and waits until it listens on `addr`.
    pub fn start(mut command: Command, addr: SocketAddr, folder: &Folder) -> Self {
        let log = folder.path().join(format!("{}.log", addr.port()));
        let stderr = File::create(&log).expect("the test's folder takes a log");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        let child = command
            .spawn()
            .expect("a program that was found can be started");
        let mut peer = Peer {
            addr,
            command,
            child,
            log,
        };
        peer.await_listening();
        peer
    }

    /// SIGKILL: no goodbye, connections reset.
    pub fn kill(&mut self) {
        // The error is that it has ended by itself: then it is as dead as wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts a killed server again, on the same port.
    pub fn restart(&mut self) {
        self.child = self
            .command
            .spawn()
            .expect("what was started once starts again");
        self.await_listening();
    }

    fn await_listening(&mut self) {
        let begun = Instant::now();
        while TcpStream::connect(self.addr).is_err() {
            let ended = self
                .child
                .try_wait()
                .expect("a child can be asked for its state");
            assert!(
                ended.is_none(),
                "{:?} ended: {}",
                self.command,
                self.logged()
            );
            assert!(
                begun.elapsed() < DEADLINE,
                "{:?} never listened",
                self.command
            );
            wait(PAUSE);
        }
    }

    fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("{:?} logged:\n{}", self.command, self.logged());
        }
    }
}

/// Lets `duration` pass, where a peer gives no sign that could be awaited instead.
pub fn wait(duration: Duration) {
    let (_open, never) = mpsc::channel::<()>();
    // The sender is alive and silent: this can only time out.
    let _ = never.recv_timeout(duration);
}

/// A program that is killed when it takes too long, in seconds; it gets its arguments later.
pub fn bounded(program: &Path, seconds: u64) -> Option<Command> {
    let mut command = Command::new(installed("timeout")?);
    command
        .args(["--kill-after=5", &seconds.to_string()])
        .arg(program);
    Some(command)
}

/// Runs a program to its end and gives what it wrote; it must have a deadline of its own.
pub fn output_of(command: &mut Command) -> (i32, String, String) {
    let output = command
        .output()
        .expect("a program that was found can be run");
    let code = output.status.code().unwrap_or(-1);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (code, text(&output.stdout), text(&output.stderr))
}
