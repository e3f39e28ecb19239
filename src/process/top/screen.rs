//! The terminal, which is left as it was found: also at an error, at a signal, and at a panic.

use std::io::{self, Write};
use std::panic;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{Attribute, Color, Print, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap,
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
};
use crossterm::{execute, queue};
use rustix::termios::tcgetwinsize;

use super::draw::Size;
use super::table::{Line, Tone};
use crate::process::signals;

/// Of a terminal that does not know its size, as some serial lines do not.
const USUAL: Size = Size {
    width: 80,
    height: 24,
};

/// A terminal in raw mode and on its other screen, until this is dropped.
pub struct Screen {
    out: io::Stdout,
}

impl Screen {
    /// Takes the terminal. A panic gives it back before it tells of itself.
    pub fn enter() -> io::Result<Screen> {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            restore();
            tell(panicked);
        }));
        let out = io::stdout();
        take(&out)?;
        Ok(Screen { out })
    }

    /// How much room there is. Standard output's: crossterm asks the terminal that controls the
    /// process, which may be another.
    pub fn size(&self) -> io::Result<Size> {
        let size = tcgetwinsize(&self.out)?;
        let (width, height) = (size.ws_col.into(), size.ws_row.into());
        let is_known = width > 0 && height > 0;
        Ok(if is_known {
            Size { width, height }
        } else {
            USUAL
        })
    }

    /// Shows these lines and nothing else, all in one write.
    pub fn show(&self, lines: &[Line], size: Size) -> io::Result<()> {
        let mut frame = Vec::new();
        queue!(frame, BeginSynchronizedUpdate)?;
        for (row, line) in (0..).zip(lines) {
            queue!(frame, MoveTo(0, row))?;
            let mut width = 0;
            for piece in line {
                width += piece.text.chars().count();
                dress(&mut frame, piece.tone)?;
                queue!(frame, Print(&piece.text), SetAttribute(Attribute::Reset))?;
            }
            // Behind a full line the cursor still stands on its last letter.
            if width < size.width {
                queue!(frame, Clear(ClearType::UntilNewLine))?;
            }
        }
        if let Some(below) = u16::try_from(lines.len()).ok()
            && lines.len() < size.height
        {
            queue!(frame, MoveTo(0, below), Clear(ClearType::FromCursorDown))?;
        }
        queue!(frame, EndSynchronizedUpdate)?;
        let mut out = self.out.lock();
        out.write_all(&frame)?;
        out.flush()
    }

    /// Stops the process, as Ctrl-Z does elsewhere, and takes the terminal again when it goes on.
    pub fn suspend(&self) -> io::Result<()> {
        restore();
        signals::suspend()?;
        take(&self.out)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn take(mut out: &io::Stdout) -> io::Result<()> {
    terminal::enable_raw_mode()?;
    let taken = execute!(out, EnterAlternateScreen, Hide, DisableLineWrap);
    taken.inspect_err(|_| restore())
}

/// Gives the terminal back, if it is taken: twice would move the cursor.
fn restore() {
    if !terminal::is_raw_mode_enabled().unwrap_or_default() {
        return;
    }
    // An error: the terminal is gone.
    let _ = execute!(
        io::stdout(),
        EndSynchronizedUpdate,
        SetAttribute(Attribute::Reset),
        EnableLineWrap,
        Show,
        LeaveAlternateScreen
    );
    let _ = terminal::disable_raw_mode(); // the same
}

/// Colours only where `NO_COLOR` does not forbid them, which crossterm knows.
fn dress(frame: &mut Vec<u8>, tone: Tone) -> io::Result<()> {
    match tone {
        Tone::Plain => Ok(()),
        Tone::Title => queue!(frame, SetAttribute(Attribute::Bold)),
        Tone::Good => queue!(frame, SetForegroundColor(Color::DarkGreen)),
        Tone::Warn => queue!(frame, SetForegroundColor(Color::DarkYellow)),
        Tone::Bad => queue!(
            frame,
            SetAttribute(Attribute::Bold),
            SetForegroundColor(Color::DarkRed)
        ),
        Tone::Mute => queue!(frame, SetAttribute(Attribute::Dim)),
    }
}
