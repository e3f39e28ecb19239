//! How long an HTTP message is, for the programs of the bench: they look at nothing else of it.

/// The whole length of the message that begins here, or none while its head has not ended. A
/// message without Content-Length ends with its head: nothing in the bench sends chunks.
pub fn length_of(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    let mut end = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        end += line.len();
        if line == b"\r\n" {
            return Some(end + length);
        }
        length = content_length(line).unwrap_or(length);
    }
    None
}

fn content_length(line: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let (name, value) = line.split_at_checked(NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    str::from_utf8(value).ok()?.trim().parse().ok()
}
