//! Starts the thread that writes the access log, and sees that it ends.

use std::convert::Infallible;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::warn;

use crate::counted::counted;
use crate::process::config::Config;
use crate::server::{StartError, spawn};
use crate::system::join;
use crate::watch::access::{self, AccessLog, Orders, Writer};

/// How long the end of the process waits for the last lines: a pipe that nobody reads takes none.
const PATIENCE: Duration = Duration::from_secs(1);

/// The access log, opened before anything runs, so that a failure is one of the start.
pub struct Ledger {
    pub log: Arc<AccessLog>,
    writer: Writer,
    /// Dropped, it tells the writer to finish.
    finish: Sender<Infallible>,
}

/// The thread of the access log.
pub struct AccessThread {
    log: Arc<AccessLog>,
    finish: Sender<Infallible>,
    /// No message ever comes; disconnected means that the thread has returned.
    done: Receiver<Infallible>,
    thread: JoinHandle<()>,
}

impl Ledger {
    /// Opens what was asked for, if anything was. `reopen` tells to open it anew.
    pub fn open(config: &Config, reopen: Receiver<()>) -> Result<Option<Ledger>, StartError> {
        let Some(at) = &config.access_log else {
            return Ok(None);
        };
        // Capacity 0: only its end is waited for.
        let (finish, finished) = bounded(0);
        let orders = Orders {
            reopen,
            finish: finished,
        };
        let opened = access::open(at, config.access_format.clone(), orders);
        let (log, writer) = opened.map_err(|e| StartError::AccessLog(at.to_string(), e))?;
        Ok(Some(Ledger {
            log,
            writer,
            finish,
        }))
    }

    /// Starts its thread.
    pub fn start(self) -> Result<AccessThread, StartError> {
        let Ledger {
            log,
            writer,
            finish,
        } = self;
        // Capacity 0: only its end is waited for.
        let (running, done) = bounded(0);
        let thread = spawn("access-log", move || {
            writer.run();
            drop(running);
        })?;
        Ok(AccessThread {
            log,
            finish,
            done,
            thread,
        })
    }
}

impl AccessThread {
    /// Lets it write what is queued, but waits no longer than [`PATIENCE`]. All who write lines
    /// have ended, or are about to be cut off.
    pub fn stop(self) {
        drop(self.finish);
        let is_stuck = self.done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
        if !is_stuck {
            join(self.thread);
        }
        let (n_overflowed, n_failed) = (self.log.n_overflowed(), self.log.n_failed());
        let n_waiting = if is_stuck { self.log.n_waiting() } else { 0 };
        if is_stuck || n_overflowed + n_failed > 0 {
            warn!(
                "the access log lacks {}: {n_overflowed} came too fast, {n_failed} could not be \
                 written, {n_waiting} still wait",
                counted(n_overflowed + n_failed + n_waiting, "line")
            );
        }
    }
}
