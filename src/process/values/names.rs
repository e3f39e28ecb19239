//! Names that we are given: of backends, pools, cookies and fields.

use crate::intake::fields::is_token;

/// Bytes of each.
const MAX_NAME: usize = 128;

/// The name of a cookie.
pub fn cookie(text: &str) -> Result<String, String> {
    check_length(text)?;
    token(text).ok_or_else(|| "want the name of a cookie, as in SRV".to_owned())
}

/// The name of a field of an answer.
pub fn field_name(text: &str) -> Result<String, String> {
    check_length(text)?;
    token(text).ok_or_else(|| "want the name of a field, as in X-Drain".to_owned())
}

fn token(text: &str) -> Option<String> {
    is_token(text.as_bytes()).then(|| text.to_owned())
}

/// The name of a backend.
pub fn backend_name(text: &str) -> Result<String, String> {
    check_length(text)?;
    let is_plain = |b: u8| b.is_ascii_graphic() && !b"\",\\".contains(&b);
    if !text.is_empty() && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("want a name without blanks and commas, as in web1".to_owned())
    }
}

/// A name that is too long is told so, and not what its letters should be.
fn check_length(name: &str) -> Result<(), String> {
    match name.len() {
        ..=MAX_NAME => Ok(()),
        n => Err(format!("want a name of {MAX_NAME} bytes at most, not {n}")),
    }
}

/// The name of a pool.
pub fn pool_name(text: &str) -> Result<String, String> {
    check_length(text)?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if !text.is_empty() && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("want a name of letters, digits, - and _, as in [pool.web]".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_is_told_the_limit() {
        let (most, one_more) = ("x".repeat(128), "x".repeat(129));
        for read in [backend_name, pool_name, cookie, field_name] {
            assert_eq!(read(&most), Ok(most.clone()));
            let wanted = "want a name of 128 bytes at most, not 129".to_owned();
            assert_eq!(read(&one_more), Err(wanted));
            assert!(read("").is_err() && read("a b").is_err());
        }
    }
}
