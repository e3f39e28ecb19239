//! `threadbare ctl`: asks a running balancer over its admin API, or changes it, from the shell.
//!
//! A process of its own with one thread: what is typed becomes requests, one after the other, and
//! what is answered lines for people. Exit codes: 0; 1 if the balancer refused something or could
//! not be reached; 2 for a command line that makes no sense.

pub(super) mod client;
mod order;
mod perform;
mod table;
pub(super) mod told;
mod why;

use std::io;

pub use self::order::{Asked, Order, read};
pub(super) use self::order::{admin, default_admin};
pub use self::perform::perform;
pub(super) use self::table::{harmless, lasted};

/// Exit code if the balancer refused, or could not be reached.
const FAILED: u8 = 1;
/// Exit code for a command line that can't be run.
const USAGE: u8 = 2;
/// Where the admin API is, unless told.
pub(super) const ADMIN_VARIABLE: &str = "THREADBARE_ADMIN";

/// What stands before what is wrong.
const CTL: &str = "threadbare ctl";
const WHY: &str = "threadbare why";

/// Does what the words behind `ctl` ask for. Returns the exit code.
pub fn run(words: &[&str]) -> u8 {
    run_as(CTL, words)
}

/// Does what the words behind `why` ask for, which is short for `ctl why`. Returns the exit code.
pub fn run_why(words: &[&str]) -> u8 {
    run_as(WHY, words)
}

fn run_as(command: &str, words: &[&str]) -> u8 {
    let admin = std::env::var(ADMIN_VARIABLE).ok();
    match read(command, words, admin.as_deref()) {
        Ok(Asked::Print(text)) => {
            let printed = io::Write::write_all(&mut io::stdout(), text.as_bytes());
            if printed.is_ok() { 0 } else { FAILED }
        }
        Ok(Asked::Perform(order)) => perform(command, &order, &mut io::stdout(), &mut io::stderr()),
        Err(reason) => {
            eprintln!("{command}: {reason}");
            USAGE
        }
    }
}

#[cfg(test)]
mod tests;
