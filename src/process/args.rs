//! From the command line as typed to the options as meant, and how a bad one is answered.
//!
//! Runs on the main thread, before any other thread exists. argh parses; what the values mean
//! together is decided by [`Config`].

use argh::{EarlyExit, FromArgs};

use crate::intake::ListenAt;
use crate::intake::check::Limits;
use crate::process::config::{Command, Config};
use crate::process::options::Options;

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
    let args = match Options::from_args(&["threadbare"], words) {
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
    let config = mean(args);
    config.validate()?;
    Ok(Asked::Run(Box::new(config)))
}

/// What was typed, with the defaults that depend on the command, and 0 as no limit.
fn mean(args: Options) -> Config {
    let command = args.command.unwrap_or(Command::Balance);
    let default_listen = match command {
        Command::Balance => "0.0.0.0:8080",
        Command::Demo => "127.0.0.1:8080",
        Command::DemoBackend => "127.0.0.1:0",
    };
    let listen = if args.listen.is_empty() {
        vec![ListenAt::Tcp(default_listen.to_owned())]
    } else {
        args.listen
    };
    let limits = Limits {
        max_target: args.max_target,
        max_fields: args.max_fields,
        max_fields_bytes: args.max_fields_size,
        max_content: Some(args.max_content).filter(|&n| n > 0),
    };
    Config {
        command,
        listener: args.listener,
        listen,
        accept_proxy: args.accept_proxy,
        trust: args.trust,
        backends: args.backend,
        n_workers: args.workers,
        queue_capacity: args.queue,
        queue_timeout: args.queue_timeout,
        retries: args.retries,
        max_connections: args.max_connections,
        max_connections_per_client: Some(args.max_connections_per_client).filter(|&n| n > 0),
        max_requests: Some(args.max_requests as u64).filter(|&n| n > 0),
        limits,
        header_timeout: args.header_timeout,
        keep_alive_timeout: args.keep_alive_timeout,
        min_rate: Some(args.min_rate).filter(|&n| n > 0),
        connect_timeout: args.connect_timeout,
        response_timeout: args.response_timeout,
        idle_timeout: args.idle_timeout,
        tunnel_idle_timeout: Some(args.tunnel_idle_timeout).filter(|d| !d.is_zero()),
        max_long_haul: args.long_haul,
        long_haul_after: args.long_haul_after,
        backend_share_percent: args.backend_share,
        health_interval: args.health_interval,
        health_timeout: args.health_timeout,
        shutdown_timeout: args.shutdown_timeout,
        log_level: args.log_level,
        check_only: args.check,
    }
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
    use crate::process::values::size_text;

    fn config(words: &[&str]) -> Config {
        match read(words) {
            Ok(Asked::Run(config)) => *config,
            other => panic!("{words:?} was not taken: {other:?}"),
        }
    }

    #[test]
    fn an_error_is_one_line_that_names_option_value_and_remedy() {
        let gate_only: &[&str] = &["--listener", "tiny_http", "--listen", "unix:/a"];
        let cases: [(&[&str], &str, &str); 9] = [
            (gate_only, "unix:/a", "--listener gate"),
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
        let off = (
            config.max_connections_per_client,
            config.max_requests,
            config.limits.max_content,
        );
        assert_eq!(off, (None, None, None), "their default is no limit");
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
        tell("listen", config.listen[0].to_string());
        tell("listener", config.listener.to_string());
        tell("max-connections", config.max_connections.to_string());
        tell("max-connections-per-client", "0".to_owned());
        tell("max-requests", "0".to_owned());
        tell("max-target", size_text(config.limits.max_target as u64));
        tell("max-fields", config.limits.max_fields.to_string());
        tell(
            "max-fields-size",
            size_text(config.limits.max_fields_bytes as u64),
        );
        tell("max-content", "0".to_owned());
        tell("header-timeout", format!("{:?}", config.header_timeout));
        tell(
            "keep-alive-timeout",
            format!("{:?}", config.keep_alive_timeout),
        );
        tell("min-rate", config.min_rate.unwrap_or(0).to_string());
        tell("tunnel-idle-timeout", "1h".to_owned());
        tell("long-haul", config.max_long_haul.to_string());
        tell("long-haul-after", format!("{:?}", config.long_haul_after));
        tell(
            "backend-share",
            format!("{}%", config.backend_share_percent),
        );
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
