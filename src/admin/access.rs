//! Who may use the API: whoever has the token; and no page of a browser that comes from elsewhere.
//!
//! Where no token is asked for, reaching the socket is the permission: loopback and Unix sockets
//! only. A browser on the same machine reaches the loopback too, and runs pages of anybody. Such a
//! page is told by what browsers say of it (Origin, Sec-Fetch-Site); one whose own name was made to
//! point here (DNS rebinding) by that name, which stands in Host; and a form by its media type.

use std::fmt;
use std::fs;
use std::hint::black_box;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use log::warn;

use crate::admin::problem::Problem;
use crate::intake::{ClientRequest, ContentFraming};
use crate::system::plain;

/// No token is longer: the rest of the file would be something else.
const MAX_TOKEN: usize = 4096;

/// The secret that a client must show.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)") // it is for nobody's log
    }
}

impl Token {
    /// Reads a token from its file, without the blanks around it. Warns if others can read it too.
    pub fn read(path: &Path) -> Result<Token, String> {
        let name = path.display();
        let bad = |reason: &str| format!("token file {name}: {reason}");
        let text = fs::read_to_string(path).map_err(|e| bad(&plain(&e)))?;
        let token = Token::new(&text).map_err(bad)?;
        let mode = fs::metadata(path).map_or(0, |file| file.permissions().mode());
        if mode & 0o044 != 0 {
            warn!("{name}: others can read this token too: chmod 600 {name}");
        }
        Ok(token)
    }

    /// A token as it stands in a file.
    pub fn new(text: &str) -> Result<Token, &'static str> {
        let token = text.trim();
        if token.is_empty() {
            return Err("the token is empty");
        }
        if token.len() > MAX_TOKEN || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("the token is not one word of ASCII letters");
        }
        Ok(Token(token.to_owned()))
    }

    /// As a client shows it.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether it is this one, in a time that only tells its length.
    fn is(&self, shown: &[u8]) -> bool {
        let token = self.0.as_bytes();
        let differences = token.iter().zip(shown).fold(0, |sum, (a, b)| {
            // Or the compiler might see that one difference is enough.
            black_box(sum | (a ^ b))
        });
        token.len() == shown.len() && black_box(differences) == 0
    }
}

/// Checks a request's head; `token` is asked for if there is one.
pub fn check(request: &ClientRequest, token: Option<&Token>) -> Result<(), Problem> {
    // The page holds nothing but the question for the token.
    let is_for_page = request.target == b"/";
    if !(is_for_page && is_followed_link(request)) {
        check_origin(request)?;
    }
    match token {
        Some(_) if is_for_page => {}
        Some(token) => check_token(request, token)?,
        None => check_host(request)?,
    }
    check_media_type(request)
}

fn check_token(request: &ClientRequest, token: &Token) -> Result<(), Problem> {
    let mut shown = request.fields.all("Authorization");
    let (first, second) = (shown.next(), shown.next());
    let credentials = first.filter(|_| second.is_none()).and_then(bearer);
    if credentials.is_some_and(|credentials| token.is(credentials)) {
        return Ok(());
    }
    let detail = match first {
        None => "a token is needed: Authorization: Bearer TOKEN",
        Some(_) => "this is not the token",
    };
    Err(Problem::new(401, detail).with_field("WWW-Authenticate", "Bearer"))
}

/// RFC 6750 §2.1; the scheme's case is free (RFC 9110 §11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, credentials) = value.split_at_checked("Bearer ".len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer ");
    is_bearer.then(|| credentials.trim_ascii())
}

/// A name that is not ours means that a page of that name has led a browser here. A client without
/// Host (HTTP/1.0) is no browser.
fn check_host(request: &ClientRequest) -> Result<(), Problem> {
    let Some(host) = &request.host else {
        return Ok(());
    };
    if is_address_or_localhost(host) {
        return Ok(());
    }
    let host = host.escape_ascii();
    let detail = format!("Host {host} is no address and not localhost; names need a token");
    Err(Problem::new(421, detail))
}

fn is_address_or_localhost(authority: &[u8]) -> bool {
    let Ok(authority) = str::from_utf8(authority) else {
        return false;
    };
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => authority.split(':').next(),
    };
    host.is_some_and(|host| {
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
    })
}

/// A page of another origin says so: browsers do not let it leave these fields out.
fn check_origin(request: &ClientRequest) -> Result<(), Problem> {
    let is_ours = |origin: &[u8]| {
        let authority = origin.windows(3).position(|w| w == b"://");
        let authority = authority.map(|at| &origin[at + 3..]);
        let host = request.host.as_deref();
        authority.is_some_and(|a| host.is_some_and(|host| a.eq_ignore_ascii_case(host)))
    };
    let sites = request.fields.all("Sec-Fetch-Site");
    let is_near = |site: &[u8]| site == b"same-origin" || site == b"none";
    if request.fields.all("Origin").all(is_ours) && sites.into_iter().all(is_near) {
        return Ok(());
    }
    Err(Problem::new(
        403,
        "this comes from a page of another origin",
    ))
}

/// Whether somebody follows a link, which may stand on a page of any origin: that page sees nothing
/// of ours, which takes its place. A frame has another `Sec-Fetch-Dest`, and a form Origin.
fn is_followed_link(request: &ClientRequest) -> bool {
    let says = |name, wanted: &[u8]| request.fields.all(name).any(|value| value == wanted);
    request.method == "GET"
        && request.fields.all("Origin").next().is_none()
        && says("Sec-Fetch-Mode", b"navigate")
        && says("Sec-Fetch-Dest", b"document")
}

/// Only what no form can send. A media type without content is a form's as well.
fn check_media_type(request: &ClientRequest) -> Result<(), Problem> {
    let is_json = |value: &[u8]| {
        let media_type = value.split(|&b| b == b';').next().unwrap_or_default();
        media_type
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/json")
    };
    let mut media_types = request.fields.all("Content-Type").peekable();
    let is_missing = media_types.peek().is_none() && has_content(request);
    if !is_missing && media_types.all(is_json) {
        return Ok(());
    }
    Err(Problem::new(
        415,
        "content must be JSON, and say so: Content-Type: application/json",
    ))
}

/// Whether a request has content.
pub fn has_content(request: &ClientRequest) -> bool {
    let none = [ContentFraming::Empty, ContentFraming::Sized(0)];
    !none.contains(&request.framing)
}
