//! What a route changes in the fields of a message, ready to be applied.
//!
//! Pure. The fields that frame a message or belong to one connection are nobody's to change: a
//! backend that read another length than we wrote would take content for a second request.

use crate::exchange::fields::is_hop_by_hop;
use crate::exchange::forwarded::is_spelt_like;
use crate::exchange::route::FieldEdits;
use crate::intake::fields::{is_token, is_value, write_line};

/// Edits that were checked. By default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Lines of these names don't pass.
    dropped: Vec<Vec<u8>>,
    /// The lines that are written, as they are sent.
    lines: Vec<u8>,
    /// The Host of a request. It stands where the client's does: there is exactly one.
    host: Option<Vec<u8>>,
}

/// Whether lines of this name may be changed at all.
pub fn is_editable(name: &str) -> bool {
    let is_framing = ["content-length", "expect"]
        .iter()
        .any(|other| name.eq_ignore_ascii_case(other));
    is_token(name.as_bytes()) && !is_framing && !is_hop_by_hop(name.as_bytes())
}

impl FieldEdits {
    /// Says what is wrong with one of them.
    pub fn check(&self) -> Result<(), String> {
        let names = self.set.iter().map(|(name, _)| name);
        for name in self.remove.iter().chain(names) {
            if !is_token(name.as_bytes()) {
                return Err(format!("field {name:?}: not a name"));
            }
            if !is_editable(name) {
                return Err(format!(
                    "field {name}: frames the message, can't be changed"
                ));
            }
        }
        if self.remove.iter().any(|name| is_host(name)) {
            return Err("field Host: can be set, not removed".to_owned());
        }
        for (name, value) in &self.set {
            if !is_value(value.as_bytes()) || value.trim_ascii() != value {
                return Err(format!("field {name}: {value:?} is not a value"));
            }
        }
        Ok(())
    }
}

impl Edits {
    /// Of edits that passed [`FieldEdits::check`]; one that would not is left out.
    pub fn new(edits: &FieldEdits) -> Edits {
        let mut new = Edits::default();
        for (name, value) in &edits.set {
            let is_good = is_editable(name) && is_value(value.as_bytes());
            if is_good && is_host(name) {
                new.host = Some(value.as_bytes().to_vec());
            } else if is_good {
                write_line(&mut new.lines, name.as_bytes(), value.as_bytes());
                new.drop_lines_of(name);
            }
        }
        for name in &edits.remove {
            if is_editable(name) && !is_host(name) {
                new.drop_lines_of(name);
            }
        }
        new
    }

    fn drop_lines_of(&mut self, name: &str) {
        if !self.drops(name.as_bytes()) {
            self.dropped.push(name.as_bytes().to_vec());
        }
    }

    /// Whether lines of this name don't pass, or of one that some backends read as the same:
    /// who trusts a field that we set must not get a client's instead.
    pub fn drops(&self, name: &[u8]) -> bool {
        self.dropped.iter().any(|other| is_spelt_like(name, other))
    }

    /// The lines that are written behind all others.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// The Host of a request, if that is changed.
    pub fn host(&self) -> Option<&[u8]> {
        self.host.as_deref()
    }
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host")
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::exchange::fields::{
        Added, Changes, Length, write_request_fields, write_response_fields,
    };
    use crate::intake::ClientRequest;
    use crate::intake::fields::Fields;

    fn edits(remove: &[&str], set: &[(&str, &str)]) -> FieldEdits {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        FieldEdits {
            remove: remove.iter().map(|&name| name.to_owned()).collect(),
            set: set.iter().map(owned).collect(),
        }
    }

    fn requested(lines: &[(&str, &str)], is_trusted: bool, edits: &FieldEdits) -> String {
        assert_eq!(edits.check(), Ok(()));
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let host = fields.all("Host").next().map(<[u8]>::to_vec);
        let request = ClientRequest {
            host,
            address: Some("192.0.2.1".parse().expect("an address")),
            fields,
            ..ClientRequest::example("GET")
        };
        let added = Added {
            is_trusted,
            edits: Some(&Edits::new(edits)),
            ..Added::plain(Length::Sized(1), "backend:81")
        };
        let mut out = Vec::new();
        write_request_fields(&mut out, &request, &added);
        String::from_utf8_lossy(&out).replace('\r', "")
    }

    const OURS: &str = "X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: http\nX-Forwarded-Host: a\n";

    #[test]
    fn what_is_removed_or_set_does_not_pass_and_what_is_set_stands_once_at_the_end() {
        let lines = [
            ("Host", "a"),
            ("x-one", "1"),
            ("X-Two", "2"),
            ("X-ONE", "3"),
            ("Content-Length", "1"),
            ("X_Two", "forged"),
            ("Connection", "X-Two"),
        ];
        let edits = edits(&["X-One", "x-none"], &[("X-Two", "b"), ("x-three", "")]);
        let wanted = format!("Host: a\nContent-Length: 1\n{OURS}X-Two: b\nx-three: \n\n");
        assert_eq!(requested(&lines, false, &edits), wanted);
    }

    #[test]
    fn a_host_is_set_in_its_place() {
        let edits = edits(&[], &[("host", "inner")]);
        let wanted = format!("X: 1\nHOST: inner\nContent-Length: 1\n{OURS}\n");
        assert_eq!(
            requested(&[("X", "1"), ("HOST", "a")], false, &edits),
            wanted
        );
        let wanted = "Host: inner\nContent-Length: 1\nX-Forwarded-For: 192.0.2.1\n\
                      X-Forwarded-Proto: http\n\n";
        assert_eq!(requested(&[], false, &edits), wanted);
    }

    #[test]
    fn the_last_word_on_where_a_request_came_from_is_the_edits() {
        let lines = [
            ("Host", "a"),
            ("X-Forwarded-For", "203.0.113.9"),
            ("X-Forwarded-Proto", "http"),
            ("X-Forwarded-Host", "b"),
        ];
        let edits = edits(
            &["x-forwarded-for", "X-Forwarded-Host"],
            &[("X-Forwarded-Proto", "https")],
        );
        let wanted = "Host: a\nContent-Length: 1\nX-Forwarded-Proto: https\n\n";
        for is_trusted in [false, true] {
            assert_eq!(requested(&lines, is_trusted, &edits), wanted);
        }
    }

    #[test]
    fn responses_are_edited_and_a_cookie_of_ours_is_not() {
        let lines = [("Server", "x"), ("A", "1"), ("Set-Cookie", "theirs")];
        let lines = lines.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
        let edits = edits(&["server", "Set-Cookie"], &[("A", "2"), ("a", "3")]);
        let changes = Changes {
            edits: Some(&Edits::new(&edits)),
            set_cookie: Some(b"ours"),
            request_id: None,
            proxy_status: None,
        };
        let mut out = Vec::new();
        write_response_fields(&mut out, lines, Length::Sized(0), false, &changes);
        let wanted = "Content-Length: 0\r\nA: 2\r\na: 3\r\nSet-Cookie: ours\r\n";
        assert_eq!(String::from_utf8_lossy(&out), wanted);
    }

    #[test]
    fn what_frames_a_message_is_nobodys_to_change() {
        let names = [
            "Content-Length",
            "transfer-encoding",
            "Connection",
            "Upgrade",
            "Keep-Alive",
            "Proxy-Connection",
            "TE",
            "Trailer",
            "Expect",
            "a b",
            "",
            "a:",
        ];
        for name in names {
            for edits in [edits(&[name], &[]), edits(&[], &[(name, "1")])] {
                assert!(edits.check().is_err(), "{name}");
                assert_eq!(Edits::new(&edits), Edits::default(), "{name}");
            }
        }
        assert!(edits(&["Host"], &[]).check().is_err());
        for value in ["a\r\nb: c", "\0", " a", "a\t"] {
            assert!(edits(&[], &[("X", value)]).check().is_err(), "{value:?}");
        }
        let injected = edits(&[], &[("X", "a\r\nb: c")]);
        assert_eq!(Edits::new(&injected).lines(), b"");
    }
}
