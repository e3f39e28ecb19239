//! Starts the threads beside the main one, which tell it all that happens over one channel.

use std::convert::Infallible;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde_json::Value;

use super::ask;
use super::keys::{self, Key};
use super::order::Order;
use crate::process::signals::{self, ForTerminal};

/// What the main thread is told.
pub enum News {
    /// The balancer was asked: its report, or why there is none.
    Report(Result<Value, String>),
    Key(Key),
    Signal(ForTerminal),
    /// One of those that tell has panicked: without it there is no going on.
    Panicked,
}

/// The main thread's end of it all.
pub struct Told {
    pub news: Receiver<News>,
    /// No message ever comes; dropped, it ends the asker between two questions.
    _stop: Sender<Infallible>,
}

/// Capacity 1: who tells waits until the main thread has drawn what came before; full means that it
/// still draws, disconnected that it has left, which ends whoever tells.
fn channel() -> (Sender<News>, Receiver<News>) {
    bounded(1)
}

/// Asks on from now. Returned with the way to tell for those who are started beside it.
pub fn start_asker(order: Order) -> io::Result<(Told, Sender<News>)> {
    let (tell, news) = channel();
    // Capacity 0: no message ever comes; disconnected means stop.
    let (stop, stopped) = bounded(0);
    spawn("asker", &tell, move |tell| ask_on(&order, tell, &stopped))?;
    Ok((Told { news, _stop: stop }, tell))
}

/// The keyboard and the signals.
pub fn start_window(tell: &Sender<News>) -> io::Result<()> {
    let signals = signals::install_for_terminal()?;
    spawn("keys", tell, keys::run)?;
    spawn("signals", tell, |tell| {
        signals::run_for_terminal(signals, |signal| tell.send(News::Signal(signal)).is_ok());
    })
}

/// The handle is dropped: nobody joins these.
fn spawn(
    name: &str,
    tell: &Sender<News>,
    body: impl FnOnce(&Sender<News>) + Send + 'static,
) -> io::Result<()> {
    let tell = tell.clone();
    let run = move || {
        let ended = panic::catch_unwind(AssertUnwindSafe(|| body(&tell)));
        if ended.is_err() {
            let _ = tell.send(News::Panicked); // an error: it has been left
        }
    };
    let _ = thread::Builder::new().name(name.to_owned()).spawn(run)?;
    Ok(())
}

/// The body of the thread `asker`. What takes longer than an interval is not caught up with.
fn ask_on(order: &Order, tell: &Sender<News>, stopped: &Receiver<Infallible>) {
    let mut due = Instant::now() + order.interval;
    while stopped.recv_deadline(due) == Err(RecvTimeoutError::Timeout) {
        if tell.send(News::Report(ask(order))).is_err() {
            return;
        }
        due = Instant::now().max(due + order.interval);
    }
}
