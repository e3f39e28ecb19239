//! Percent-encoding (RFC 3986 §2.1), for names that stand in paths and as names of files.

/// Decodes every `%XX`; none if a percent sign has not two hexadecimal digits behind it.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            decoded.push(digit(digits[0])? << 4 | digit(digits[1])?);
            rest = tail;
        } else {
            decoded.push(first);
        }
    }
    Some(decoded)
}

/// Encodes a name for one segment of a path. The colon stays: names of backends have one, and a
/// person has to read it.
pub fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for &byte in name.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for half in [byte >> 4, byte & 15] {
                let digit = char::from_digit(half.into(), 16).expect("four bits are a digit");
                encoded.push(digit.to_ascii_uppercase());
            }
        }
    }
    encoded
}

fn digit(letter: u8) -> Option<u8> {
    let digit = char::from(letter).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_to_the_same() {
        let cases = [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("a/b c", "a%2Fb%20c"),
            ("[::1]:80/x", "%5B::1%5D:80%2Fx"),
            ("100%", "100%25"),
            ("\u{e9}", "%C3%A9"),
            ("", ""),
        ];
        for (name, wanted) in cases {
            assert_eq!(encode(name), wanted);
            assert_eq!(decode(wanted.as_bytes()), Some(name.as_bytes().to_vec()));
        }
        assert_eq!(decode(b"%2f%2F"), Some(b"//".to_vec()));
        for bad in ["%", "a%2", "%zz", "%+1"] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }
}
