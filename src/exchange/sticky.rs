//! By which cookie a client stays with its backend.
//!
//! Its value is the backend's token, which the pool makes (`pool/sticky.rs`).

use std::io::Write as _;

use crate::exchange::key::cookie;
use crate::intake::ClientRequest;
use crate::pool::Sticky;

/// The token that a client brings; none if it brings none, or something else by that name.
pub fn token_of(request: &ClientRequest, cookie_name: &str) -> Option<u64> {
    parse_token(cookie(request, cookie_name)?)
}

/// Reads 16 hexadecimal digits in lower case, and nothing else.
fn parse_token(value: &[u8]) -> Option<u64> {
    let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if value.len() != 16 || !value.iter().all(is_digit) {
        return None;
    }
    u64::from_str_radix(str::from_utf8(value).ok()?, 16).ok()
}

/// The value of the Set-Cookie line by which a client will bring this token.
///
/// No script needs it (`HttpOnly`), and other sites' requests bring it only where they lead to a
/// page (`SameSite=Lax`).
pub fn set_cookie(sticky: &Sticky, token: u64) -> Vec<u8> {
    let name = &sticky.cookie;
    let mut value = format!("{name}={token:016x}; Path=/; HttpOnly; SameSite=Lax").into_bytes();
    if let Some(max_age) = sticky.max_age {
        write!(value, "; Max-Age={}", max_age.as_secs()).expect("a Vec takes any bytes");
    }
    if sticky.is_secure {
        value.extend_from_slice(b"; Secure");
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    use crate::intake::fields::Fields;

    fn sticky(max_age: Option<u64>, is_secure: bool) -> Sticky {
        Sticky {
            cookie: "stay".to_owned(),
            secret: None,
            max_age: max_age.map(Duration::from_secs),
            is_secure,
        }
    }

    #[test]
    fn a_client_brings_back_what_it_was_given() {
        for token in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            let given = set_cookie(&sticky(None, false), token);
            let pair = given.split(|&b| b == b';').next().expect("there is one");
            let mut fields = Fields::default();
            fields.push(b"Cookie", &[b"a=1; ", pair, b"; b=2"].concat());
            let request = ClientRequest {
                fields,
                ..ClientRequest::example("GET")
            };
            assert_eq!(token_of(&request, "stay"), Some(token));
            assert_eq!(token_of(&request, "a"), None);
            assert_eq!(token_of(&request, "other"), None);
        }
        for bad in [
            "",
            "0",
            "0123456789ABCDEF",
            "+123456789abcdef",
            "0123456789abcdef0",
            "0123456789abcdeg",
            "\"0123456789abcdef\"",
        ] {
            assert_eq!(parse_token(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_cookie_says_how_long_and_over_what() {
        let start = "stay=00000000000000ff; Path=/; HttpOnly; SameSite=Lax";
        for (max_age, is_secure, end) in [
            (None, false, ""),
            (Some(3600), false, "; Max-Age=3600"),
            (None, true, "; Secure"),
            (Some(0), true, "; Max-Age=0; Secure"),
        ] {
            let value = set_cookie(&sticky(max_age, is_secure), 255);
            assert_eq!(String::from_utf8_lossy(&value), format!("{start}{end}"));
        }
    }
}
