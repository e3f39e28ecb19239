//! What a request is called on its way: X-Request-Id, by which people find it in several logs.
//!
//! One that a client may choose is kept if it is sane; any other is made. It goes to the backend
//! and back to the client, once each, whatever was said of it there.

use std::hash::Hasher;
use std::io::Write as _;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::exchange::forwarded::is_spelt_like;
use crate::exchange::{Exchanger, Settings};
use crate::intake::ClientRequest;
use crate::intake::fields::write_line;
use crate::system::draw_key;

/// The field.
pub const NAME: &str = "X-Request-Id";

/// Bytes of an id that is kept.
const MAX_ID: usize = 128;

/// Whose ids count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestIds {
    /// There are none: the field is like any other.
    #[default]
    Off,
    /// Ours alone.
    Make,
    /// Those of trusted proxies, and ours for anyone else.
    Trusted,
    /// Everyone's, and ours for those who have none.
    Keep,
}

impl RequestIds {
    /// All, in the order in which they are told.
    pub const ALL: [RequestIds; 4] = [
        RequestIds::Off,
        RequestIds::Make,
        RequestIds::Trusted,
        RequestIds::Keep,
    ];

    /// As the option has it.
    pub fn word(self) -> &'static str {
        match self {
            RequestIds::Off => "off",
            RequestIds::Make => "make",
            RequestIds::Trusted => "trusted",
            RequestIds::Keep => "keep",
        }
    }
}

/// Whether a name is that of the field to some backend.
pub fn is_request_id(name: &[u8]) -> bool {
    is_spelt_like(name, NAME.as_bytes())
}

/// Whether an id can stand in a log, a path and a shell as it is.
pub fn is_sane(id: &[u8]) -> bool {
    let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=:@".contains(byte);
    (1..=MAX_ID).contains(&id.len()) && id.iter().all(is_good)
}

/// The client's own id: the one line there is of it.
fn of_client(request: &ClientRequest) -> Option<&[u8]> {
    let mut lines = request.fields.iter();
    let (_, id) = lines.find(|(name, _)| is_request_id(name))?;
    let is_alone = !lines.any(|(name, _)| is_request_id(name));
    (is_alone && is_sane(id)).then_some(id)
}

/// Names the requests of one thread, without asking another's.
#[derive(Default)]
pub struct Namer {
    /// A key that nobody knows, and how many ids were made with it. None until the first.
    made: Option<([u8; 16], u64)>,
}

impl Namer {
    /// Writes the id that a request has, or now gets; nothing where there are none.
    pub fn name(&mut self, settings: &Settings, request: &ClientRequest, id: &mut Vec<u8>) {
        let is_kept = match settings.request_ids {
            RequestIds::Off => return,
            RequestIds::Make => false,
            RequestIds::Trusted => settings.trust.covers(request.address),
            RequestIds::Keep => true,
        };
        match of_client(request).filter(|_| is_kept) {
            Some(theirs) => id.extend_from_slice(theirs),
            None => self.make(id),
        }
    }

    /// 32 hexadecimal digits: a hash of the count under the key, so that two are the same, in this
    /// thread, another or after a restart, with a probability that is not worth a thought, and that
    /// nobody can tell the next from the last.
    fn make(&mut self, id: &mut Vec<u8>) {
        let (key, n) = self.made.get_or_insert_with(|| (draw_key(), 0));
        let mut hasher = SipHasher13::new_with_key(key);
        hasher.write_u64(*n);
        *n += 1;
        let hash = hasher.finish128().as_u128();
        write!(id, "{hash:032x}").expect("a Vec takes any bytes");
    }
}

/// Writes the field, if there is an id.
pub fn write(out: &mut Vec<u8>, id: Option<&[u8]>) {
    if let Some(id) = id {
        write_line(out, NAME.as_bytes(), id);
    }
}

impl Exchanger<'_> {
    /// The exchange gets its id.
    pub(super) fn name(&mut self, request: &ClientRequest) {
        let id = &mut self.story.request_id;
        self.namer.name(&self.settings, request, id);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::exchange::{Timeouts, Trust};
    use crate::intake::fields::Fields;

    fn named(rule: RequestIds, lines: &[(&str, &str)]) -> String {
        let minute = Duration::from_secs(60);
        let settings = Settings {
            request_ids: rule,
            trust: Arc::new(Trust::parse_member("10.0.0.1").expect("an address")),
            ..Settings::example(Timeouts {
                connect: minute,
                response: minute,
                idle: minute,
            })
        };
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let is_proxy = fields.all("From-Proxy").next().is_some();
        let address = if is_proxy { "10.0.0.1" } else { "10.0.0.2" };
        let request = ClientRequest {
            fields,
            address: address.parse().ok(),
            ..ClientRequest::example("GET")
        };
        let mut id = Vec::new();
        Namer::default().name(&settings, &request, &mut id);
        String::from_utf8(id).expect("ids are ASCII")
    }

    fn is_made(id: &str) -> bool {
        id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())
    }

    #[test]
    fn an_id_is_kept_from_those_who_may_choose_it_and_made_otherwise() {
        use RequestIds::{Keep, Make, Off, Trusted};
        let theirs = [("x-request-id", "a-1")];
        let of_proxy = [("From-Proxy", ""), ("X-Request-ID", "a-1")];
        for (rule, by_client, by_proxy) in [
            (Make, false, false),
            (Trusted, false, true),
            (Keep, true, true),
        ] {
            for (lines, is_kept) in [(&theirs[..], by_client), (&of_proxy[..], by_proxy)] {
                let id = named(rule, lines);
                assert_eq!((id == "a-1", is_made(&id)), (is_kept, !is_kept), "{rule:?}");
            }
            assert!(is_made(&named(rule, &[])));
        }
        assert_eq!(named(Off, &theirs), "");
    }

    #[test]
    fn what_could_forge_a_log_or_is_there_twice_is_replaced() {
        let long = "x".repeat(MAX_ID);
        let longer = "x".repeat(MAX_ID + 1);
        for good in ["0", "f81d4fae-7dec-11d0", "a.b_c~d+e/f=:@", &long] {
            assert_eq!(named(RequestIds::Keep, &[("X-Request-Id", good)]), good);
        }
        for bad in [
            "", "a b", "a\"", "a\\", "a,b", "\u{e9}", "a\u{7f}", "{", &longer,
        ] {
            let id = named(RequestIds::Keep, &[("X-Request-Id", bad)]);
            assert!(is_made(&id), "{bad:?}: {id}");
        }
        for other in ["X-Request-Id", "x_request_id"] {
            let twice = [("X-Request-Id", "a"), (other, "b")];
            assert!(is_made(&named(RequestIds::Keep, &twice)), "{other}");
        }
    }

    #[test]
    fn no_id_is_made_twice_not_even_by_another_thread() {
        let (mut one, mut other) = (Namer::default(), Namer::default());
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            for namer in [&mut one, &mut other] {
                let mut id = Vec::new();
                namer.make(&mut id);
                assert!(seen.insert(id));
            }
        }
    }
}
