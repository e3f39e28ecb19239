//! The command line of `threadbare ctl`: as typed, and as meant.

use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;

use crate::admin::Token;
use crate::admin::json::{ForcedState, NewBackend, check_weight, duration};
use crate::intake::ListenAt;
use crate::pool::{BackendSpec, BackendUrl};
use crate::process::args::{Unparsed, parse_words};
use crate::process::ctl::{ADMIN_VARIABLE, WHY};
use crate::process::values;

/// Where the admin API is unless told: where the README puts it.
const DEFAULT_ADMIN: &str = "127.0.0.1:9901";

/// threadbare ctl: asks a running threadbare over its admin API, or changes it.
///
/// `status` shows all pools. `add URL …`, with options behind commas as in --backend, adds
/// backends; `remove BACKEND …` takes them out. `drain BACKEND …` lets them get no new requests and
/// returns when nothing is in flight; `enable BACKEND …` lets them get requests again.
/// `weight BACKEND … N` changes weights. `up`, `down` and `auto BACKEND …` force a state, or let
/// probes say. `why ID` tells what became of a request, by its number or its
/// X-Request-Id; `why` of the last one. `reload` reads
/// the configuration again; `shutdown` stops gracefully.
/// A BACKEND is a name, or HOST:PORT.
#[derive(FromArgs, Debug)]
struct Options {
    /// where its admin API is: IP:PORT, NAME:PORT or unix:PATH
    /// (default the variable `THREADBARE_ADMIN`, or 127.0.0.1:9901)
    #[argh(option, from_str_fn(admin))]
    admin: Option<ListenAt>,

    /// the file of its token (no default)
    #[argh(option)]
    token_file: Option<PathBuf>,

    /// the pool of the backends; needed where not just one pool has them (no default)
    #[argh(option)]
    pool: Option<String>,

    /// how long a drain may take; 0s does not wait for it (default 30s)
    #[argh(option, default = "Duration::from_secs(30)", from_str_fn(duration))]
    timeout: Duration,

    /// status as JSON
    #[argh(switch)]
    json: bool,

    /// status, why, add, drain, enable, remove, weight, up, down, auto, reload or shutdown
    #[argh(positional)]
    verb: String,

    /// the backends
    #[argh(positional)]
    backends: Vec<String>,
}

/// threadbare why: tells what became of a request, step by step; the same as `threadbare ctl why`.
///
/// Asks the admin API of a running threadbare whom it was with and why, who was passed over, each
/// attempt, and the time of each step.
#[derive(FromArgs, Debug)]
struct WhyOptions {
    /// where its admin API is: IP:PORT, NAME:PORT or unix:PATH
    /// (default the variable `THREADBARE_ADMIN`, or 127.0.0.1:9901)
    #[argh(option, from_str_fn(admin))]
    admin: Option<ListenAt>,

    /// the file of its token (no default)
    #[argh(option)]
    token_file: Option<PathBuf>,

    /// the request's number, or its X-Request-Id; without it, the last one
    #[argh(positional)]
    id: Option<String>,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// Print this text and exit with 0.
    Print(String),
    /// Do this.
    Perform(Order),
}

/// What to do, where, and how.
#[derive(Debug)]
pub struct Order {
    /// Where the admin API is.
    pub at: ListenAt,
    /// What to show there.
    pub token: Option<Token>,
    /// The pool of the backends.
    pub pool: Option<String>,
    /// How long a drain may take.
    pub timeout: Duration,
    /// What.
    pub action: Action,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Show all pools, as they come or for people.
    Status { as_json: bool },
    /// Add these.
    Add(Vec<BackendSpec>),
    /// Change each of these.
    Change(Change, Vec<String>),
    /// Tell what became of this request, or of the last one.
    Why(Option<String>),
    /// Read the configuration again.
    Reload,
    /// Stop gracefully.
    Shutdown,
}

/// What becomes of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Drain,
    Enable,
    Remove,
    Weigh(u32),
    Force(ForcedState),
}

/// Reads the words behind `ctl` or `why`; `admin` is where the API is unless they tell.
pub fn read(command: &str, words: &[&str], admin: Option<&str>) -> Result<Asked, String> {
    let parsed = match command {
        WHY => parse_words::<WhyOptions>(command, words).map(Options::from),
        _ => parse_words(command, words),
    };
    let options = match parsed {
        Ok(options) => options,
        Err(Unparsed::Help(text)) => return Ok(Asked::Print(text)),
        Err(Unparsed::Bad(reason)) => return Err(reason),
    };
    mean(options, admin)
        .map(Asked::Perform)
        .map_err(|reason| format!("{reason}; see {command} --help"))
}

impl From<WhyOptions> for Options {
    fn from(why: WhyOptions) -> Options {
        Options {
            admin: why.admin,
            token_file: why.token_file,
            pool: None,
            timeout: Duration::ZERO,
            json: false,
            verb: "why".to_owned(),
            backends: why.id.into_iter().collect(),
        }
    }
}

fn mean(options: Options, admin_variable: Option<&str>) -> Result<Order, String> {
    let action = action(&options.verb, options.backends, options.json)?;
    let at = match options.admin {
        Some(at) => at,
        None => default_admin(admin_variable)?,
    };
    let token = options.token_file.map(|path| Token::read(&path));
    Ok(Order {
        at,
        token: token.transpose()?,
        pool: options.pool,
        timeout: options.timeout,
        action,
    })
}

fn action(verb: &str, mut words: Vec<String>, as_json: bool) -> Result<Action, String> {
    if as_json && verb != "status" {
        return Err("--json goes with status".to_owned());
    }
    let change = match verb {
        "status" | "reload" | "shutdown" if !words.is_empty() => {
            return Err(format!(
                "{verb} is about all pools, not about {}",
                words.join(" ")
            ));
        }
        "status" => return Ok(Action::Status { as_json }),
        "why" if words.len() > 1 => return Err("why is about one request".to_owned()),
        "why" => return Ok(Action::Why(words.pop())),
        "reload" => return Ok(Action::Reload),
        "shutdown" => return Ok(Action::Shutdown),
        "add" => {
            let specs: Result<Vec<_>, String> = words.iter().map(|text| backend(text)).collect();
            let specs = specs?;
            if specs.is_empty() {
                return Err("add which URL?".to_owned());
            }
            return Ok(Action::Add(specs));
        }
        "drain" => Change::Drain,
        "enable" => Change::Enable,
        "remove" => Change::Remove,
        "weight" => {
            let number = words.pop().unwrap_or_default();
            let weight = number.parse().map_err(|_| {
                format!("weight {number:?}: want weight BACKEND N, as in weight web1 3")
            })?;
            Change::Weigh(check_weight(weight)?)
        }
        "up" => Change::Force(ForcedState::Up),
        "down" => Change::Force(ForcedState::Down),
        "auto" => Change::Force(ForcedState::Auto),
        _ => {
            return Err(format!(
                "{verb:?}: want status, why, add, drain, enable, remove, weight, up, down, auto, \
                 reload or shutdown"
            ));
        }
    };
    if words.is_empty() {
        return Err(format!("{verb} which backend?"));
    }
    let names: Result<Vec<_>, String> = words.iter().map(|text| name(text)).collect();
    Ok(Action::Change(change, names?))
}

/// A backend may be told by its URL too: its name is what stands there, unless it has another.
fn name(text: &str) -> Result<String, String> {
    if !text.starts_with("http://") {
        return Ok(text.to_owned());
    }
    let url = BackendUrl::parse(text).map_err(|wanted| format!("{text}: {wanted}"))?;
    Ok(url.to_string())
}

/// Where the admin API is if no option says; what the variable says, if anything.
pub fn default_admin(variable: Option<&str>) -> Result<ListenAt, String> {
    let Some(text) = variable else {
        return Ok(ListenAt::Tcp(DEFAULT_ADMIN.to_owned()));
    };
    admin(text).map_err(|wanted| format!("{ADMIN_VARIABLE}={text}: {wanted}"))
}

/// Where an admin API is.
pub fn admin(text: &str) -> Result<ListenAt, String> {
    let wanted = "want IP:PORT, [IPv6]:PORT, NAME:PORT or unix:PATH, as in 127.0.0.1:9901";
    match values::listen(text) {
        Ok(at) if !matches!(at, ListenAt::Systemd(_)) => Ok(at),
        _ => Err(wanted.to_owned()),
    }
}

/// A backend in one text: its URL, and its options behind commas.
fn backend(text: &str) -> Result<BackendSpec, String> {
    let mut parts = text.split(',');
    let mut new = NewBackend {
        url: parts.next().unwrap_or_default().to_owned(),
        ..NewBackend::default()
    };
    for option in parts {
        let wanted = || {
            format!(
                "{option:?}: want name=NAME, weight=N, backup, max_connections=N or \
                 slow_start=DURATION"
            )
        };
        match option.split_once('=') {
            Some(("name", value)) => new.name = Some(value.to_owned()),
            Some(("weight", n)) => new.weight = Some(n.parse().map_err(|_| wanted())?),
            Some(("max_connections", n)) => {
                new.max_connections = Some(n.parse().map_err(|_| wanted())?);
            }
            Some(("slow_start", value)) => new.slow_start = Some(value.to_owned()),
            None if option == "backup" => new.backup = Some(true),
            _ => return Err(wanted()),
        }
    }
    new.spec(None)
}
