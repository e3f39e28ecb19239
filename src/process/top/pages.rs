//! Reports as plain text, one below the other, for pipes, files and terminals without a keyboard.

use std::io::{self, Write};

use serde_json::Value;

use super::draw::{Size, View, draw};
use super::order::Order;
use super::rates::Rates;
use super::table::Line;
use super::threads::{News, start_asker};
use crate::system::plain;

/// Prints the first report and those that follow it, to the count or to the reader's end, which is
/// no error. What fails ends it: nobody is there to see that it goes on.
pub fn follow(order: Order, first: Value) -> Result<(), String> {
    let mut left = order.count;
    let mut shown = first;
    let mut rates = Rates::default();
    let (told, _) = start_asker(order).map_err(|error| plain(&error))?;
    loop {
        if !print_report(&shown, &rates).map_err(|error| plain(&error))? {
            return Ok(());
        }
        left = left.map(|left| left - 1);
        if left == Some(0) {
            return Ok(());
        }
        let Ok(News::Report(report)) = told.news.recv() else {
            return Err("it had to end".to_owned()); // the asker has panicked, which is told
        };
        let report = report?;
        rates = Rates::between(Some(&shown), &report);
        shown = report;
        print("\n").map_err(|error| plain(&error))?;
    }
}

/// False: nobody reads on.
fn print_report(live: &Value, rates: &Rates) -> io::Result<bool> {
    let view = View {
        live,
        rates,
        has_keys: false,
        lost: None,
    };
    let text = |line: Line| -> String { line.into_iter().map(|piece| piece.text).collect() };
    let lines = draw(&view, Size::ENDLESS).into_iter().map(text);
    let lines: Vec<String> = lines.collect();
    print(&(lines.join("\n") + "\n"))
}

/// Writes to standard output. False: its reader has gone away.
pub fn print(text: &str) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}
