//! Reports in a terminal: what came last is drawn, again whenever the window changes.

use std::time::Instant;

use serde_json::Value;

use super::draw::{View, draw};
use super::keys::Key;
use super::order::Order;
use super::rates::Rates;
use super::screen::Screen;
use super::threads::{News, start_asker, start_window};
use crate::process::signals::{self, ForTerminal};
use crate::system::plain;

/// What is shown now.
struct Shown {
    live: Value,
    rates: Rates,
    heard: Instant,
    /// Why there has been no report since.
    lost: Option<String>,
    /// Reports to come before the end.
    left: Option<u64>,
}

/// Shows reports until it is left, or their count is reached. Without contact it goes on trying.
pub fn follow(order: Order, first: Value) -> Result<(), String> {
    let mut shown = Shown {
        live: first,
        rates: Rates::default(),
        heard: Instant::now(),
        lost: None,
        left: order.count.map(|count| count - 1),
    };
    let ended = {
        let (told, tell) = start_asker(order).map_err(|error| plain(&error))?;
        // Signals first: one that comes behind this gives the terminal back.
        start_window(&tell).map_err(|error| plain(&error))?;
        let screen = Screen::enter().map_err(|error| plain(&error))?;
        loop {
            shown.draw(&screen)?;
            if shown.left == Some(0) {
                break None;
            }
            match told.news.recv() {
                Ok(News::Report(report)) => shown.take(report),
                Ok(News::Key(Key::Redraw) | News::Signal(ForTerminal::Resized)) => {}
                Ok(News::Key(Key::Suspend) | News::Signal(ForTerminal::Suspend)) => {
                    screen.suspend().map_err(|error| plain(&error))?;
                }
                Ok(News::Signal(ForTerminal::End(signal))) => break Some(signal),
                Ok(News::Key(Key::Leave)) => break None,
                // Of the panic its own text tells.
                Ok(News::Panicked) | Err(_) => return Err("it had to end".to_owned()),
            }
        }
    };
    // The terminal is as it was: now the signal may do what it does.
    if let Some(signal) = ended {
        signals::obey(signal).map_err(|error| plain(&error))?;
    }
    Ok(())
}

impl Shown {
    fn take(&mut self, report: Result<Value, String>) {
        match report {
            Ok(report) => {
                self.rates = Rates::between(Some(&self.live), &report);
                self.live = report;
                self.heard = Instant::now();
                self.lost = None;
                self.left = self.left.map(|left| left - 1);
            }
            Err(reason) => self.lost = Some(reason),
        }
    }

    fn draw(&self, screen: &Screen) -> Result<(), String> {
        let reason = self.lost.as_deref().and_then(|lost| lost.lines().next());
        let view = View {
            live: &self.live,
            rates: &self.rates,
            has_keys: true,
            lost: reason.map(|reason| (reason, self.heard.elapsed())),
        };
        let drawn = screen
            .size()
            .and_then(|size| screen.show(&draw(&view, size), size));
        drawn.map_err(|error| format!("the terminal: {}", plain(&error)))
    }
}
