//! How what the access log tells is written, so that no client can forge a line.
//!
//! Pure. Bytes of clients are escaped one by one: control bytes, quotes, backslashes and whatever
//! is not ASCII become `\xHH`, in JSON `\u00HH`.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use crate::decimal::{push_address, push_number};
use crate::watch::fate::By;

/// What a field says.
pub enum Value<'a> {
    Nothing,
    Number(u64),
    Time(Duration),
    /// Words of ours.
    Own(&'a str),
    /// What came from outside: pieces that belong together.
    Foreign([&'a [u8]; 5]),
    Address(IpAddr),
    /// The status of an answer, or of what was none: for whose sake.
    Status(u16, By),
}

/// What came from outside; empty is nothing.
pub fn foreign(bytes: Option<&[u8]>) -> Value<'_> {
    match bytes {
        Some(bytes) if !bytes.is_empty() => Value::Foreign([bytes, b"", b"", b"", b""]),
        _ => Value::Nothing,
    }
}

/// Writes a value into a line of text.
pub fn write_text(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Nothing => out.push(b'-'),
        Value::Own(text) => escape(out, text.as_bytes(), b"\\x"),
        Value::Foreign(pieces) => {
            for piece in pieces {
                escape(out, piece, b"\\x");
            }
        }
        Value::Address(address) => push_address(out, *address),
        Value::Status(0, By::Client) => out.extend_from_slice(b"499"),
        Value::Status(0, _) => out.extend_from_slice(b"000"),
        Value::Status(status, _) => push_number(out, (*status).into()),
        Value::Number(n) => push_number(out, *n),
        Value::Time(time) => write_ms(out, *time),
    }
}

/// Writes a value of JSON.
pub fn write_json(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Nothing => out.extend_from_slice(b"null"),
        Value::Status(status, _) => push_number(out, (*status).into()),
        Value::Number(n) => push_number(out, *n),
        Value::Time(time) => write_ms(out, *time),
        Value::Own(text) => {
            out.push(b'"');
            escape_own(out, text);
            out.push(b'"');
        }
        Value::Foreign(pieces) => {
            out.push(b'"');
            for piece in pieces {
                escape(out, piece, b"\\u00");
            }
            out.push(b'"');
        }
        Value::Address(address) => {
            out.push(b'"');
            push_address(out, *address);
            out.push(b'"');
        }
    }
}

const TAKES: &str = "a Vec takes any bytes";

/// Milliseconds, to the microsecond.
fn write_ms(out: &mut Vec<u8>, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    push_number(out, micros / 1000);
    let rest = micros % 1000;
    let digit = |n: u64| b'0' + (n % 10) as u8;
    out.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// Writes bytes; of each that is not plain its number, behind this.
fn escape(out: &mut Vec<u8>, mut bytes: &[u8], before: &[u8]) {
    while let Some(at) = bytes.iter().position(|&byte| !is_plain(byte)) {
        out.extend_from_slice(&bytes[..at]);
        out.extend_from_slice(before);
        write!(out, "{:02X}", bytes[at]).expect(TAKES);
        bytes = &bytes[at + 1..];
    }
    out.extend_from_slice(bytes);
}

/// The same for a text of ours in JSON, where letters beyond ASCII stand as they are.
fn escape_own(out: &mut Vec<u8>, text: &str) {
    // Most are.
    if text.bytes().all(is_plain) {
        return out.extend_from_slice(text.as_bytes());
    }
    for letter in text.chars() {
        if letter.is_control() || matches!(letter, '"' | '\\') {
            write!(out, "\\u{:04X}", u32::from(letter)).expect(TAKES);
        } else {
            out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_of_a_client_ends_a_line_or_a_quote_or_commands_a_terminal() {
        for byte in 0..=255_u8 {
            let bytes = [b'a', byte, b'b'];
            let mut text = Vec::new();
            write_text(&mut text, &foreign(Some(&bytes)));
            assert!(text.iter().all(|b| (b' '..=b'~').contains(b)), "{text:?}");
            assert!(!text.contains(&b'"'), "{text:?}");
            let wanted = match byte {
                b' '..=b'~' if byte != b'"' && byte != b'\\' => format!("a{}b", char::from(byte)),
                _ => format!("a\\x{byte:02X}b"),
            };
            assert_eq!(String::from_utf8_lossy(&text), wanted);
            let mut json = Vec::new();
            write_json(&mut json, &foreign(Some(&bytes)));
            assert!(json.iter().all(|b| (b' '..=b'~').contains(b)), "{json:?}");
            let read: String = serde_json::from_slice(&json).expect("it is JSON");
            assert_eq!(read, format!("a{}b", char::from(byte)));
        }
    }

    #[test]
    fn words_of_ours_are_json_whatever_they_are() {
        for own in ["", "plain", "→ \"ä\" \\ \u{9b}2J\n\u{7f}", "\u{1f980}"] {
            let mut json = Vec::new();
            write_json(&mut json, &Value::Own(own));
            let text = String::from_utf8(json).expect("it is UTF-8");
            assert!(!text.contains(char::is_control), "{text}");
            assert_eq!(
                serde_json::from_str::<String>(&text).expect("it is JSON"),
                own
            );
        }
    }

    #[test]
    fn what_there_is_none_of_is_a_hyphen_or_null_and_times_have_microseconds() {
        let cases = [
            (Value::Nothing, "-", "null"),
            (Value::Number(7), "7", "7"),
            (Value::Time(Duration::from_micros(0)), "0.000", "0.000"),
            (
                Value::Time(Duration::from_micros(12_034)),
                "12.034",
                "12.034",
            ),
            (Value::Status(200, By::Nobody), "200", "200"),
            (Value::Status(0, By::Client), "499", "0"),
            (Value::Status(0, By::Us), "000", "0"),
            (foreign(Some(b"")), "-", "null"),
        ];
        for (value, text, json) in cases {
            let (mut as_text, mut as_json) = (Vec::new(), Vec::new());
            write_text(&mut as_text, &value);
            write_json(&mut as_json, &value);
            assert_eq!(String::from_utf8_lossy(&as_text), text);
            assert_eq!(String::from_utf8_lossy(&as_json), json);
        }
    }
}
