//! The program: from the command line to the exit code.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::bounded;
use log::{debug, error, info};
use threadbare::pool::BackendSpec;
use threadbare::process::args::{self, Asked};
use threadbare::process::config::{Command, Config};
use threadbare::process::demo::{self, Demo};
use threadbare::process::notify::Notifier;
use threadbare::process::{counted, ctl, healthcheck, limits, logging, one_line, service, top};
use threadbare::server::{self, Server, StartError};

/// Exit code for anything that goes wrong while running.
const FAILED: u8 = 1;
/// Exit code for a command line, or files of it, that can't be run.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["ctl", words @ ..] = words.as_slice() {
        return ExitCode::from(ctl::run(words));
    }
    if let ["why", words @ ..] = words.as_slice() {
        return ExitCode::from(ctl::run_why(words));
    }
    if let ["top", words @ ..] = words.as_slice() {
        return ExitCode::from(top::run(words));
    }
    if let ["healthcheck", words @ ..] = words.as_slice() {
        return ExitCode::from(healthcheck::run(words));
    }
    if let ["service", words @ ..] = words.as_slice() {
        return match service::text(words, std::env::current_exe()) {
            Ok(text) => print(&text),
            Err(lines) => refuse(&lines),
        };
    }
    match args::read(&words) {
        Ok(Asked::Print(text)) => print(&text),
        Ok(Asked::Run(config)) if config.check_only => check(&config),
        Ok(Asked::Run(config)) => {
            logging::start(config.log_format, config.log_level);
            log_panics();
            match run(*config, &words) {
                Ok(code) => ExitCode::from(code),
                Err((code, reason)) => {
                    error!("{reason}");
                    ExitCode::from(code)
                }
            }
        }
        Err(lines) => refuse(&lines),
    }
}

fn refuse(lines: &[String]) -> ExitCode {
    eprintln!("{}", lines.join("\n"));
    ExitCode::from(USAGE)
}

/// Tells what would run, if it would.
fn check(config: &Config) -> ExitCode {
    let line = |error: &StartError| one_line(&format!("threadbare: {error}"));
    let lines: Vec<String> = server::look_at_files(config).iter().map(line).collect();
    if lines.is_empty() {
        print(&config.describe())
    } else {
        refuse(&lines)
    }
}

/// Returns the exit code; an error has one as well, and a reason.
fn run(mut config: Config, words: &[&str]) -> Result<u8, (u8, String)> {
    let failed = |reason: String| (FAILED, reason);
    if config.command == Command::DemoBackend {
        let listen = config.listen[0].to_string();
        let ended = demo::run_backend(&listen);
        return ended
            .map(|()| 0)
            .map_err(|e| failed(format!("cannot run on {listen}: {e}")));
    }
    let n_descriptors = limits::raise_descriptor_limit();
    let demo = match config.command {
        Command::Demo => {
            Some(Demo::start().map_err(|e| failed(format!("the demo's backends: {e}")))?)
        }
        _ => None,
    };
    if let Some(demo) = &demo {
        let urls = demo.urls().map_err(failed)?;
        config.pools[0].backends = urls.into_iter().map(BackendSpec::new).collect();
    }
    let is_demo = demo.is_some();
    let asked = config.max_connections;
    fit(&mut config, n_descriptors);
    let room = config.max_connections;
    if room < asked {
        let n = n_descriptors.unwrap_or_default();
        info!("max-connections is {room}, not {asked}: {n} descriptors are all there are");
    }
    let stopping = Arc::new(AtomicBool::new(false));
    // Capacity 1: one reload is as good as many, and who tells of a stop waits for its place.
    let (tell, events) = bounded(1);
    // Capacity 1: to open the access log anew once is as good as twice.
    let (reopen, reopened) = bounded(1);
    let signals = server::watch_signals(&stopping, tell.clone(), reopen);
    signals.map_err(|e| failed(format!("signals: {e}")))?;
    let notifier = Notifier::from_env();
    let server = Server::start(&config, stopping, tell, notifier, reopened);
    let server = server.map_err(|error| {
        let code = if error.is_of_options() { USAGE } else { FAILED };
        (code, error.to_string())
    })?;
    let address = server.addresses().join(", ");
    let workers = counted(config.n_workers, "worker");
    let backends = counted(n_backends(&config), "backend");
    let shown = n_descriptors.map_or("no limit on".to_owned(), |n| n.to_string());
    info!("listening on {address}: {workers}, {backends}, {shown} descriptors");
    if let Some(address) = server.admin_address() {
        info!("admin API on {address}");
    }
    if let Some(demo) = &demo {
        let _ = print(&demo.describe(&server.addresses()[0]));
    }
    let reread = || {
        if is_demo {
            return Err(vec!["the demo has nothing to reload".to_owned()]);
        }
        let mut config = args::reread(words)?;
        if config.max_connections == asked {
            config.max_connections = room; // as it was fitted: that other backends came is no news
        }
        Ok(config)
    };
    Ok(server::run_until_stopped(server, events, reread))
}

/// No more connections than leave descriptors for the backends.
fn fit(config: &mut Config, n_descriptors: Option<u64>) {
    let (n_workers, n_long_haul) = (config.n_workers, config.max_long_haul);
    if let Some(n) = n_descriptors {
        let room = limits::room_for_clients(n, n_workers, n_long_haul, n_backends(config));
        config.max_connections = config.max_connections.min(room);
    }
}

fn n_backends(config: &Config) -> usize {
    config.pools.iter().map(|pool| pool.backends.len()).sum()
}

/// Writes to standard output; a reader that went away is no reason to panic.
fn print(text: &str) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(FAILED),
    }
}

/// Panics go to the log like everything else, one line with the place.
///
/// Those of `tiny_http`'s threads are the end of one client's connection (it unwraps the address of
/// a client that is gone already), or of its accept thread, which the listener notices: no alarm.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string().replace('\n', " ");
        if panic
            .location()
            .is_some_and(|place| place.file().contains("tiny_http"))
        {
            debug!("panic: {text}");
        } else {
            error!("panic: {text}");
        }
    }));
}
