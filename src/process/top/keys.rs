//! What is typed, told to the main thread: the body of the thread `keys`.
//!
//! It blocks in a read of the terminal, which nothing ends but a key or the end of the terminal: it
//! ends with the process.

use std::io;
use std::time::Duration;

use crossbeam_channel::Sender;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read};

use super::threads::News;
use crate::system::timespec;

const ESC: u8 = 0x1b;
/// What follows Esc within this time is what a special key sends, over a slow line too.
const ESC_PATIENCE: Duration = Duration::from_millis(100);

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Leave,
    Suspend,
    Redraw,
}

/// Reads keys until the terminal is closed or nobody hears any more.
pub fn run(tell: &Sender<News>) {
    let input = io::stdin();
    let mut buffer = [0; 64];
    let mut typed = Vec::new();
    loop {
        match read(&input, &mut buffer) {
            Err(Errno::INTR) => continue,
            Ok(0) | Err(_) => {
                let _ = tell.send(News::Key(Key::Leave)); // an error: it has been left
                return;
            }
            Ok(n) => typed.extend_from_slice(&buffer[..n]),
        }
        if typed.ends_with(&[ESC]) && is_more_coming(&input) {
            continue;
        }
        for key in keys(&typed) {
            if tell.send(News::Key(key)).is_err() {
                return;
            }
        }
        typed.clear();
    }
}

fn is_more_coming(input: &io::Stdin) -> bool {
    let mut input = [PollFd::new(input, PollFlags::IN)];
    // An error, a signal among them: it is taken for the key Esc.
    poll(&mut input, Some(&timespec(ESC_PATIENCE))).is_ok_and(|n| n > 0)
}

/// The meanings of what was typed. Special keys (Esc and more) have none.
fn keys(mut typed: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let [first, rest @ ..] = typed {
        typed = rest;
        match first {
            b'q' | b'Q' | 0x03 => keys.push(Key::Leave), // 3 is Ctrl-C
            0x1a => keys.push(Key::Suspend),             // Ctrl-Z
            0x0c => keys.push(Key::Redraw),              // Ctrl-L
            &ESC => match rest {
                [] => keys.push(Key::Leave),
                [b'[', parameters @ ..] => {
                    // ECMA-48: parameters, and a final byte from @ to ~.
                    let is_final = |byte: &u8| (b'@'..=b'~').contains(byte);
                    let end = parameters.iter().position(is_final);
                    typed = end.map_or(&[], |end| &parameters[end + 1..]);
                }
                [b'O', _, after @ ..] | [_, after @ ..] => typed = after,
            },
            _ => {}
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_control_c_leave_and_special_keys_do_not() {
        use Key::{Leave, Redraw, Suspend};
        let cases: [(&[u8], &[Key]); 12] = [
            (b"q", &[Leave]),
            (b"xQ", &[Leave]),
            (b"\x03", &[Leave]),
            (b"\x1b", &[Leave]),
            (b"\x1b[A\x1b", &[Leave]),
            (b"\x1a\x0c", &[Suspend, Redraw]),
            (b"\x1b[A", &[]),
            (b"\x1b[1;5Aq", &[Leave]),
            (b"\x1bOq", &[]),
            (b"\x1bq", &[]),
            (b"\x1b[", &[]),
            (b"abc \xc3\xa4", &[]),
        ];
        for (typed, wanted) in cases {
            assert_eq!(keys(typed), wanted, "{typed:?}");
        }
    }
}
