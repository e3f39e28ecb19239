//! A pseudo-terminal with the binary in it: what it draws, what is typed, and how it is left.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Instant;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OutputModes, Winsize, tcgetattr, tcsetwinsize,
};

use super::tape::Tape;
use super::threadbare::wait_in_thread;

pub struct Terminal {
    /// The end at which a person would sit.
    keyboard: File,
    /// The program's end, kept open: its modes are looked at when the program has ended.
    slave: OwnedFd,
    before: Modes,
    written: Tape<String>,
    pid: Pid,
    ended: Tape<(ExitStatus, Instant)>,
}

type Modes = (InputModes, OutputModes, ControlModes, LocalModes);

impl Terminal {
    /// Starts it in a window of 80 columns and 24 rows.
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
        fcntl_setfd(&master, FdFlags::CLOEXEC).expect("it is open");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is new");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = open(name, flags, Mode::empty()).expect("it is unlocked");
        let stdio = || Stdio::from(slave.try_clone().expect("descriptors are free"));
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        command.env("TERM", "xterm-256color");
        resize_to(&slave, 80, 24);
        let before = modes(&slave);
        let child = command.spawn().expect("the binary can be started");
        drop(command); // with its copies of the slave
        let keyboard = File::from(master);
        let written = tape_of(keyboard.try_clone().expect("descriptors are free"));
        Self {
            keyboard,
            slave,
            before,
            written,
            pid: Pid::from_child(&child),
            ended: wait_in_thread(child),
        }
    }

    pub fn type_keys(&self, keys: &[u8]) {
        let typed = (&self.keyboard).write_all(keys);
        typed.expect("the terminal is open");
    }

    /// Gives the window another size. The kernel would tell only whom the terminal controls.
    pub fn resize(&self, columns: u16, rows: u16) {
        resize_to(&self.slave, columns, rows);
        self.signal(Signal::WINCH);
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("the process is ours and not yet reaped");
    }

    #[cfg(target_os = "linux")]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Frames drawn so far.
    pub fn n_frames(&self) -> usize {
        frames(&self.written.items()).len()
    }

    /// The first frame behind the first `n` of which this holds, row by row.
    #[track_caller]
    pub fn await_frame(
        &self,
        n: usize,
        awaited: &str,
        holds: impl Fn(&[String]) -> bool,
    ) -> Vec<String> {
        self.written.wait(awaited, |written| {
            let mut frames = frames(written).into_iter().skip(n);
            frames.find(|frame| holds(frame))
        })
    }

    /// Waits for a frame that shows all of these.
    #[track_caller]
    pub fn await_texts(&self, wanted: &[&str]) -> Vec<String> {
        self.await_frame(0, &format!("{wanted:?} in a frame"), |frame| {
            let shown = |text: &&str| frame.iter().any(|row| row.contains(*text));
            wanted.iter().all(shown)
        })
    }

    /// All that was written, controls included.
    pub fn text(&self) -> String {
        self.written.items().concat()
    }

    /// Whether the program has taken the terminal: keys come one by one, unseen.
    pub fn is_taken(&self) -> bool {
        let (_, _, _, local) = modes(&self.slave);
        !local.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Waits for the end, after which the terminal must be as it was: its modes, its first screen,
    /// its cursor, its wrapping of lines.
    #[track_caller]
    pub fn end(&self) -> ExitStatus {
        let Some((status, _)) = self.ended.first() else {
            panic!("awaited the end of the process, got {:?}", self.text());
        };
        self.assert_given_back();
        status
    }

    #[track_caller]
    pub fn assert_given_back(&self) {
        assert_eq!(modes(&self.slave), self.before, "{:?}", self.text());
        // The last bytes may still be under way to the reader.
        self.written.wait("the end of the other screen", |written| {
            let text = written.concat();
            let is_last = |on: &str, off: &str| text.rfind(on) <= text.rfind(off);
            let all = [("?1049h", "?1049l"), ("?25l", "?25h"), ("?7l", "?7h")];
            all.iter().all(|(on, off)| is_last(on, off)).then_some(())
        });
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.ended.len() == 0 {
            // It may end by itself at this very moment: nothing is left to do then.
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

fn modes(terminal: &OwnedFd) -> Modes {
    let modes = tcgetattr(terminal).expect("it is a terminal");
    (
        modes.input_modes,
        modes.output_modes,
        modes.control_modes,
        modes.local_modes,
    )
}

fn resize_to(terminal: &OwnedFd, columns: u16, rows: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("it is a terminal");
}

fn tape_of(mut master: File) -> Tape<String> {
    let tape = Tape::new();
    let filled = tape.clone();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        // An error: nobody has the other end open any more.
        while let Ok(n @ 1..) = master.read(&mut buffer) {
            // What the tests draw is ASCII: nothing is split.
            filled.push(String::from_utf8_lossy(&buffer[..n]).into_owned());
        }
        filled.end();
    });
    tape
}

/// The complete frames of what was written. Each begins and ends as a synchronized update does; its
/// rows are reached by moves of the cursor.
fn frames(written: &[String]) -> Vec<Vec<String>> {
    let text = written.concat();
    let begun = text.split("\x1b[?2026h").skip(1);
    begun
        .filter_map(|frame| frame.split_once("\x1b[?2026l"))
        .map(|(frame, _)| rows(frame))
        .collect()
}

fn rows(frame: &str) -> Vec<String> {
    let mut rows = Vec::new();
    for (idx, piece) in frame.split("\x1b[").enumerate() {
        let is_final = |letter: char| ('@'..='~').contains(&letter);
        let (code, text) = match piece.find(is_final) {
            Some(end) if idx > 0 => piece.split_at(end + 1),
            _ => ("", piece),
        };
        if let Some((row, _)) = code.split_once(';').filter(|_| code.ends_with('H')) {
            let row: usize = row.parse().expect("a row is a number");
            rows.resize(row, String::new());
        }
        if let Some(last) = rows.last_mut() {
            last.push_str(text);
        }
    }
    // The cursor goes below the last row to clear what is there.
    while rows.last().is_some_and(String::is_empty) {
        rows.pop();
    }
    rows
}
