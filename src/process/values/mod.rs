//! The values of options: what each may look like, and what is said when it does not.
//!
//! Each is read from a text, whether it stood on the command line or in the file, so that both say
//! the same. None takes an empty one, so that what it wants can be asked for.

mod amounts;
mod names;
mod of_pool;
mod of_route;

use std::net::SocketAddr;
use std::path::PathBuf;

use log::LevelFilter;

pub use self::amounts::*;
pub use self::names::*;
pub use self::of_pool::*;
pub use self::of_route::*;

use crate::exchange::Trust;
use crate::exchange::request_id::RequestIds;
use crate::intake::check::Limits;
use crate::intake::{ListenAt, proxy_status};
use crate::process::config::{Command, Listener};
use crate::process::logging::LogFormat;
use crate::watch::access::{Format, LogAt};

/// Every word that may stand first; `main` looks for the latter five itself.
const COMMANDS: &str = "demo, demo-backend, ctl, why, top, healthcheck and service";

/// A command word.
pub fn command(word: &str) -> Result<Command, String> {
    match word {
        "demo" => Ok(Command::Demo),
        "demo-backend" => Ok(Command::DemoBackend),
        _ => Err(format!("the commands are {COMMANDS}")),
    }
}

/// Where to listen; a host is looked up later.
pub fn listen(text: &str) -> Result<ListenAt, String> {
    let wanted = "want IP:PORT, [IPv6]:PORT, NAME:PORT, unix:PATH or systemd, as in 0.0.0.0:8080";
    if text == "systemd" {
        return Ok(ListenAt::Systemd(None));
    }
    if let Some(name) = text.strip_prefix("systemd:") {
        let is_name = !name.is_empty() && !name.contains(':') && !name.contains(char::is_control);
        let name = is_name.then(|| Some(name.to_owned()));
        return name
            .map(ListenAt::Systemd)
            .ok_or_else(|| "want a socket's name behind systemd:, as in systemd:web".to_owned());
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return if path.is_empty() {
            Err(wanted.to_owned())
        } else {
            Ok(ListenAt::Unix(PathBuf::from(path)))
        };
    }
    let (host, port) = text.rsplit_once(':').ok_or(wanted)?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || (host.contains(':') && !bracketed) || port.parse::<u16>().is_err() {
        return Err(wanted.to_owned());
    }
    Ok(ListenAt::Tcp(text.to_owned()))
}

/// The listener.
pub fn listener(text: &str) -> Result<Listener, String> {
    match text {
        "gate" => Ok(Listener::Gate),
        "tiny_http" => Ok(Listener::TinyHttp),
        _ => Err("want gate or tiny_http".to_owned()),
    }
}

/// A trusted address or network.
pub fn trust(text: &str) -> Result<String, String> {
    Trust::parse_member(text).map(|_| text.to_owned())
}

/// A number of connections.
pub fn connections(text: &str) -> Result<usize, String> {
    number(text, 1, 1_000_000)
}

/// A number of which 0 means no limit.
pub fn count(text: &str) -> Result<usize, String> {
    number(text, 0, 1_000_000)
}

/// A number of requests, of which 0 means no limit.
pub fn requests(text: &str) -> Result<u64, String> {
    count(text).map(|n| n as u64)
}

/// A number of fields; what more there were would have no room.
pub fn fields(text: &str) -> Result<usize, String> {
    number(text, 1, Limits::MOST_FIELDS)
}

/// A number of threads beside the workers.
pub fn long_haul(text: &str) -> Result<usize, String> {
    number(text, 0, 4096)
}

/// Length of a target.
pub fn target_size(text: &str) -> Result<usize, String> {
    size_within(text, 64, 1 << 20)
}

/// Length of all fields.
pub fn fields_size(text: &str) -> Result<usize, String> {
    size_within(text, 256, 1 << 20)
}

/// Length of a content; 0 means no limit.
pub fn content_size(text: &str) -> Result<u64, String> {
    let wanted = "want a size as in 10MiB, or 0 for no limit";
    size(text).ok_or_else(|| wanted.to_owned())
}

/// Bytes a second; 0 means no limit.
pub fn rate(text: &str) -> Result<u64, String> {
    let wanted = "want bytes a second as in 256 or 1KiB, or 0 for no limit";
    size(text).ok_or_else(|| wanted.to_owned())
}

/// A number of threads.
pub fn workers(text: &str) -> Result<usize, String> {
    number(text, 1, 4096)
}

/// A number of jobs.
pub fn queue(text: &str) -> Result<usize, String> {
    number(text, 1, 1_000_000)
}

/// A level of the log.
pub fn level(text: &str) -> Result<LevelFilter, String> {
    text.parse()
        .map_err(|_| "want off, error, warn, info, debug or trace".to_owned())
}

/// A format of the log.
pub fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("want text or json".to_owned()),
    }
}

/// Whose X-Request-Id counts.
pub fn request_ids(text: &str) -> Result<RequestIds, String> {
    let known = RequestIds::ALL.into_iter().find(|ids| ids.word() == text);
    known.ok_or_else(|| "want off, make, trusted or keep".to_owned())
}

/// What we are called in Proxy-Status.
pub fn proxy_status(text: &str) -> Result<String, String> {
    if proxy_status::is_name(text) {
        return Ok(text.to_owned());
    }
    Err("want a name that begins with a letter, as in lb1.example.org".to_owned())
}

/// Where each request is logged.
pub fn access_log(text: &str) -> Result<LogAt, String> {
    match path(text) {
        Ok(_) if text == "-" => Ok(LogAt::Stdout),
        Ok(path) => Ok(LogAt::Path(path)),
        Err(_) => Err("want a path, or - for standard output".to_owned()),
    }
}

/// How each request is logged.
pub fn access_format(text: &str) -> Result<Format, String> {
    Format::parse(text)
}

/// Where the admin listens: an address, never a name, as what it may do hangs on it.
pub fn admin(text: &str) -> Result<ListenAt, String> {
    let wanted = "want IP:PORT, [IPv6]:PORT, unix:PATH or systemd:NAME, as in 127.0.0.1:9901";
    let is_address = text.parse::<SocketAddr>().is_ok();
    match listen(text) {
        Ok(ListenAt::Tcp(text)) if is_address => Ok(ListenAt::Tcp(text)),
        Ok(at @ (ListenAt::Unix(_) | ListenAt::Systemd(Some(_)))) => Ok(at),
        _ => Err(wanted.to_owned()),
    }
}

/// A path of the file system.
pub fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        Err("want a path".to_owned())
    } else {
        Ok(PathBuf::from(text))
    }
}

/// What stands in a file for a switch.
pub fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "want true or false".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_bounds_on_both_sides() {
        assert_eq!(workers("1"), Ok(1));
        assert_eq!(workers("4096"), Ok(4096));
        for text in ["0", "4097", "-1", "+5", "", "many", "1e3"] {
            assert!(workers(text).is_err(), "{text}");
        }
        assert_eq!(retries("0"), Ok(0));
        assert!(retries("11").is_err());
        assert!(target_size("63").is_err() && target_size("64").is_ok());
        assert_eq!(content_size("0"), Ok(0));
    }

    #[test]
    fn listen_addresses_have_a_host_and_a_port() {
        for text in [
            "0.0.0.0:8080",
            "127.0.0.1:0",
            "[::1]:80",
            "localhost:8080",
            "unix:/run/a",
            "systemd",
            "systemd:web",
        ] {
            assert!(listen(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "8080",
            ":8080",
            "127.0.0.1",
            "127.0.0.1:x",
            "127.0.0.1:65536",
            "::1:80",
            "unix:",
            "systemd:",
            "systemd:a:b",
        ] {
            assert!(listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_admin_listens_on_an_address_or_a_path() {
        for text in [
            "127.0.0.1:9901",
            "[::1]:9901",
            "0.0.0.0:0",
            "unix:/run/a",
            "systemd:admin",
        ] {
            assert!(admin(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "localhost:9901",
            "9901",
            "systemd",
            "unix:",
            "127.0.0.1",
        ] {
            assert!(admin(text).is_err(), "{text}");
        }
    }
}
