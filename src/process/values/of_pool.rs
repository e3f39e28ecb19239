//! The values of a pool's options: policies, probes, kinds of failures, and backends with theirs.

use crate::exchange::retry::is_idempotent;
use crate::intake::fields::is_token;
use crate::pool::{BackendSpec, BackendUrl, HashKey, Kinds, Policy, Statuses, WhenAllDown};
use crate::process::values::{backend_name, duration_or_at_once, number, small_number, switch};

/// Bytes of a text that an answer must have.
const MAX_TEXT: usize = 1024;
/// Bytes of the secret of sticky sessions.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 8..=256;

/// A policy, without the bound on load that a hash may have.
pub fn policy(text: &str) -> Result<Policy, String> {
    let hash = |key| Policy::Hash {
        key,
        max_load_percent: None,
    };
    let named = |prefix: &str| {
        let name = text.strip_prefix(prefix)?;
        is_token(name.as_bytes()).then(|| name.to_owned())
    };
    match text {
        "round-robin" => Ok(Policy::RoundRobin),
        "weighted-round-robin" => Ok(Policy::WeightedRoundRobin),
        "least-connections" => Ok(Policy::LeastConnections),
        "random-two-choices" => Ok(Policy::RandomTwoChoices),
        "ip-hash" => Ok(hash(HashKey::ClientAddress)),
        "uri-hash" => Ok(hash(HashKey::Uri)),
        _ => named("header-hash:")
            .map(HashKey::Field)
            .or_else(|| named("cookie-hash:").map(HashKey::Cookie))
            .map(hash)
            .ok_or_else(|| {
                "want round-robin, weighted-round-robin, least-connections, random-two-choices, \
                 ip-hash, uri-hash, header-hash:NAME or cookie-hash:NAME"
                    .to_owned()
            }),
    }
}

/// The secret of sticky sessions.
pub fn secret(text: &str) -> Result<String, String> {
    if SECRET_BYTES.contains(&text.len()) {
        return Ok(text.to_owned());
    }
    let (min, max) = (SECRET_BYTES.start(), SECRET_BYTES.end());
    Err(format!("want a secret of {min} to {max} bytes"))
}

/// What a probe does, as far as one word tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeWord {
    /// Nothing.
    Off,
    /// It connects.
    Tcp,
    /// It asks.
    Http,
}

/// What a probe does.
pub fn probe(text: &str) -> Result<ProbeWord, String> {
    match text {
        "off" => Ok(ProbeWord::Off),
        "tcp" => Ok(ProbeWord::Tcp),
        "http" => Ok(ProbeWord::Http),
        _ => Err("want tcp, http or off".to_owned()),
    }
}

/// The target of a probe.
pub fn probe_path(text: &str) -> Result<String, String> {
    let is_plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if text.starts_with('/') && is_plain {
        Ok(text.to_owned())
    } else {
        Err("want a path that begins with /, as in /up".to_owned())
    }
}

/// The Host field of a probe.
pub fn probe_host(text: &str) -> Result<String, String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if !text.is_empty() && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("want a host, with a port if need be, as in www.example.org".to_owned())
    }
}

/// What the content of a probe's answer must have.
pub fn probe_text(text: &str) -> Result<String, String> {
    if (1..=MAX_TEXT).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(format!("want a text of 1 to {MAX_TEXT} bytes"))
    }
}

/// Adds a good status, or some.
pub fn add_statuses(statuses: &mut Statuses, text: &str) -> Result<(), String> {
    let wanted = || "want statuses from 100 to 599, as in 200-399, 204 or 2xx".to_owned();
    statuses.0.push(status_range(text).ok_or_else(wanted)?);
    Ok(())
}

/// Adds a kind of failure.
pub fn add_kind(kinds: &mut Kinds, text: &str) -> Result<(), String> {
    match text {
        "connect" => kinds.connect = true,
        "reset" => kinds.reset = true,
        "timeout" => kinds.timeout = true,
        "bad-answer" => kinds.bad_answer = true,
        _ => {
            let range = status_range(text).ok_or_else(|| {
                "want connect, reset, timeout, bad-answer or statuses, as in 503 or 5xx".to_owned()
            })?;
            kinds.statuses.0.push(range);
        }
    }
    Ok(())
}

/// `503`, `500-599` or `5xx`.
fn status_range(text: &str) -> Option<(u16, u16)> {
    let status = |digits: &str| {
        let is_number = digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit());
        let number = digits.parse().ok().filter(|_| is_number)?;
        (100..=599).contains(&number).then_some(number)
    };
    if let Some(hundred) = text.strip_suffix("xx") {
        let first = status(&format!("{hundred}00"))?;
        return Some((first, first + 99));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (status(first)?, status(last)?);
    (first <= last).then_some((first, last))
}

/// Writes statuses as they are read.
pub fn statuses_texts(statuses: &Statuses) -> Vec<String> {
    let text = |&(first, last): &(u16, u16)| match last - first {
        0 => first.to_string(),
        99 if first % 100 == 0 => format!("{}xx", first / 100),
        _ => format!("{first}-{last}"),
    };
    statuses.0.iter().map(text).collect()
}

/// Writes kinds of failures as they are read.
pub fn kinds_texts(kinds: &Kinds) -> Vec<String> {
    let named = [
        (kinds.connect, "connect"),
        (kinds.reset, "reset"),
        (kinds.timeout, "timeout"),
        (kinds.bad_answer, "bad-answer"),
    ];
    let named = named.into_iter().filter(|(is_in, _)| *is_in);
    let mut texts: Vec<String> = named.map(|(_, name)| name.to_owned()).collect();
    texts.extend(statuses_texts(&kinds.statuses));
    texts
}

/// A method whose requests may be sent twice.
pub fn retry_method(text: &str) -> Result<String, String> {
    if is_idempotent(text) {
        return Ok(text.to_owned());
    }
    let wanted = "want methods that may be sent twice: GET, HEAD, OPTIONS, TRACE, PUT or DELETE";
    Err(wanted.to_owned())
}

/// What is done while nobody is up.
pub fn when_all_down(text: &str) -> Result<WhenAllDown, String> {
    match text {
        "503" => Ok(WhenAllDown::Refuse),
        "try" => Ok(WhenAllDown::Try),
        _ => Err("want 503 or try".to_owned()),
    }
}

/// A number of retries.
pub fn retries(text: &str) -> Result<u32, String> {
    small_number(text, 0, 10)
}

/// A number of probes in a row.
pub fn in_a_row(text: &str) -> Result<u32, String> {
    small_number(text, 1, 1000)
}

/// A number of exchanges, of which 0 is none.
pub fn exchanges(text: &str) -> Result<u32, String> {
    small_number(text, 0, 100_000)
}

/// The URL of a backend.
pub fn backend_url(text: &str) -> Result<BackendUrl, String> {
    BackendUrl::parse(text)
}

/// A backend in one text: its URL, and its options behind commas.
pub fn backend(text: &str) -> Result<BackendSpec, String> {
    let (url, options) = text.split_once(',').unwrap_or((text, ""));
    let mut spec = BackendSpec::new(backend_url(url)?);
    for option in options.split(',').filter(|_| text.contains(',')) {
        match option.split_once('=') {
            Some((key, value)) => set_backend_option(&mut spec, key, value),
            None if option == "backup" => set_backend_option(&mut spec, option, "true"),
            None => Err(wanted_option()),
        }
        // Not its value: whoever tells of this tells all of the text.
        .map_err(|wanted| format!("{:?}: {wanted}", option.split('=').next().unwrap_or(option)))?;
    }
    Ok(spec)
}

/// Sets one option of a backend.
pub fn set_backend_option(spec: &mut BackendSpec, key: &str, value: &str) -> Result<(), String> {
    match key {
        "name" => spec.name = backend_name(value)?,
        "weight" => spec.weight = small_number(value, 1, BackendSpec::MAX_WEIGHT)?,
        "backup" => spec.is_backup = switch(value)?,
        "max_connections" => spec.max_connections = Some(number(value, 1, 1_000_000)?),
        "slow_start" => spec.slow_start = Some(duration_or_at_once(value)?),
        _ => return Err(wanted_option()),
    }
    Ok(())
}

fn wanted_option() -> String {
    "want name=NAME, weight=N, backup, max_connections=N or slow_start=DURATION".to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_policy_is_written_as_it_is_read() {
        for text in [
            "round-robin",
            "weighted-round-robin",
            "least-connections",
            "random-two-choices",
            "ip-hash",
            "uri-hash",
            "header-hash:X-User",
            "cookie-hash:id",
        ] {
            assert_eq!(policy(text).map(|p| p.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "roundrobin", "header-hash:", "cookie-hash:a b", "hash"] {
            assert!(policy(text).is_err(), "{text}");
        }
    }

    #[test]
    fn kinds_and_statuses_are_written_as_they_are_read() {
        let mut kinds = Kinds::default();
        let texts = ["connect", "bad-answer", "5xx", "429", "502-504"];
        for text in texts {
            add_kind(&mut kinds, text).expect(text);
        }
        assert_eq!(kinds_texts(&kinds), texts);
        assert!(kinds.statuses.has(429) && kinds.statuses.has(599) && !kinds.statuses.has(499));
        for text in [
            "", "6xx", "99", "600", "0xx", "503-502", "+50", "5x", "Connect", "5xx-5xx",
        ] {
            assert!(add_kind(&mut kinds, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_backend_carries_its_options_behind_commas() {
        let text = "http://h:8/b,name=web1,weight=256,backup,max_connections=10,slow_start=30s";
        let wanted = BackendSpec {
            name: "web1".to_owned(),
            url: BackendUrl::parse("http://h:8/b").expect("a URL"),
            weight: 256,
            is_backup: true,
            max_connections: Some(10),
            slow_start: Some(Duration::from_secs(30)),
        };
        assert_eq!(backend(text), Ok(wanted));
        let plain = backend("http://h:8/b").expect("a URL is enough");
        assert_eq!((plain.name.as_str(), plain.weight), ("h:8/b", 1));
        for option in [
            "",
            "weight",
            "weight=",
            "weight=0",
            "weight=257",
            "wieght=2",
            "backup=x",
        ] {
            let error = backend(&format!("http://h,{option}")).expect_err(option);
            let key = option.split('=').next().expect("there is a first part");
            assert!(error.starts_with(&format!("{key:?}: want ")), "{error}");
        }
    }
}
