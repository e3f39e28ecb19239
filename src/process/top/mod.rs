//! `threadbare top`: what a running balancer does, in a terminal that follows it, or as plain text.
//!
//! A process of its own: it asks the admin API's `/live` again and again, and draws. Exit codes: 0;
//! 1 if the balancer refused, or could not be reached at first (later a window goes on trying, and
//! plain text ends); 2 for a command line that makes no sense.
//!
//! Its threads, none of which is joined, as each ends with the process at the latest:
//!
//! | thread | ends when | started |
//! |---|---|---|
//! | main | it is left, or all reports are shown | |
//! | `asker` | main has left, or heard no more | always |
//! | `keys` | the terminal is closed; nothing else ends its reading | in a terminal |
//! | `signals` | main heard no more | in a terminal |

mod draw;
mod figures;
mod keys;
mod lanes;
mod order;
mod pages;
mod rates;
mod screen;
mod table;
mod threads;
mod window;

use std::io::{self, IsTerminal};
use std::time::Duration;

use serde_json::Value;

use self::order::{Asked, Order, read};
use crate::process::ctl::client::Client;
use crate::process::ctl::told::see;
use crate::process::ctl::{ADMIN_VARIABLE, harmless};

/// Exit code if the balancer refused, or could not be reached.
const FAILED: u8 = 1;
/// Exit code for a command line that can't be run.
const USAGE: u8 = 2;
/// How long an answer may take: it never waits for anything.
const PATIENCE: Duration = Duration::from_secs(5);

/// Does what the words behind `top` ask for. Returns the exit code.
pub fn run(words: &[&str]) -> u8 {
    let admin = std::env::var(ADMIN_VARIABLE).ok();
    let followed = match read(words, admin.as_deref()) {
        Ok(Asked::Print(text)) => {
            let printed = pages::print(&text);
            printed.map(|_| ()).map_err(|error| error.to_string())
        }
        Ok(Asked::Follow(order)) => follow(order),
        Err(reason) => {
            eprintln!("threadbare top: {reason}");
            return USAGE;
        }
    };
    let Err(reason) = followed else { return 0 };
    for line in reason.lines() {
        eprintln!("threadbare top: {}", harmless(line));
    }
    FAILED
}

/// The first report is awaited before the terminal is touched: what is wrong from the start is an
/// error like any other.
fn follow(order: Order) -> Result<(), String> {
    let first = ask(&order)?;
    if has_window() {
        window::follow(order, first)
    } else {
        pages::follow(order, first)
    }
}

fn ask(order: &Order) -> Result<Value, String> {
    let client = Client {
        at: &order.at,
        token: order.token.as_ref(),
    };
    see(&client, "/live", PATIENCE)
}

/// Whether there is a terminal to draw on, and a keyboard to leave it by.
fn has_window() -> bool {
    let is_dumb = std::env::var("TERM").is_ok_and(|name| name == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb
}
