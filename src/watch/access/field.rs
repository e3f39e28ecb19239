//! What the access log can tell of a request.

use std::time::Instant;

use crate::intake::ClientRequest;
use crate::watch::access::clock::Stamp;
use crate::watch::access::value::{Value, foreign};
use crate::watch::fate::By;
use crate::watch::{Attempt, Fate, Story};

/// What there is to tell of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Time,
    ClfTime,
    Client,
    Request,
    Method,
    Target,
    Version,
    Host,
    Status,
    BytesIn,
    BytesOut,
    ContentOut,
    TotalMs,
    QueueMs,
    ConnectMs,
    FirstByteMs,
    Pool,
    Backend,
    Retries,
    Fate,
    Cause,
    RequestId,
    Traceparent,
    Referer,
    UserAgent,
}

impl Field {
    /// All, in the order in which JSON has them.
    pub const ALL: [Field; 25] = [
        Field::Time,
        Field::ClfTime,
        Field::Client,
        Field::Request,
        Field::Method,
        Field::Target,
        Field::Version,
        Field::Host,
        Field::Status,
        Field::BytesIn,
        Field::BytesOut,
        Field::ContentOut,
        Field::TotalMs,
        Field::QueueMs,
        Field::ConnectMs,
        Field::FirstByteMs,
        Field::Pool,
        Field::Backend,
        Field::Retries,
        Field::Fate,
        Field::Cause,
        Field::RequestId,
        Field::Traceparent,
        Field::Referer,
        Field::UserAgent,
    ];

    /// As templates and JSON have it.
    pub fn name(self) -> &'static str {
        match self {
            Field::Time => "time",
            Field::ClfTime => "clf_time",
            Field::Client => "client",
            Field::Request => "request",
            Field::Method => "method",
            Field::Target => "target",
            Field::Version => "version",
            Field::Host => "host",
            Field::Status => "status",
            Field::BytesIn => "bytes_in",
            Field::BytesOut => "bytes_out",
            Field::ContentOut => "content_out",
            Field::TotalMs => "total_ms",
            Field::QueueMs => "queue_ms",
            Field::ConnectMs => "connect_ms",
            Field::FirstByteMs => "first_byte_ms",
            Field::Pool => "pool",
            Field::Backend => "backend",
            Field::Retries => "retries",
            Field::Fate => "fate",
            Field::Cause => "cause",
            Field::RequestId => "request_id",
            Field::Traceparent => "traceparent",
            Field::Referer => "referer",
            Field::UserAgent => "user_agent",
        }
    }

    /// The one of this name.
    pub fn of_name(name: &str) -> Option<Field> {
        Field::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// A request that is over.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// What became of it.
    pub story: &'a Story,
    /// What it was; none if it could not be read. Then the story's line has what came of it.
    pub request: Option<&'a ClientRequest>,
    /// When it ended.
    pub stamp: &'a Stamp,
}

impl<'a> Entry<'a> {
    /// What a field says of it.
    pub fn value(&self, field: Field) -> Value<'a> {
        let story = self.story;
        let last = story.attempts.last();
        match field {
            Field::Time => Value::Own(&self.stamp.rfc3339),
            Field::ClfTime => Value::Own(&self.stamp.clf),
            Field::Client => {
                let client = self.request.map_or(story.client, |request| request.address);
                client.map_or(Value::Nothing, Value::Address)
            }
            Field::Request | Field::Method | Field::Target | Field::Version | Field::Host => {
                self.of_request(field)
            }
            Field::Status => Value::Status(story.status, story.fate.by()),
            Field::BytesIn => Value::Number(story.bytes_in),
            Field::BytesOut => Value::Number(story.bytes_out),
            Field::ContentOut => Value::Number(story.bytes_out.saturating_sub(story.head_out)),
            Field::TotalMs => Value::Time(story.ended - story.queued),
            Field::QueueMs => Value::Time(story.begun - story.queued),
            Field::ConnectMs => since_pick(last, |attempt| {
                attempt.connected.filter(|_| !attempt.is_reused)
            }),
            Field::FirstByteMs => since_pick(last, |attempt| attempt.first_byte),
            Field::Pool if story.has_pool => Value::Own(&story.pool),
            Field::Pool => Value::Nothing,
            Field::Backend => {
                let backend = last.and_then(|attempt| attempt.backend.as_ref());
                backend.map_or(Value::Nothing, |backend| Value::Own(&backend.name))
            }
            Field::Retries => Value::Number(story.n_attempts.saturating_sub(1)),
            Field::Fate => Value::Own(story.fate.code()),
            Field::Cause => cause(story),
            Field::RequestId => foreign(story.request_id()),
            Field::Traceparent => self.of_field("traceparent"),
            Field::Referer => self.of_field("referer"),
            Field::UserAgent => self.of_field("user-agent"),
        }
    }

    fn of_request(&self, field: Field) -> Value<'a> {
        let Some(request) = self.request else {
            return match field {
                Field::Request => foreign(Some(&self.story.line)),
                _ => Value::Nothing,
            };
        };
        let method = request.method.as_bytes();
        let version = request.version.name();
        match field {
            Field::Method => foreign(Some(method)),
            Field::Target => foreign(Some(&request.target)),
            Field::Version => Value::Own(version),
            Field::Host => foreign(request.host.as_deref()),
            _ => Value::Foreign([method, b" ", &request.target, b" ", version.as_bytes()]),
        }
    }

    fn of_field(&self, name: &'static str) -> Value<'a> {
        foreign(
            self.request
                .and_then(|request| request.fields.all(name).next()),
        )
    }
}

fn since_pick(attempt: Option<&Attempt>, at: impl Fn(&Attempt) -> Option<Instant>) -> Value<'_> {
    let took = attempt.and_then(|attempt| Some(at(attempt)? - attempt.picked));
    took.map_or(Value::Nothing, Value::Time)
}

/// Why it failed: the reason of the last failure, or what its fate means.
fn cause(story: &Story) -> Value<'_> {
    let is_failure = story.fate.by() != By::Nobody && story.fate != Fate::Redirected;
    match story.cause.as_str() {
        "" if is_failure => Value::Own(story.fate.meaning()),
        "" => Value::Nothing,
        cause => Value::Own(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_has_its_name_and_is_found_by_it() {
        for (idx, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, idx);
            assert_eq!(Field::of_name(field.name()), Some(field));
        }
        assert_eq!(Field::of_name("x"), None);
    }
}
