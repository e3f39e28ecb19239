//! SIGINT and SIGTERM: the first asks for a graceful stop, the second ends the process. SIGHUP asks
//! for a reload, and SIGUSR1 for a new file of the access log.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::{Sender, TrySendError};
use log::info;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals};

use crate::server::Event;

/// The exit code after a second signal: something was cut off.
const FORCED_EXIT_CODE: i32 = 1;

/// Installs the handlers. After this the process no longer dies of the first signal.
///
/// `stopping` is set by the handler itself, so that it is true before anyone is woken. Order
/// matters: the conditional exit is registered first, so it sees what the flag was before this
/// signal, and only a second one meets a set flag.
pub fn install(stopping: &Arc<AtomicBool>) -> io::Result<Signals> {
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, FORCED_EXIT_CODE, Arc::clone(stopping))?;
        flag::register(signal, Arc::clone(stopping))?;
    }
    Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1])
}

/// The body of the thread `signals`: passes SIGHUPs and SIGUSR1s on, and the first of the others,
/// then ends.
///
/// Ends as well when its [`Handle`] is closed.
pub fn run(mut signals: Signals, events: &Sender<Event>, reopen: &Sender<()>) {
    for signal in signals.forever() {
        let name = match signal {
            SIGHUP => {
                // Full: the main thread has a reload before it already.
                let _ = events.try_send(Event::Reload(None));
                continue;
            }
            SIGUSR1 => {
                // Full: it will be opened anew already.
                if let Err(TrySendError::Disconnected(())) = reopen.try_send(()) {
                    info!("SIGUSR1: there is no access log to be opened anew");
                }
                continue;
            }
            SIGINT => "SIGINT",
            _ => "SIGTERM",
        };
        // Waits for a place, which a reload in progress may take; an error: nobody listens.
        let _ = events.send(Event::Stop(name));
        return;
    }
}

/// Lets [`run`] end without a signal.
pub fn handle(signals: &Signals) -> Handle {
    signals.handle()
}
