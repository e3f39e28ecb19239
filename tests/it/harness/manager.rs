//! A service manager, as far as systemd is one: a socket that hears what a service says of itself.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::tape::Tape;

/// Everything that was said, with the time at which it came.
pub struct Manager {
    pub heard: Tape<(String, Instant)>,
    address: String,
    /// Has the socket's file, if it has one.
    _folder: Folder,
}

impl Manager {
    /// One with a path as its address.
    pub fn new() -> Self {
        let folder = Folder::new();
        let address = folder.path("notify");
        let socket = UnixDatagram::bind(&address).expect("the folder is our own");
        Self::hearing(socket, address, folder)
    }

    /// One with an abstract address.
    #[cfg(target_os = "linux")]
    pub fn abstract_one() -> Self {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::SocketAddr;
        let folder = Folder::new();
        // Unique, as the folder's path is.
        let name = folder.path("notify");
        let address = SocketAddr::from_abstract_name(&name).expect("it is short");
        let socket = UnixDatagram::bind_addr(&address).expect("nobody else has it");
        Self::hearing(socket, format!("@{name}"), folder)
    }

    fn hearing(socket: UnixDatagram, address: String, folder: Folder) -> Self {
        let heard = Tape::new();
        let filled = heard.clone();
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            // Ends with the tests: nobody ever closes this socket.
            while let Ok(n) = socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                filled.push((text, Instant::now()));
            }
        });
        Self {
            heard,
            address,
            _folder: folder,
        }
    }

    /// Makes a command a service of this manager.
    pub fn adopt(&self, command: &mut Command, watchdog: Option<Duration>) {
        command.env("NOTIFY_SOCKET", &self.address);
        match watchdog {
            Some(interval) => command.env("WATCHDOG_USEC", interval.as_micros().to_string()),
            None => command.env_remove("WATCHDOG_USEC"),
        };
        command.env_remove("WATCHDOG_PID");
    }

    /// Waits for the `n`th message that has this line, and returns it.
    #[track_caller]
    pub fn await_line(&self, wanted: &str, n: usize) -> String {
        let awaited = format!("{n} messages with {wanted:?}");
        self.heard.wait(&awaited, |heard| {
            let mut found = heard.iter().filter(|(text, _)| has_line(text, wanted));
            found.nth(n - 1).map(|(text, _)| text.clone())
        })
    }

    /// When the messages with this line have come.
    pub fn times(&self, wanted: &str) -> Vec<Instant> {
        let heard = self.heard.items().into_iter();
        let found = heard.filter(|(text, _)| has_line(text, wanted));
        found.map(|(_, at)| at).collect()
    }
}

/// Whether one of the lines begins so.
fn has_line(text: &str, wanted: &str) -> bool {
    text.lines().any(|line| line.starts_with(wanted))
}
