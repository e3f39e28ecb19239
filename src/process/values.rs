//! The values of options: what each may look like, and what is said when it does not.

use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use crate::exchange::Trust;
use crate::intake::ListenAt;
use crate::intake::check::Limits;
use crate::pool::BackendUrl;
use crate::process::config::{Command, Listener};

/// A command word.
pub fn command(word: &str) -> Result<Command, String> {
    match word {
        "demo" => Ok(Command::Demo),
        "demo-backend" => Ok(Command::DemoBackend),
        _ => Err("the commands are demo and demo-backend".to_owned()),
    }
}

/// Where to listen; a host is looked up later.
pub fn listen(text: &str) -> Result<ListenAt, String> {
    let wanted = "want IP:PORT, [IPv6]:PORT, NAME:PORT, unix:PATH or systemd, as in 0.0.0.0:8080";
    if text == "systemd" {
        return Ok(ListenAt::Systemd);
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

/// A number of fields; what more there were would have no room.
pub fn fields(text: &str) -> Result<usize, String> {
    number(text, 1, Limits::MOST_FIELDS)
}

/// A number of threads beside the workers.
pub fn long_haul(text: &str) -> Result<usize, String> {
    number(text, 0, 4096)
}

/// `50%`: a share.
pub fn percent(text: &str) -> Result<usize, String> {
    let number = text.strip_suffix('%').map(|n| number(n, 1, 100));
    number
        .and_then(Result::ok)
        .ok_or_else(|| "want a share from 1% to 100%".to_owned())
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

fn size_within(text: &str, min: usize, max: usize) -> Result<usize, String> {
    let wanted = || {
        let (min, max) = (size_text(min as u64), size_text(max as u64));
        format!("want a size from {min} to {max}")
    };
    let n = size(text).and_then(|n| usize::try_from(n).ok());
    n.filter(|n| (min..=max).contains(n)).ok_or_else(wanted)
}

/// Reads `512`, `8KiB`, `10MiB` or `1GiB`.
fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Writes a size as [`size`] reads it.
pub fn size_text(n: u64) -> String {
    let unit = |shift: u32| n > 0 && n.is_multiple_of(1 << shift);
    match n {
        _ if unit(30) => format!("{}GiB", n >> 30),
        _ if unit(20) => format!("{}MiB", n >> 20),
        _ if unit(10) => format!("{}KiB", n >> 10),
        _ => n.to_string(),
    }
}

/// The URL of a backend.
pub fn backend(text: &str) -> Result<BackendUrl, String> {
    BackendUrl::parse(text)
}

/// A number of threads.
pub fn workers(text: &str) -> Result<usize, String> {
    number(text, 1, 4096)
}

/// A number of jobs.
pub fn queue(text: &str) -> Result<usize, String> {
    number(text, 1, 1_000_000)
}

/// A number of retries.
pub fn retries(text: &str) -> Result<u32, String> {
    number(text, 0, 10).map(|n| u32::try_from(n).expect("ten fits into a u32"))
}

fn number(text: &str, min: usize, max: usize) -> Result<usize, String> {
    let wanted = || format!("want a whole number from {min} to {max}");
    let digits_only = text.bytes().all(|b| b.is_ascii_digit());
    let number = text
        .parse()
        .ok()
        .filter(|_| digits_only)
        .ok_or_else(wanted)?;
    if (min..=max).contains(&number) {
        Ok(number)
    } else {
        Err(wanted())
    }
}

/// A level of the log.
pub fn level(text: &str) -> Result<LevelFilter, String> {
    text.parse()
        .map_err(|_| "want off, error, warn, info, debug or trace".to_owned())
}

/// The same, and `0` for never.
pub fn duration_or_off(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    duration(text).map_err(|wanted| format!("{wanted}, or 0 for no limit"))
}

/// Reads `500ms`, `10s`, `2m` or `1h`, from 1 ms to 24 hours.
pub fn duration(text: &str) -> Result<Duration, String> {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let wanted = || "want a duration from 1ms to 24h, as in 500ms, 10s or 2m".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return Err(wanted()),
    };
    let number: u64 = number.parse().map_err(|_| wanted())?;
    match number.checked_mul(unit_ms) {
        Some(ms) if (1..=DAY_MS).contains(&ms) => Ok(Duration::from_millis(ms)),
        _ => Err(wanted()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        let good = [
            ("1ms", 1),
            ("500ms", 500),
            ("10s", 10_000),
            ("2m", 120_000),
            ("24h", 86_400_000),
        ];
        for (text, ms) in good {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "0s",
            "-1s",
            "1.5s",
            "10 s",
            "25h",
            "99999999999999999999h",
            "1d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_have_bounds_on_both_sides() {
        assert_eq!(workers("1"), Ok(1));
        assert_eq!(workers("4096"), Ok(4096));
        for text in ["0", "4097", "-1", "+5", "", "many", "1e3"] {
            assert!(workers(text).is_err(), "{text}");
        }
        assert_eq!(retries("0"), Ok(0));
        assert!(retries("11").is_err());
    }

    #[test]
    fn sizes_are_a_number_and_a_binary_unit() {
        let sizes = [("0", 0), ("512", 512), ("8KiB", 8 << 10), ("3GiB", 3 << 30)];
        for (text, n) in sizes {
            assert_eq!(content_size(text), Ok(n), "{text}");
            assert_eq!(size_text(n), text);
        }
        for text in ["", "KiB", "-1", "8kb", "8 KiB", "1.5MiB", "99999999999GiB"] {
            assert!(content_size(text).is_err(), "{text}");
        }
        assert!(target_size("63").is_err() && target_size("64").is_ok());
        assert_eq!(percent("50%"), Ok(50));
        for text in ["50", "0%", "101%", "%", ""] {
            assert!(percent(text).is_err(), "{text}");
        }
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
        ] {
            assert!(listen(text).is_err(), "{text}");
        }
    }
}
