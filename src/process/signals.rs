//! SIGINT and SIGTERM: the first asks for a graceful stop, the second ends the process.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::Sender;
use signal_hook::consts::{SIGINT, SIGTERM};
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
    Signals::new([SIGINT, SIGTERM])
}

/// The body of the thread `signals`: passes the first signal on, and ends.
///
/// Ends as well when its [`Handle`] is closed.
pub fn run(mut signals: Signals, events: &Sender<Event>) {
    if let Some(signal) = signals.forever().next() {
        let name = if signal == SIGINT {
            "SIGINT"
        } else {
            "SIGTERM"
        };
        // Full means that the main thread has been told to stop already.
        let _ = events.try_send(Event::Stop(name));
    }
}

/// Lets [`run`] end without a signal.
pub fn handle(signals: &Signals) -> Handle {
    signals.handle()
}
