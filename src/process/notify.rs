//! What the service manager is told: a datagram for each change, as `sd_notify(3)` has it.
//!
//! Written here and not taken from a crate: it is one send, and the crates for it change the
//! environment, which needs `unsafe`, or want libsystemd. Told nothing, systemd of `Type=notify`
//! takes the start for failed; so what can't be told is worth a line in the log.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use log::warn;
use rustix::time::{ClockId, clock_gettime};

use crate::system::plain;

/// Where to send: a path, or `@NAME` of an abstract address.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
/// How often it wants a sign of life, microseconds; and from which process, if that is said.
const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";
const WATCHDOG_PID_VARIABLE: &str = "WATCHDOG_PID";
/// A service manager that is too busy to take a datagram holds nobody longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// The way to the service manager. Without one, telling does nothing.
#[derive(Debug, Default)]
pub struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As the environment says. Without `NOTIFY_SOCKET` there is nobody to be told.
    pub fn from_env() -> Notifier {
        Notifier::from(&|name| std::env::var_os(name))
    }

    fn from(variable: &dyn Fn(&str) -> Option<OsString>) -> Notifier {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let number = |name: &str| -> Option<u64> { variable(name)?.to_str()?.parse().ok() };
        let Some(address) = variable(SOCKET_VARIABLE) else {
            return Notifier::default();
        };
        let us = u64::from(std::process::id());
        let is_ours = number(WATCHDOG_PID_VARIABLE).is_none_or(|pid| pid == us);
        let watchdog = number(WATCHDOG_VARIABLE).filter(|&usec| usec > 0 && is_ours);
        let to = address_of(&address).and_then(|address| Ok((unbound()?, address)));
        let to = to.inspect_err(|error| {
            let address = address.display();
            warn!(
                "{SOCKET_VARIABLE}={address} can't be used: {}",
                plain(error)
            );
        });
        Notifier {
            to: to.ok(),
            watchdog: watchdog.map(Duration::from_micros),
        }
    }

    /// Whether there is somebody to be told.
    pub fn is_heard(&self) -> bool {
        self.to.is_some()
    }

    /// Without a sign of life for so long, the process is ended; none: it never is.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.is_heard())
    }

    /// Serves from now on; also the end of a reload.
    pub fn ready(&self, status: &str) {
        self.tell("READY=1", Some(status));
    }

    /// A reload begins. Its time lets systemd tell it from one before its signal.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"), None);
    }

    /// The end begins.
    pub fn stopping(&self, status: &str) {
        self.tell("STOPPING=1", Some(status));
    }

    /// A line for people, shown by `systemctl status`.
    pub fn status(&self, status: &str) {
        self.tell("", Some(status));
    }

    /// A sign of life. An error is for the caller, who will send another.
    pub fn feed(&self) -> io::Result<()> {
        self.send("WATCHDOG=1")
    }

    fn tell(&self, state: &str, status: Option<&str>) {
        let mut text = state.to_owned();
        if let Some(status) = status {
            let line = status.replace(char::is_control, " "); // a line more would be a variable
            let _ = write!(text, "\nSTATUS={line}"); // never fails
        }
        if let Err(error) = self.send(text.trim_start()) {
            let what = state.lines().next().unwrap_or("STATUS");
            warn!(
                "the service manager can't be told {what}: {}",
                plain(&error)
            );
        }
    }

    fn send(&self, text: &str) -> io::Result<()> {
        let Some((socket, address)) = &self.to else {
            return Ok(());
        };
        socket.send_to_addr(text.as_bytes(), address).map(drop)
    }
}

fn unbound() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn address_of(text: &OsStr) -> io::Result<SocketAddr> {
    match text.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(text),
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => from_abstract_name(name),
        _ => Err(io::Error::other("want /PATH or @NAME")),
    }
}

#[cfg(target_os = "linux")]
fn from_abstract_name(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn from_abstract_name(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::other("abstract addresses are of Linux"))
}

#[cfg(test)]
impl Notifier {
    /// One that tells this path, and a watchdog.
    pub fn example(path: &std::path::Path, watchdog: Duration) -> Notifier {
        let address = SocketAddr::from_pathname(path).expect("a path of tests is short");
        Notifier {
            to: Some((unbound().expect("a socket is to be had"), address)),
            watchdog: Some(watchdog),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notifier(variables: &[(&str, &str)]) -> Notifier {
        Notifier::from(&|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_watchdog_is_meant_for_the_process_that_is_named() {
        let socket = (SOCKET_VARIABLE, "/nowhere");
        let watchdog = (WATCHDOG_VARIABLE, "1500000");
        let wanted = Some(Duration::from_millis(1500));
        assert_eq!(notifier(&[socket, watchdog]).watchdog(), wanted);
        let us = std::process::id().to_string();
        let ours = notifier(&[socket, watchdog, (WATCHDOG_PID_VARIABLE, &us)]);
        assert_eq!(ours.watchdog(), wanted);
        let other = notifier(&[socket, watchdog, (WATCHDOG_PID_VARIABLE, "1")]);
        assert_eq!(other.watchdog(), None);
        for usec in ["0", "", "-1", "soon"] {
            let none = notifier(&[socket, (WATCHDOG_VARIABLE, usec)]);
            assert_eq!(none.watchdog(), None, "{usec}");
        }
        assert_eq!(notifier(&[watchdog]).watchdog(), None, "nobody to be told");
    }

    #[test]
    fn an_address_is_a_path_or_has_an_at() {
        for (address, is_heard) in [("/run/a", true), ("run/a", false), ("vsock:2:1", false)] {
            let notifier = notifier(&[(SOCKET_VARIABLE, address)]);
            assert_eq!(notifier.is_heard(), is_heard, "{address}");
        }
        let is_linux = cfg!(target_os = "linux");
        assert_eq!(notifier(&[(SOCKET_VARIABLE, "@a/b")]).is_heard(), is_linux);
        assert!(!notifier(&[]).is_heard());
    }
}
