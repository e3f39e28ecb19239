//! How an exchange ended, in words: who ended it, in which phase, and a short code for logs.

use crate::intake::{Limit as Exceeded, Refusal};

/// Who ended an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Nobody: it is complete.
    Nobody,
    /// The client.
    Client,
    /// A backend.
    Backend,
    /// This program.
    Us,
    /// One of the limits that the configuration sets.
    Limit,
}

impl By {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            By::Nobody => "nobody",
            By::Client => "client",
            By::Backend => "backend",
            By::Us => "us",
            By::Limit => "limit",
        }
    }
}

/// How an exchange ended. The order is that of the table, which says what each means.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    #[default]
    Answered,
    Tunnelled,
    Redirected,
    NoRoute,
    BadRequest,
    TooLarge,
    HeadTimeout,
    TooManyConnections,
    QueueFull,
    QueueTimeout,
    Stopping,
    BackendsBusy,
    BackendsFull,
    LongHaulFull,
    NobodyUp,
    Connect,
    NoMeans,
    ResponseTimeout,
    BackendBroke,
    BadAnswer,
    BadStatus,
    ContentBroke,
    ClientGone,
    ClientStalled,
    ClientBadContent,
    ClientContentTooLong,
    ClientUnread,
    Panicked,
}

/// What there is to say about a fate.
struct Row {
    fate: Fate,
    code: &'static str,
    by: By,
    phase: &'static str,
    name: &'static str,
    /// Of Proxy-Status; empty: there is none.
    proxy_error: &'static str,
    meaning: &'static str,
}

const fn row(
    fate: Fate,
    (code, name, proxy_error): (&'static str, &'static str, &'static str),
    by: By,
    phase: &'static str,
    meaning: &'static str,
) -> Row {
    Row {
        fate,
        code,
        by,
        phase,
        name,
        proxy_error,
        meaning,
    }
}

use By::{Backend, Client, Limit, Nobody, Us};

/// How many fates there are.
pub const N_FATES: usize = 28;

/// All of them, in the order of the enum.
#[rustfmt::skip]
const TABLE: [Row; N_FATES] = [
    row(Fate::Answered, ("OK", "answered", ""), Nobody, "none",
        "a backend's answer was passed on to its end"),
    row(Fate::Tunnelled, ("TU", "tunnel", ""), Nobody, "none",
        "it became a tunnel, which has ended"),
    row(Fate::Redirected, ("RD", "redirected", "proxy_internal_response"), Us, "none",
        "the client was sent to https, as its route says"),
    row(Fate::NoRoute, ("NR", "no_route", "destination_not_found"), Us, "none",
        "no route fits the host and path"),
    row(Fate::BadRequest, ("BR", "bad_request", "http_request_error"), Client, "head",
        "the request is malformed, or asks for what is not done here"),
    row(Fate::TooLarge, ("TL", "request_too_large", "http_request_error"), Limit, "head",
        "the target, the fields or the content are over their limit"),
    row(Fate::HeadTimeout, ("HT", "head_timeout", "http_request_error"), Limit, "head",
        "the request's head took too long"),
    row(Fate::TooManyConnections, ("TC", "too_many_connections", "http_request_denied"),
        Limit, "head", "the client has as many connections as it may"),
    row(Fate::QueueFull, ("QF", "queue_full", "proxy_internal_response"), Limit, "queue",
        "the queue was full"),
    row(Fate::QueueTimeout, ("QT", "queue_timeout", "proxy_internal_response"), Limit, "queue",
        "it waited too long for a worker"),
    row(Fate::Stopping, ("ST", "stopping", "proxy_internal_response"), Us, "queue",
        "this server is shutting down"),
    row(Fate::BackendsBusy, ("BB", "backends_busy", "connection_limit_reached"), Limit, "queue",
        "every backend that is up has its share of the workers"),
    row(Fate::BackendsFull, ("BF", "backends_full", "connection_limit_reached"), Limit, "queue",
        "every backend that is up has as many connections as it may"),
    row(Fate::LongHaulFull, ("LF", "long_haul_full", "proxy_internal_response"), Limit, "queue",
        "all long-haul threads are out"),
    row(Fate::NobodyUp, ("NB", "no_backend", "destination_unavailable"), Backend, "connect",
        "no backend is up"),
    row(Fate::Connect, ("CF", "connect_failed", "destination_unavailable"), Backend, "connect",
        "no backend could be connected to"),
    row(Fate::NoMeans, ("NM", "out_of_means", "proxy_internal_error"), Us, "connect",
        "this machine was out of descriptors or ports"),
    row(Fate::ResponseTimeout, ("RT", "response_timeout", "http_response_timeout"), Limit, "wait",
        "the backend did not answer in time"),
    row(Fate::BackendBroke, ("WB", "backend_broke", "connection_terminated"), Backend, "wait",
        "the backend broke off before its answer"),
    row(Fate::BadAnswer, ("BA", "bad_answer", "http_protocol_error"), Backend, "wait",
        "the backend's answer could not be understood"),
    row(Fate::BadStatus, ("BS", "bad_status", "destination_unavailable"), Backend, "wait",
        "the backend answered with a failure, and nobody else could be asked"),
    row(Fate::ContentBroke, ("CB", "content_broke", "http_response_incomplete"), Backend, "content",
        "the backend broke off inside its answer, which was cut short"),
    row(Fate::ClientGone, ("CG", "client_gone", ""), Client, "wait",
        "the client went away before its answer was complete"),
    row(Fate::ClientStalled, ("CS", "client_stalled", "http_request_error"), Limit, "send",
        "the client's content stalled, or came too slowly"),
    row(Fate::ClientBadContent, ("CM", "client_bad_content", "http_request_error"), Client, "send",
        "the client's content is malformed"),
    row(Fate::ClientContentTooLong, ("CL", "content_too_long", "http_request_error"), Limit, "send",
        "the client's content is over its limit"),
    row(Fate::ClientUnread, ("CW", "client_unread", ""), Client, "content",
        "the client went away, or stopped reading, inside its answer"),
    row(Fate::Panicked, ("PA", "panic", "proxy_internal_error"), Us, "none",
        "a worker panicked, which cost this one request"),
];

impl Fate {
    fn row(self) -> &'static Row {
        let row = &TABLE[self as usize];
        debug_assert!(row.fate == self, "the table has the order of the enum");
        row
    }

    /// Every fate.
    pub fn all() -> impl Iterator<Item = Fate> {
        TABLE.iter().map(|row| row.fate)
    }

    /// Two letters for logs. They never change their meaning.
    pub fn code(self) -> &'static str {
        self.row().code
    }

    /// One word for metrics.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The error type of Proxy-Status (RFC 9209 §2.3); none where nothing went wrong, or nobody is
    /// left to be told.
    pub fn proxy_error(self) -> Option<&'static str> {
        let error = self.row().proxy_error;
        (!error.is_empty()).then_some(error)
    }

    /// Who ended the exchange.
    pub fn by(self) -> By {
        self.row().by
    }

    /// In which phase: none, head, queue, connect, send, wait or content.
    pub fn phase(self) -> &'static str {
        self.row().phase
    }

    /// One sentence.
    pub fn meaning(self) -> &'static str {
        self.row().meaning
    }

    /// Of a request that was refused before it came to a queue.
    pub fn of_refusal(refusal: Refusal) -> Fate {
        let Some(limit) = refusal.limit else {
            return match refusal.status {
                408 => Fate::ClientStalled,
                500 => Fate::Panicked,
                _ => Fate::BadRequest,
            };
        };
        match limit {
            Exceeded::MaxTarget
            | Exceeded::MaxFields
            | Exceeded::MaxFieldsSize
            | Exceeded::MaxContent => Fate::TooLarge,
            Exceeded::HeaderTimeout => Fate::HeadTimeout,
            Exceeded::IdleTimeout | Exceeded::MinRate => Fate::ClientStalled,
            Exceeded::MaxConnectionsPerClient => Fate::TooManyConnections,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_table_has_each_fate_once_in_its_place_and_no_code_twice() {
        let all: Vec<Fate> = Fate::all().collect();
        for (idx, fate) in all.iter().enumerate() {
            assert_eq!(*fate as usize, idx, "{fate:?}");
            assert_eq!(fate.code().len(), 2, "{fate:?}");
            assert!(fate.code().bytes().all(|b| b.is_ascii_uppercase()));
        }
        assert_eq!(Fate::Panicked as usize + 1, N_FATES);
        let codes: HashSet<_> = all.iter().map(|fate| fate.code()).collect();
        let names: HashSet<_> = all.iter().map(|fate| fate.name()).collect();
        assert_eq!((codes.len(), names.len()), (N_FATES, N_FATES));
    }

    #[test]
    fn the_readme_has_the_same_table() {
        let readme = include_str!("../../README.md");
        for fate in Fate::all() {
            let (code, name, meaning) = (fate.code(), fate.name(), fate.meaning());
            let (by, phase) = (fate.by().name(), fate.phase());
            let error = fate.proxy_error().map(|error| format!("`{error}`"));
            let error = error.unwrap_or_default();
            let row = format!("| {code} | `{name}` | {by} | {phase} | {meaning} | {error} |");
            assert!(readme.contains(&row), "{row}");
        }
    }
}
