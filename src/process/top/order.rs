//! The command line of `threadbare top`: as typed, and as meant.

use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;

use crate::admin::Token;
use crate::intake::ListenAt;
use crate::process::args::{Unparsed, parse_words};
use crate::process::ctl;
use crate::process::values;

const COMMAND: &str = "threadbare top";
/// More often would show nothing new, and a day is as good as never.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// threadbare top: shows what a running threadbare does, second by second; q, Esc or Ctrl-C leaves.
///
/// Asks its admin API for queue, threads, backends, limits that were hit and changes of state.
/// Where standard output (or input) is no terminal, it prints reports as plain text, each with all
/// backends, one per interval until --count or until nobody reads on, as `top -b` does.
#[derive(FromArgs, Debug)]
struct Options {
    /// where its admin API is: IP:PORT, NAME:PORT or unix:PATH
    /// (default the variable `THREADBARE_ADMIN`, or 127.0.0.1:9901)
    #[argh(positional, from_str_fn(ctl::admin))]
    address: Option<ListenAt>,

    /// the file of its token (no default)
    #[argh(option)]
    token_file: Option<PathBuf>,

    /// seconds between two reports (default 1)
    #[argh(option, default = "Duration::from_secs(1)", from_str_fn(interval))]
    interval: Duration,

    /// end after so many reports (no default)
    #[argh(option, from_str_fn(count))]
    count: Option<u64>,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// Print this text and exit with 0.
    Print(String),
    /// Follow this.
    Follow(Order),
}

/// What to follow, and how.
#[derive(Debug)]
pub struct Order {
    /// Where the admin API is.
    pub at: ListenAt,
    /// What to show there.
    pub token: Option<Token>,
    /// From one question to the next.
    pub interval: Duration,
    /// Reports to show; none is no end.
    pub count: Option<u64>,
}

/// Reads the words behind `top`; `admin` is where the API is unless they tell.
pub fn read(words: &[&str], admin: Option<&str>) -> Result<Asked, String> {
    let options: Options = match parse_words(COMMAND, words) {
        Ok(options) => options,
        Err(Unparsed::Help(text)) => return Ok(Asked::Print(text)),
        Err(Unparsed::Bad(reason)) => return Err(reason),
    };
    mean(options, admin)
        .map(Asked::Follow)
        .map_err(|reason| format!("{reason}; see {COMMAND} --help"))
}

fn mean(options: Options, admin_variable: Option<&str>) -> Result<Order, String> {
    let at = match options.address {
        Some(at) => at,
        None => ctl::default_admin(admin_variable)?,
    };
    let token = options.token_file.map(|path| Token::read(&path));
    Ok(Order {
        at,
        token: token.transpose()?,
        interval: options.interval,
        count: options.count,
    })
}

/// Seconds, as other tops have it, or a duration, as all else here.
fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok();
    let interval = match seconds {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        None => values::duration(text).ok(),
    };
    interval
        .filter(|interval| (MIN_INTERVAL..=MAX_INTERVAL).contains(interval))
        .ok_or_else(|| "want seconds from 0.1 to 86400, as in 2, 0.5 or 500ms".to_owned())
}

fn count(text: &str) -> Result<u64, String> {
    let count = text.parse().ok().filter(|&count| count > 0);
    count.ok_or_else(|| "want a whole number from 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(words: &str, admin: Option<&str>) -> Result<Order, String> {
        let words: Vec<&str> = words.split_whitespace().collect();
        match read(&words, admin)? {
            Asked::Follow(order) => Ok(order),
            Asked::Print(text) => panic!("{words:?} only prints: {text}"),
        }
    }

    #[test]
    fn the_admin_api_is_where_ctl_would_look_for_it() {
        let cases = [
            ("", None, "127.0.0.1:9901"),
            ("", Some("unix:/run/a"), "unix:/run/a"),
            ("[::1]:2", Some("a:1"), "[::1]:2"),
            ("--interval 2 unix:/b", None, "unix:/b"),
        ];
        for (words, variable, wanted) in cases {
            let order = order(words, variable).expect(words);
            assert_eq!(order.at.to_string(), wanted, "{words}");
        }
        let order = order("", Some("nowhere")).expect_err("no address");
        assert!(order.contains("THREADBARE_ADMIN=nowhere"), "{order}");
    }

    #[test]
    fn an_interval_is_seconds_or_a_duration() {
        let ms = Duration::from_millis;
        let cases = [("2", 2000), ("0.5", 500), ("250ms", 250), ("1m", 60_000)];
        for (text, wanted) in cases {
            assert_eq!(interval(text), Ok(ms(wanted)), "{text}");
        }
        for text in ["", "0", "0.05", "-1", "NaN", "inf", "86401", "1x", "1e300"] {
            assert!(interval(text).is_err(), "{text}");
        }
        let order = order("--count 3", None).expect("a good count");
        assert_eq!((order.interval, order.count), (ms(1000), Some(3)));
    }

    #[test]
    fn bad_words_are_one_line_that_names_them() {
        let cases = [
            ("nowhere", "nowhere"),
            ("systemd", "systemd"),
            ("--interval 0", "--interval"),
            ("--count 0", "--count"),
            ("--token-file /no/such/file", "/no/such/file"),
            ("a:1 b:2", "b:2"),
        ];
        for (words, says) in cases {
            let error = order(words, None).expect_err(words);
            assert!(error.contains(says), "{words}: {error}");
            let end = "see threadbare top --help";
            assert!(!error.contains('\n') && error.ends_with(end), "{error}");
        }
        let help = read(&["--help"], None);
        assert!(matches!(help, Ok(Asked::Print(text)) if text.contains("--interval")));
    }
}
