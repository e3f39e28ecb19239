//! The main thread, from the start of the server to its end: what it waits for, and what it does.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select};
use log::{error, info, warn};

use crate::counted::counted;
use crate::process::config::Config;
use crate::server::site::{Found, log_changes};
use crate::server::{Server, Stopped};

/// How often the drain directory is looked into, and the state looked at for changes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What the main thread is told.
#[derive(Debug)]
pub enum Event {
    /// A signal of this name, or an operator, asks for the end.
    Stop(&'static str),
    /// No connection is accepted any more.
    ListenerDied(String),
    /// The configuration shall be read again; whoever waits for it is told how that went. Capacity
    /// of the channel: 1, so that telling never blocks.
    Reload(Option<Sender<Reloaded>>),
}

/// What a reload changed, a line for each; or what is wrong, and nothing has changed.
pub type Reloaded = Result<Vec<String>, Vec<String>>;

/// Serves until an event says otherwise, then stops. Returns the exit code.
///
/// `reread` reads the configuration again.
pub fn run_until_stopped(
    mut server: Server,
    events: Receiver<Event>,
    reread: impl Fn() -> Result<Config, Vec<String>>,
) -> u8 {
    server.service.ready();
    // What came while a reload waited for names.
    let mut later = VecDeque::new();
    let mut next_upkeep = Instant::now() + UPKEEP_INTERVAL;
    let has_died = loop {
        let event = match later.pop_front() {
            Some(event) => Ok(event),
            None if server.site.needs_upkeep() => events.recv_deadline(next_upkeep),
            None => events.recv().map_err(Into::into),
        };
        match event {
            Err(RecvTimeoutError::Timeout) => {
                next_upkeep = Instant::now() + UPKEEP_INTERVAL;
                server.site.keep_up();
            }
            Ok(Event::Reload(asker)) => {
                server.service.reloading();
                let reloaded = reload(&mut server, &reread, &events, &mut later);
                server.service.reloaded(&reloaded);
                if let Some(asker) = asker {
                    let _ = asker.try_send(reloaded); // it does not wait any more
                }
            }
            Ok(Event::Stop(cause)) => {
                server.announce_stop();
                info!("stopping: {cause}");
                server.service.stopping(cause);
                break false;
            }
            Ok(Event::ListenerDied(reason)) => {
                error!("stopping: the listener died: {reason}");
                server.service.stopping("the listener died");
                break true;
            }
            Err(RecvTimeoutError::Disconnected) => {
                error!("stopping: nobody is left");
                break true;
            }
        }
    };
    drop(events); // nobody waits for us to be told more
    let timeout = server.site.config().shutdown_timeout;
    stop(server, timeout, has_died)
}

/// All of the new configuration, or nothing of it.
fn reload(
    server: &mut Server,
    reread: impl Fn() -> Result<Config, Vec<String>>,
    events: &Receiver<Event>,
    later: &mut VecDeque<Event>,
) -> Reloaded {
    let config = reread().inspect_err(|errors| {
        let errors = errors.join("; ");
        error!("reload refused, the old configuration runs on: {errors}");
    })?;
    let found = match server.start_look_up(&config) {
        Ok(Some(found)) => await_found(&found, events, later).ok_or_else(|| {
            info!("reload given up: the process stops");
            vec!["the process stops".to_owned()]
        })?,
        Ok(None) => Found::new(),
        Err(error) => {
            warn!("new names of backends are looked up later: {error}");
            Found::new()
        }
    };
    let log_level = config.log_level;
    // So that a log that is to say less still says that.
    log::set_max_level(log::max_level().max(log_level));
    let lines = server.site.reload(config, &found);
    log_changes(&lines);
    log::set_max_level(log_level);
    if let Err(error) = server.start_resolver() {
        warn!("names of backends are not looked up again: {error}");
    }
    Ok(lines)
}

/// Waits for addresses, but not once the end is asked for: then there are none. What comes
/// meanwhile is put down for later, no more than one reload that nobody waits for.
fn await_found(
    found: &Receiver<Found>,
    events: &Receiver<Event>,
    later: &mut VecDeque<Event>,
) -> Option<Found> {
    let is_reload = |event: &Event| matches!(event, Event::Reload(_));
    loop {
        select! {
            // An error: its thread panicked, which the log has; the resolver tries again.
            recv(found) -> found => return Some(found.unwrap_or_default()),
            recv(events) -> event => match event {
                Ok(Event::Reload(None)) if later.iter().any(is_reload) => {}
                Ok(reload @ Event::Reload(_)) => later.push_back(reload),
                Ok(end) => {
                    later.push_front(end);
                    return None;
                }
                Err(_) => return None,
            }
        }
    }
}

fn stop(mut server: Server, timeout: Duration, has_died: bool) -> u8 {
    let start = Instant::now();
    server.site.keep_last();
    let counters = server.shared.counters.clone();
    match server.stop(timeout) {
        Stopped::Drained => {
            let took = start.elapsed().as_millis();
            let summary = counters.summary();
            info!("stopped: all requests answered in {took}ms; {summary}");
            u8::from(has_died)
        }
        Stopped::CutOff(n) => {
            let requests = counted(n, "request");
            let summary = counters.summary();
            error!("stopped: {requests} cut off after {timeout:?}; {summary}");
            1
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
