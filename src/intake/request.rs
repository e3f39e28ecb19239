//! A client's request as the workers see it: the head, and how its content is framed.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::intake::Limit;
use crate::intake::fields::Fields;

/// The two versions that we serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunked content, and the connection closes unless asked not to.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl Version {
    /// As it stands in a start line.
    pub fn name(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }
}

/// How the content of a request is delimited (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentFraming {
    /// There is none.
    Empty,
    /// Content-Length with this value, which may be 0.
    Sized(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// The head of a client's request.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    /// The method as sent; methods are case-sensitive.
    pub method: Cow<'static, str>,
    /// The target as sent; after the check in origin-form or `*`.
    pub target: Vec<u8>,
    /// The version of the client's message.
    pub version: Version,
    /// All field lines as sent.
    pub fields: Fields,
    /// The one Host: of the target if that was in absolute-form, else of the field. None is
    /// possible in HTTP/1.0 only.
    pub host: Option<Vec<u8>>,
    /// The framing of the content; trustworthy after the check.
    pub framing: ContentFraming,
    /// The client waits for 100 (Continue) before it sends the content.
    pub expects_continue: bool,
    /// Whether the client lets the connection live after this exchange.
    pub keep_alive: bool,
    /// The client asks to speak another protocol from here on (RFC 9110 §7.8).
    pub upgrade: bool,
    /// Who sent it; none on a Unix socket.
    pub address: Option<IpAddr>,
}

impl ClientRequest {
    /// A request as tests want it: `METHOD /`, checked, without fields and content.
    #[cfg(test)]
    pub fn example(method: &str) -> ClientRequest {
        ClientRequest::stand_in(method, None)
    }

    /// In place of one that could not be read, to answer to.
    pub fn stand_in(method: &str, address: Option<IpAddr>) -> ClientRequest {
        ClientRequest {
            method: method_named(method),
            target: b"/".to_vec(),
            version: Version::Http11,
            fields: Fields::default(),
            host: None,
            framing: ContentFraming::Empty,
            expects_continue: false,
            keep_alive: true,
            upgrade: false,
            address,
        }
    }

    /// Memory that its parts hold, bytes.
    pub fn n_reserved(&self) -> usize {
        let host = self.host.as_ref().map_or(0, Vec::capacity);
        self.fields.n_reserved() + self.target.capacity() + host
    }

    /// Whether answers to it never have content.
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

/// A method. The common ones take no memory.
pub fn method_named(name: &str) -> Cow<'static, str> {
    const COMMON: [&str; 7] = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"];
    match COMMON.iter().find(|&&common| common == name) {
        Some(common) => Cow::Borrowed(common),
        None => Cow::Owned(name.to_owned()),
    }
}

/// Why a request is not forwarded, as it is told to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// One sentence for its content, and for the log.
    pub reason: &'static str,
    /// What it exceeded, if it is for that.
    pub limit: Option<Limit>,
}

impl Refusal {
    /// Not for a limit.
    pub const fn new(status: u16, reason: &'static str) -> Refusal {
        Refusal {
            status,
            reason,
            limit: None,
        }
    }
}
