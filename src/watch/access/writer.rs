//! Writes the access log: the body of the thread `access-log`.
//!
//! Ends when it is told to finish, once everything that is queued has been written. It may be held
//! up in a write for as long as a pipe is full: whoever ends it does not wait for ever.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, select};
use log::{error, info, warn};

use crate::counted::counted;
use crate::system::plain;
use crate::watch::access::file::open;
use crate::watch::access::{AccessLog, LogAt, MAX_LINES};

/// How long lines come together before they are written: so many requests share one write, and
/// while there are many, no worker ever has to wake the writer.
const GATHER: Duration = Duration::from_millis(20);
/// Bytes of one write, or a line more.
const BATCH: usize = 64 * 1024;

/// What the writer is told.
pub struct Orders {
    /// Opens its path anew. Capacity 1: one order is as good as many; full means that it will be
    /// done; disconnected means that nobody gives any.
    pub reopen: Receiver<()>,
    /// No message ever comes; disconnected means that no line comes any more.
    pub finish: Receiver<Infallible>,
}

/// What the thread owns.
pub struct Writer {
    log: Arc<AccessLog>,
    /// Never disconnected: the log that this holds has a sender.
    lines: Receiver<Box<[u8]>>,
    orders: Orders,
    at: LogAt,
    file: File,
    /// The last write ended inside a line.
    is_torn: bool,
    /// The last write failed, which was said.
    is_failing: bool,
    /// Lines that had been dropped when that was last said, and whether they still are.
    n_told: u64,
    is_overflowing: bool,
    batch: Vec<u8>,
    /// Where each line of the batch ends.
    ends: Vec<usize>,
}

/// What it is told next.
enum Order {
    None,
    Reopen,
    Finish,
}

impl Writer {
    /// Opens the file, and is ready to run.
    pub fn open(
        at: &LogAt,
        log: Arc<AccessLog>,
        lines: Receiver<Box<[u8]>>,
        orders: Orders,
    ) -> io::Result<Writer> {
        Ok(Writer {
            log,
            lines,
            orders,
            at: at.clone(),
            file: open(at)?,
            is_torn: false,
            is_failing: false,
            n_told: 0,
            is_overflowing: false,
            batch: Vec::with_capacity(BATCH),
            ends: Vec::new(),
        })
    }

    /// The body of the thread.
    pub fn run(mut self) {
        while self.await_line() {
            // Lines keep coming: the channel is looked at now and then, which wakes nobody.
            loop {
                match self.await_order() {
                    Order::Finish => {
                        while self.write_queued() {}
                        return;
                    }
                    Order::Reopen => {
                        self.write_queued();
                        self.reopen();
                    }
                    Order::None if self.write_queued() => {}
                    Order::None => break,
                }
            }
        }
    }

    /// Waits until there is something to do, for as long as it takes; false at the end.
    fn await_line(&mut self) -> bool {
        select! {
            recv(self.lines) -> line => {
                self.take(line.ok());
                true
            }
            recv(self.orders.reopen) -> order => {
                if order.is_ok() {
                    self.reopen();
                } else {
                    self.orders.reopen = crossbeam_channel::never();
                }
                true
            }
            recv(self.orders.finish) -> _ => {
                while self.write_queued() {}
                false
            }
        }
    }

    /// Waits for lines to come together.
    fn await_order(&mut self) -> Order {
        select! {
            recv(self.orders.reopen) -> order => {
                if order.is_ok() {
                    return Order::Reopen;
                }
                self.orders.reopen = crossbeam_channel::never();
                Order::None
            }
            recv(self.orders.finish) -> _ => Order::Finish,
            default(GATHER) => Order::None,
        }
    }

    fn take(&mut self, line: Option<Box<[u8]>>) -> bool {
        let Some(line) = line else { return false };
        self.log.n_queued.fetch_sub(line.len(), Ordering::Relaxed);
        self.batch.extend_from_slice(&line);
        self.ends.push(self.batch.len());
        true
    }

    /// Writes what is queued, or no more than has room in the queue, so that orders are heard. True
    /// if there was anything.
    fn write_queued(&mut self) -> bool {
        let mut n_lines = 0;
        while n_lines < MAX_LINES {
            while self.batch.len() < BATCH && self.take(self.lines.try_recv().ok()) {}
            if self.ends.is_empty() {
                break;
            }
            n_lines += self.ends.len();
            self.write_batch();
        }
        self.tell_overflow();
        n_lines > 0
    }

    fn write_batch(&mut self) {
        let (n_written, result) =
            write_lines(&mut self.file, &self.batch, &self.ends, &mut self.is_torn);
        let n_failed = self.ends.len() - n_written;
        self.log
            .n_written
            .fetch_add(n_written as u64, Ordering::Relaxed);
        self.log
            .n_failed
            .fetch_add(n_failed as u64, Ordering::Relaxed);
        self.batch.clear();
        self.batch.shrink_to(2 * BATCH);
        self.ends.clear();
        match result {
            Ok(()) if std::mem::take(&mut self.is_failing) => {
                let n_failed = self.log.n_failed();
                let lines = counted(n_failed, "line");
                info!("the access log is written again; {lines} could not be, so far");
            }
            Err(error) if !std::mem::replace(&mut self.is_failing, true) => {
                warn!("the access log can't be written: {}", plain(&error));
            }
            _ => {}
        }
    }

    /// One line when dropping begins, and one when it is over.
    fn tell_overflow(&mut self) {
        let n = self.log.n_overflowed();
        let has_grown = n > self.n_told;
        self.n_told = n;
        if has_grown && !std::mem::replace(&mut self.is_overflowing, true) {
            warn!("the access log does not keep up: lines are dropped");
        } else if !has_grown && std::mem::take(&mut self.is_overflowing) {
            let lines = counted(n, "line");
            info!("the access log keeps up again, {lines} dropped so far");
        }
    }

    /// Goes on in a new file at the same path; if there can be none, in the one that it has.
    fn reopen(&mut self) {
        let LogAt::Path(path) = &self.at else {
            return info!("the access log is on standard output, and stays there");
        };
        let shown = path.display();
        match open(&self.at) {
            Ok(file) => {
                if std::mem::take(&mut self.is_torn) {
                    let _ = self.file.write_all(b"\n"); // an error: it stays as it is
                }
                self.file = file;
                info!("the access log was opened anew: {shown}");
            }
            Err(error) => error!(
                "the access log can't be opened anew, and goes on in the file that it has: \
                 {shown}: {}",
                plain(&error)
            ),
        }
    }
}

/// Writes lines that end there. How many were written to their end, and what stopped that.
fn write_lines(
    file: &mut impl Write,
    lines: &[u8],
    ends: &[usize],
    is_torn: &mut bool,
) -> (usize, io::Result<()>) {
    // What was begun and could not be ended is a line of its own.
    let before: &[u8] = if *is_torn { b"\n" } else { b"" };
    if let (_, Err(error)) = write_all(file, before) {
        return (0, Err(error));
    }
    let (n, result) = write_all(file, lines);
    *is_torn = n > 0 && lines[n - 1] != b'\n';
    (ends.partition_point(|&end| end <= n), result)
}

/// How many bytes were written, and what stopped that.
fn write_all(file: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut n = 0;
    while n < bytes.len() {
        match file.write(&bytes[n..]) {
            Ok(0) => return (n, Err(io::ErrorKind::WriteZero.into())),
            Ok(more) => n += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (n, Err(error)),
        }
    }
    (n, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, some at a time, and then no more.
    struct Full {
        room: usize,
        taken: Vec<u8>,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.room).min(3);
            if n == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= n;
            self.taken.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_full_disk_tears_is_counted_and_the_next_line_stands_alone() {
        // Goal: however much there is room for, the lines that were written whole are counted, and
        // no later one is glued to a piece.
        let lines = b"one\ntwo\nthree\n";
        let ends = [4, 8, 14];
        for room in 0..=lines.len() {
            let taken = Vec::new();
            let mut file = Full { room, taken };
            let mut is_torn = false;
            let (n, result) = write_lines(&mut file, lines, &ends, &mut is_torn);
            let n_whole = ends.iter().filter(|&&end| end <= room).count();
            assert_eq!((n, result.is_ok()), (n_whole, n_whole == 3), "{room}");
            file.room = 0;
            let (n, _) = write_lines(&mut file, lines, &ends, &mut is_torn);
            assert_eq!(n, 0);
            file.room = 100;
            let (n, result) = write_lines(&mut file, b"next\n", &[5], &mut is_torn);
            assert_eq!((n, result.is_ok(), is_torn), (1, true, false));
            let text = String::from_utf8_lossy(&file.taken).into_owned();
            assert!(
                text == "next\n" || text.ends_with("\nnext\n"),
                "{room}: {text:?}"
            );
            assert!(!text.contains("\n\n"), "{room}: {text:?}");
        }
    }
}
