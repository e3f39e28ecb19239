//! `threadbare healthcheck`: whether a running balancer is well, told by an exit code.
//!
//! A process of its own, for containers that have no curl: it asks once, over the admin API's
//! listener or over one for clients, and says 0 for well, 1 for not, 2 for a command line that
//! makes no sense; and a line for people.

use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;

use crate::admin::Token;
use crate::admin::json::duration;
use crate::intake::ListenAt;
use crate::process::args::{Unparsed, parse_words};
use crate::process::ctl::client::Client;
use crate::process::ctl::{self, ADMIN_VARIABLE};
use crate::process::values;

/// Exit code if it is not well, or does not answer.
const ILL: u8 = 1;
/// Exit code for a command line that can't be run.
const USAGE: u8 = 2;
const COMMAND: &str = "threadbare healthcheck";
/// What the admin API is asked for: whether the process lives, …
const LIVE: &str = "/healthz";
/// … and whether it is ready for requests.
const READY: &str = "/readyz";

/// threadbare healthcheck: exits with 0 if a running threadbare is well, and with 1 if not.
///
/// Asks its admin API, at --admin, the variable `THREADBARE_ADMIN`, or 127.0.0.1:9901; or, with
/// --url, a listener for clients, and with it a backend. Any status from 200 to 399 is well.
#[derive(FromArgs, Debug)]
struct Options {
    /// where its admin API is: IP:PORT, NAME:PORT or unix:PATH
    #[argh(option)]
    admin: Option<String>,

    /// the file of its token (no default)
    #[argh(option)]
    token_file: Option<PathBuf>,

    /// well is only who is ready for requests: has a backend that is up, and is not stopping
    #[argh(switch)]
    ready: bool,

    /// what to ask for instead: `http://HOST[:PORT][/PATH]`
    #[argh(option)]
    url: Option<String>,

    /// how long to wait for the answer (default 2s)
    #[argh(option, default = "Duration::from_secs(2)", from_str_fn(duration))]
    timeout: Duration,
}

/// Whom to ask, and for what.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    at: ListenAt,
    path: String,
    token: Option<Token>,
}

/// Does what the words behind `healthcheck` ask for. Returns the exit code.
pub fn run(words: &[&str]) -> u8 {
    let variable = std::env::var(ADMIN_VARIABLE).ok();
    let options: Options = match parse_words(COMMAND, words) {
        Ok(options) => options,
        Err(Unparsed::Help(text)) => {
            println!("{}", text.trim_end());
            return 0;
        }
        Err(Unparsed::Bad(reason)) => return fail(USAGE, &reason),
    };
    let patience = options.timeout;
    let question = match question(options, variable.as_deref()) {
        Ok(question) => question,
        Err(reason) => return fail(USAGE, &format!("{reason}; see {COMMAND} --help")),
    };
    let Question { at, path, token } = &question;
    let client = Client {
        at,
        token: token.as_ref(),
    };
    match client.ask_status(path, patience) {
        Ok(status @ 200..=399) => {
            println!("healthy: {status} for {path} at {at}");
            0
        }
        Ok(status) => fail(ILL, &format!("unhealthy: {status} for {path} at {at}")),
        Err(reason) => fail(ILL, &format!("unhealthy: {reason}")),
    }
}

fn fail(code: u8, reason: &str) -> u8 {
    eprintln!("{COMMAND}: {reason}");
    code
}

fn question(options: Options, admin_variable: Option<&str>) -> Result<Question, String> {
    if let Some(url) = options.url {
        if options.admin.is_some() || options.token_file.is_some() || options.ready {
            return Err("--url goes alone: the other options are of the admin API".to_owned());
        }
        let wanted = "want http://HOST[:PORT][/PATH], as in http://127.0.0.1:8080/";
        let (at, path) = parse(&url).ok_or_else(|| format!("--url {url}: {wanted}"))?;
        let token = None;
        return Ok(Question { at, path, token });
    }
    let at = match &options.admin {
        Some(text) => ctl::admin(text).map_err(|wanted| format!("--admin {text}: {wanted}"))?,
        None => ctl::default_admin(admin_variable)?,
    };
    let path = if options.ready { READY } else { LIVE };
    let token = options.token_file.map(|path| Token::read(&path));
    Ok(Question {
        at,
        path: path.to_owned(),
        token: token.transpose()?,
    })
}

/// Where a URL leads, and what is to be asked for there.
fn parse(url: &str) -> Option<(ListenAt, String)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let authority = if has_port {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain(rest) || rest.contains('#') || authority.contains(['@', '?']) {
        return None;
    }
    match values::listen(&authority).ok()? {
        at @ ListenAt::Tcp(_) => Some((at, path.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str], variable: Option<&str>) -> Result<(String, String), String> {
        let options = Options::from_args(&["threadbare healthcheck"], words);
        let question = question(options.expect("argh takes them"), variable)?;
        Ok((question.at.to_string(), question.path))
    }

    #[test]
    fn the_admin_api_is_asked_where_it_is_unless_told() {
        let cases: [(&[&str], Option<&str>, &str, &str); 4] = [
            (&[], None, "127.0.0.1:9901", LIVE),
            (&[], Some("unix:/run/a"), "unix:/run/a", LIVE),
            (&["--ready"], Some("a:1"), "a:1", READY),
            (&["--admin", "[::1]:2"], Some("a:1"), "[::1]:2", LIVE),
        ];
        for (words, variable, at, path) in cases {
            let wanted = Ok((at.to_owned(), path.to_owned()));
            assert_eq!(asked(words, variable), wanted, "{words:?}");
        }
        for words in [["--admin", "nowhere"], ["--admin", "systemd"]] {
            assert!(asked(&words, None).is_err(), "{words:?}");
        }
        assert!(asked(&[], Some("nowhere")).is_err());
    }

    #[test]
    fn a_url_is_taken_apart() {
        for (url, at, path) in [
            ("http://127.0.0.1:8080/", "127.0.0.1:8080", "/"),
            ("http://a", "a:80", "/"),
            ("http://[::1]/up/?q=a:1", "[::1]:80", "/up/?q=a:1"),
            ("http://[::1]:81/a:b", "[::1]:81", "/a:b"),
        ] {
            let wanted = Ok((at.to_owned(), path.to_owned()));
            assert_eq!(asked(&["--url", url], None), wanted, "{url}");
        }
        for url in [
            "",
            "a",
            "https://a",
            "http://",
            "http://:80",
            "http://a:x/",
            "http://a/b c",
            "http://a/#b",
            "http://b@a/",
            "http://a?q",
            "http://::1/",
            "http://a/\r\nX: y",
        ] {
            assert!(asked(&["--url", url], None).is_err(), "{url:?}");
        }
        assert!(asked(&["--url", "http://a", "--ready"], None).is_err());
    }
}
