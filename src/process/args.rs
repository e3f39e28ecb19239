//! From the command line as typed to the options as meant, and how a bad one is answered.
//!
//! Runs on the main thread, before any other thread exists, and there again for each reload. argh
//! parses; the tables in `setting` know what each option is read into, `file` reads the file, and
//! what the values mean together is decided by `PoolDraft` and [`Config`].

use std::path::PathBuf;

use argh::{EarlyExit, FromArgs};

use crate::intake::ListenAt;
use crate::pool::PoolSpec;
use crate::process::config::{Command, Config};
use crate::process::draft::PoolDraft;
use crate::process::faults::{Faults, Given, Place, key_of, one_line};
use crate::process::file;
use crate::process::options::Options;
use crate::process::setting::{POOL_SETTINGS, PROCESS_SETTINGS, bad_option};
use crate::process::values;

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// Print this text and exit with 0.
    Print(String),
    /// Run, or with `--check` describe, this.
    Run(Box<Config>),
}

/// Reads the command line (without the program's name), and the file that it names.
///
/// Each error is a line that names the option, or file and line, the value and what would be
/// right; the process exits with 2 after them. What argh itself finds, it finds one at a time.
pub fn read(words: &[&str]) -> Result<Asked, Vec<String>> {
    let options: Options = match parse_words("threadbare", words) {
        Ok(options) => options,
        Err(Unparsed::Help(text)) => return Ok(Asked::Print(text)),
        Err(Unparsed::Bad(reason)) => return Err(vec![format!("threadbare: {reason}")]),
    };
    if options.version {
        return Ok(Asked::Print(format!(
            "threadbare {}\n",
            env!("CARGO_PKG_VERSION")
        )));
    }
    let config = mean(&options, &|name| std::env::var(name).ok())?;
    Ok(Asked::Run(Box::new(config)))
}

/// Reads the command line again, with the file as it is now: for a reload.
pub fn reread(words: &[&str]) -> Result<Config, Vec<String>> {
    match read(words)? {
        Asked::Run(config) => Ok(*config),
        Asked::Print(_) => Err(vec!["threadbare: nothing runs by this command".to_owned()]),
    }
}

/// What file and command line mean together: default, then file, then flag.
fn mean(
    options: &Options,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Vec<String>> {
    let path = options.config.as_deref();
    let mut faults = Faults::new(path.unwrap_or_default());
    let mut given = Given::default();
    let mut config = Config {
        command: options.command.unwrap_or(Command::Balance),
        config_file: path.map(PathBuf::from),
        check_only: options.check,
        ..Config::default()
    };
    match config.command {
        Command::Balance => {}
        Command::Demo => config.listen = vec![ListenAt::Tcp("127.0.0.1:8080".to_owned())],
        Command::DemoBackend => config.listen = vec![ListenAt::Tcp("127.0.0.1:0".to_owned())],
    }
    if let Some(path) = path {
        refuse_pool_options(options, path, &mut faults);
        match file::load(path) {
            _ if config.command != Command::Balance => faults.add(
                Place::CommandLine,
                format!("--config {path} does not go with the demo, which brings its own"),
            ),
            Ok(bytes) => file::read(&bytes, variable, &mut config, &mut given, &mut faults),
            Err(reason) => {
                let text = format!("it can't be read: {reason}");
                faults.add(Place::CommandLine, bad_option("config", path, &text));
            }
        }
    } else {
        let pool = pool_of_options(options, config.command, &mut faults);
        config.routes = vec![file::route_to(&pool)];
        config.pools = vec![pool];
    }
    for setting in &PROCESS_SETTINGS {
        setting.take_typed(options, &mut config, &mut given, &mut faults);
    }
    config.validate(&given, &mut faults);
    let has_backends = path.is_some() || !options.backend.is_empty();
    if config.command == Command::Balance && !has_backends && faults.len() == 0 {
        faults.add(
            Place::CommandLine,
            "no backend given: add --backend http://HOST:PORT for each, or --config FILE, or try \
             threadbare demo",
        );
    }
    match faults.into_lines() {
        lines if lines.is_empty() => Ok(config),
        lines => Err(lines),
    }
}

/// The one pool of a command line.
fn pool_of_options(options: &Options, command: Command, faults: &mut Faults) -> PoolSpec {
    let mut draft = PoolDraft::default();
    let mut given = Given::default();
    for setting in &POOL_SETTINGS {
        setting.take_typed(options, &mut draft, &mut given, faults);
    }
    draft.given = given;
    for text in &options.backend {
        match values::backend(text) {
            Ok(spec) => draft.backends.push((spec, Place::CommandLine)),
            Err(wanted) => {
                faults.add(Place::CommandLine, bad_option("backend", text, &wanted));
            }
        }
    }
    if let (Command::Demo | Command::DemoBackend, [first, ..]) = (command, &*options.backend) {
        faults.add(
            Place::CommandLine,
            format!("--backend {first} does not go with the demo, which brings its own"),
        );
    }
    draft.finish("default", faults)
}

/// With a file, what is about one pool of several has its place there.
fn refuse_pool_options(options: &Options, path: &str, faults: &mut Faults) {
    let mut refuse = |option: &str, key: &str| {
        let text = format!("--{option} does not go with --config; want {key} in {path}");
        faults.add(Place::CommandLine, text);
    };
    if !options.backend.is_empty() {
        refuse("backend", "backends = [...] of a [pool.NAME]");
    }
    for setting in &POOL_SETTINGS {
        if setting.is_typed(options) {
            let key = format!("{} of a [pool.NAME]", key_of(setting.name));
            refuse(setting.name, &key);
        }
    }
}

/// Why words are no options.
pub(super) enum Unparsed {
    /// They ask for this text.
    Help(String),
    /// They are wrong, for this reason.
    Bad(String),
}

/// Reads the words behind a command into its options.
pub(super) fn parse_words<T: FromArgs>(command: &str, words: &[&str]) -> Result<T, Unparsed> {
    T::from_args(&[command], words).map_err(|EarlyExit { output, status }| match status {
        Ok(()) => Unparsed::Help(output),
        Err(()) => Unparsed::Bad(bad_usage(&output, command)),
    })
}

/// argh spreads some errors over several lines; a log collector wants one.
fn bad_usage(output: &str, command: &str) -> String {
    let text = one_line(output);
    let text = text
        .trim_end_matches('.')
        .trim_start_matches("Error parsing ");
    format!("{text}; see {command} --help")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::setting::Told;

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
            (&["demmo"], "demmo", "demo, demo-backend"),
            (&[], "--backend", "threadbare demo"),
        ];
        for (words, names, remedy) in cases {
            let errors = read(words).expect_err("bad usage is an error");
            let [error] = errors.as_slice() else {
                panic!("{words:?} has one fault: {errors:?}");
            };
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
        let backend = ["--backend", "http://127.0.0.1:1"];
        let by_http = config(&[&backend[..], &["--health", "http"]].concat());
        let config = config(&backend);
        let mut n_told = 0;
        let mut tell = |option: &str, told: Told| {
            let at = help
                .rfind(&format!("--{option} "))
                .unwrap_or_else(|| panic!("no {option}"));
            let default = help[at..].split("(default ").nth(1).unwrap_or_default();
            let value = match told {
                Told::Nothing | Told::Flag(false) => return,
                Told::List(texts) if texts.is_empty() => return,
                Told::List(texts) => texts.join(","),
                Told::Text(text) => text,
                Told::Number(n) => n.to_string(),
                Told::Flag(true) => "true".to_owned(),
            };
            assert!(
                default.starts_with(&value),
                "--{option}: {value} is not in {default:.40}"
            );
            n_told += 1;
        };
        for setting in &PROCESS_SETTINGS {
            tell(setting.name, (setting.tell)(&config));
        }
        for setting in &POOL_SETTINGS {
            let told = [&config, &by_http].map(|c| (setting.tell)(&c.pools[0].settings));
            let first = told.into_iter().find(|told| *told != Told::Nothing);
            tell(setting.name, first.unwrap_or(Told::Nothing));
        }
        assert_eq!(n_told, 50, "the rest are off until they are given");
    }
}
