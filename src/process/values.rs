//! The values of options: what each may look like, and what is said when it does not.

use std::time::Duration;

use log::LevelFilter;

use crate::pool::BackendUrl;
use crate::process::config::Command;

/// A command word.
pub fn command(word: &str) -> Result<Command, String> {
    match word {
        "demo" => Ok(Command::Demo),
        "demo-backend" => Ok(Command::DemoBackend),
        _ => Err("the commands are demo and demo-backend".to_owned()),
    }
}

/// HOST:PORT to listen on; the host is looked up later.
pub fn listen(text: &str) -> Result<String, String> {
    let wanted = "want IP:PORT, [IPv6]:PORT or NAME:PORT, as in 0.0.0.0:8080";
    let (host, port) = text.rsplit_once(':').ok_or(wanted)?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || (host.contains(':') && !bracketed) || port.parse::<u16>().is_err() {
        return Err(wanted.to_owned());
    }
    Ok(text.to_owned())
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
    fn listen_addresses_have_a_host_and_a_port() {
        for text in ["0.0.0.0:8080", "127.0.0.1:0", "[::1]:80", "localhost:8080"] {
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
        ] {
            assert!(listen(text).is_err(), "{text}");
        }
    }
}
