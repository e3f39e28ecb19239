//! SIGINT and SIGTERM: the first asks for a graceful stop, the second ends the process. SIGHUP asks
//! for a reload, and SIGUSR1 for a new file of the access log. And those of `threadbare top`, which
//! has a terminal to give back first.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::{Sender, TrySendError};
use log::info;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGWINCH};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::{flag, low_level};

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

/// What a signal means to who has taken the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForTerminal {
    /// The window has another size.
    Resized,
    /// Stop until you are told to go on.
    Suspend,
    /// End, by this signal.
    End(i32),
}

/// Installs the handlers of who has taken the terminal, and must give it back before anything else.
pub fn install_for_terminal() -> io::Result<Signals> {
    Signals::new([SIGWINCH, SIGTSTP, SIGINT, SIGTERM, SIGHUP, SIGQUIT])
}

/// The body of the thread `signals` of such a process: tells until nobody hears any more.
pub fn run_for_terminal(mut signals: Signals, tell: impl Fn(ForTerminal) -> bool) {
    for signal in signals.forever() {
        let meant = match signal {
            SIGWINCH => ForTerminal::Resized,
            SIGTSTP => ForTerminal::Suspend,
            signal => ForTerminal::End(signal),
        };
        if !tell(meant) {
            return;
        }
    }
}

/// Does what the signal would do without a handler: ends the process.
pub fn obey(signal: i32) -> io::Result<()> {
    low_level::emulate_default_handler(signal)
}

/// Stops the process. Returns when it is told to go on.
pub fn suspend() -> io::Result<()> {
    low_level::emulate_default_handler(SIGTSTP)
}
