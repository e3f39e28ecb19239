//! The command line as typed: every option with its default, and how a bad one is answered.
//!
//! Runs on the main thread, before any other thread exists. argh parses; what the values mean
//! together is decided by [`Config`].

use std::time::Duration;

use argh::{EarlyExit, FromArgs};
use log::LevelFilter;

use crate::pool::BackendUrl;
use crate::process::config::{Command, Config};
use crate::process::values;

/// threadbare: an HTTP/1.1 load balancer made of bare threads.
///
/// `threadbare demo` starts three small backends and a balancer before them;
/// `threadbare demo-backend --listen ADDRESS` starts one such backend alone.
#[derive(FromArgs, Debug)]
struct Args {
    /// nothing (balance over --backend), `demo`, or `demo-backend`
    #[argh(positional, from_str_fn(values::command))]
    command: Option<Command>,

    /// address to listen on: IP:PORT, [IPv6]:PORT or NAME:PORT; port 0 takes a free one
    /// (default 0.0.0.0:8080; the demo listens on 127.0.0.1:8080)
    #[argh(option, from_str_fn(values::listen))]
    listen: Option<String>,

    /// a backend, `http://HOST[:PORT][/BASE]`; repeat it for each (no default)
    #[argh(option, from_str_fn(values::backend))]
    backend: Vec<BackendUrl>,

    /// worker threads, each serves one exchange at a time (default 64)
    #[argh(option, default = "64", from_str_fn(values::workers))]
    workers: usize,

    /// requests that may wait for a worker; one more gets 503 (default 1024)
    #[argh(option, default = "1024", from_str_fn(values::queue))]
    queue: usize,

    /// how long a request may wait for a worker before it gets 503 (default 5s)
    #[argh(
        option,
        default = "Duration::from_secs(5)",
        from_str_fn(values::duration)
    )]
    queue_timeout: Duration,

    /// retries of a safe or idempotent request that failed after it was sent (default 1)
    #[argh(option, default = "1", from_str_fn(values::retries))]
    retries: u32,

    /// how long connecting to a backend may take (default 2s)
    #[argh(
        option,
        default = "Duration::from_secs(2)",
        from_str_fn(values::duration)
    )]
    connect_timeout: Duration,

    /// how long a backend may take to begin its answer, else 504 (default 60s)
    #[argh(
        option,
        default = "Duration::from_secs(60)",
        from_str_fn(values::duration)
    )]
    response_timeout: Duration,

    /// how long a client or a backend may stall in the middle of a message, and how long a
    /// client's idle connection is kept (default 30s)
    #[argh(
        option,
        default = "Duration::from_secs(30)",
        from_str_fn(values::duration)
    )]
    idle_timeout: Duration,

    /// how often the health thread dials every backend (default 10s)
    #[argh(
        option,
        default = "Duration::from_secs(10)",
        from_str_fn(values::duration)
    )]
    health_interval: Duration,

    /// how long such a dial may take (default 2s)
    #[argh(
        option,
        default = "Duration::from_secs(2)",
        from_str_fn(values::duration)
    )]
    health_timeout: Duration,

    /// how long requests in flight may take to finish after SIGINT or SIGTERM (default 5s)
    #[argh(
        option,
        default = "Duration::from_secs(5)",
        from_str_fn(values::duration)
    )]
    shutdown_timeout: Duration,

    /// off, error, warn, info, debug or trace (default info)
    #[argh(option, default = "LevelFilter::Info", from_str_fn(values::level))]
    log_level: LevelFilter,

    /// check the options, print what would run, and exit with 0, or with 2 if they are wrong
    #[argh(switch)]
    check: bool,

    /// print the version and exit
    #[argh(switch)]
    version: bool,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// Print this text and exit with 0.
    Print(String),
    /// Run, or with `--check` describe, this.
    Run(Box<Config>),
}

/// Reads the command line (without the program's name).
///
/// The error is one line that names the option, its value and what would be right; the process
/// exits with 2 after it.
pub fn read(words: &[&str]) -> Result<Asked, String> {
    let args = match Args::from_args(&["threadbare"], words) {
        Ok(args) => args,
        Err(EarlyExit {
            output,
            status: Ok(()),
        }) => return Ok(Asked::Print(output)),
        Err(EarlyExit {
            output,
            status: Err(()),
        }) => return Err(one_line(&output)),
    };
    if args.version {
        return Ok(Asked::Print(format!(
            "threadbare {}\n",
            env!("CARGO_PKG_VERSION")
        )));
    }
    let command = args.command.unwrap_or(Command::Balance);
    let default_listen = match command {
        Command::Balance => "0.0.0.0:8080",
        Command::Demo => "127.0.0.1:8080",
        Command::DemoBackend => "127.0.0.1:0",
    };
    let config = Config {
        command,
        listen: args.listen.unwrap_or_else(|| default_listen.to_owned()),
        backends: args.backend,
        n_workers: args.workers,
        queue_capacity: args.queue,
        queue_timeout: args.queue_timeout,
        retries: args.retries,
        connect_timeout: args.connect_timeout,
        response_timeout: args.response_timeout,
        idle_timeout: args.idle_timeout,
        health_interval: args.health_interval,
        health_timeout: args.health_timeout,
        shutdown_timeout: args.shutdown_timeout,
        log_level: args.log_level,
        check_only: args.check,
    };
    config.validate()?;
    Ok(Asked::Run(Box::new(config)))
}

/// argh spreads some errors over several lines; a log collector wants one.
fn one_line(output: &str) -> String {
    let words: Vec<&str> = output.split_whitespace().collect();
    let text = words.join(" ");
    let text = text
        .trim_end_matches('.')
        .trim_start_matches("Error parsing ");
    format!("{text}; see threadbare --help")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(words: &[&str]) -> Config {
        match read(words) {
            Ok(Asked::Run(config)) => *config,
            other => panic!("{words:?} was not taken: {other:?}"),
        }
    }

    #[test]
    fn an_error_is_one_line_that_names_option_value_and_remedy() {
        let cases: [(&[&str], &str, &str); 8] = [
            (
                &["--workers", "0"],
                "--workers",
                "want a whole number from 1 to 4096",
            ),
            (
                &["--queue-timeout", "5"],
                "--queue-timeout",
                "want a duration",
            ),
            (&["--backend", "ftp://x"], "ftp://x", "http://"),
            (&["--log-level", "loud"], "--log-level", "want off, error"),
            (&["--listen", "nowhere"], "nowhere", "IP:PORT"),
            (&["--wrokers", "3"], "--wrokers", "see threadbare --help"),
            (&["demmo"], "demmo", "demo and demo-backend"),
            (&[], "--backend", "threadbare demo"),
        ];
        for (words, names, remedy) in cases {
            let error = read(words).expect_err("bad usage is an error");
            assert!(error.contains(names), "{error:?} should name {names:?}");
            assert!(error.contains(remedy), "{error:?} should say {remedy:?}");
            assert!(!error.contains('\n'), "{error:?} should be one line");
        }
    }

    #[test]
    fn help_tells_each_default_as_it_is() {
        let Ok(Asked::Print(help)) = read(&["--help"]) else {
            panic!("--help prints")
        };
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let config = config(&["--backend", "http://127.0.0.1:1"]);
        let tell = |option: &str, value: String| {
            let at = help
                .rfind(&format!("--{option} "))
                .unwrap_or_else(|| panic!("no {option}"));
            let default = help[at..].split("(default ").nth(1).unwrap_or_default();
            assert!(
                default.starts_with(&value),
                "--{option}: {value} is not in {default:.40}"
            );
        };
        tell("listen", config.listen);
        tell("workers", config.n_workers.to_string());
        tell("queue", config.queue_capacity.to_string());
        tell("queue-timeout", format!("{:?}", config.queue_timeout));
        tell("retries", config.retries.to_string());
        tell("connect-timeout", format!("{:?}", config.connect_timeout));
        tell("response-timeout", format!("{:?}", config.response_timeout));
        tell("idle-timeout", format!("{:?}", config.idle_timeout));
        tell("health-interval", format!("{:?}", config.health_interval));
        tell("health-timeout", format!("{:?}", config.health_timeout));
        tell("shutdown-timeout", format!("{:?}", config.shutdown_timeout));
        tell("log-level", config.log_level.to_string().to_lowercase());
    }
}
