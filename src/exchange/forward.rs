//! One attempt: a request to one backend, up to the head of its answer.

use std::sync::Arc;
use std::time::Duration;

use ureq::http::{HeaderValue, Method, Request, Response, Uri, header};
use ureq::{Agent, Body, BodyReader, SendBody};

use crate::exchange::buffers::MAX_RESPONSE_HEAD;
use crate::exchange::connect::{NoResolver, WireConnector};
use crate::exchange::content::Content;
use crate::exchange::desk::{Desk, Phase, Source};
use crate::exchange::fields::{self, Length};
use crate::exchange::retry::Failure;
use crate::exchange::upload::Upload;
use crate::intake::{Client, ClientRequest};
use crate::pool::Backend;
use crate::system;

/// Bounds on the steps of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For connecting, over all addresses of a backend.
    pub connect: Duration,
    /// From the end of the request to the end of the answer's head.
    pub response: Duration,
    /// For one stall inside a message.
    pub idle: Duration,
}

/// A worker's ureq, and what it shares with the transport under it.
pub struct Forwarder {
    agent: Agent,
    desk: Arc<Desk>,
    idle_timeout: Duration,
    /// ureq wants a URI. Its parts never reach the wire.
    uri: Uri,
}

/// An answer whose head has come.
pub struct BackendResponse {
    /// The head as received, status line and all.
    pub head: Vec<u8>,
    /// The content behind it, decoded.
    pub content: BodyReader<'static>,
    /// How many bytes of it (or of its framing) are here already.
    pub n_buffered: usize,
}

/// An attempt that brought no answer.
#[derive(Debug)]
pub struct Failed {
    /// For the retry rule.
    pub failure: Failure,
    /// For the log: phase and reason.
    pub cause: String,
}

impl Forwarder {
    /// One for each worker, so that none waits for another's.
    pub fn new(timeouts: Timeouts) -> Forwarder {
        let desk = Arc::new(Desk::new());
        let connector = WireConnector {
            desk: Arc::clone(&desk),
            timeouts,
        };
        // Every option that matters to a gateway, also where ureq agrees.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent("")
            .accept("")
            .accept_encoding("")
            .allow_non_standard_methods(true)
            .max_response_header_size(MAX_RESPONSE_HEAD)
            // Its pool stays empty: idle connections belong to the backends.
            .max_idle_connections(0)
            .max_idle_connections_per_host(0)
            .timeout_global(None)
            .timeout_per_call(None)
            .timeout_resolve(None)
            .timeout_connect(None)
            .timeout_send_request(None)
            .timeout_send_body(None)
            .timeout_recv_response(Some(timeouts.response))
            .timeout_recv_body(None)
            .build();
        let agent = Agent::with_parts(config, connector, NoResolver);
        Forwarder {
            agent,
            desk,
            idle_timeout: timeouts.idle,
            uri: Uri::from_static("http://backend/"),
        }
    }

    /// Sends the request to this backend and waits for the head of its answer.
    pub fn attempt(
        &mut self,
        backend: &Arc<Backend>,
        on_new_connection: bool,
        request: &ClientRequest,
        content: &mut Content,
        client: &mut dyn Client,
    ) -> Result<BackendResponse, Failed> {
        let length = content.length();
        let has_content = !content.is_empty();
        self.desk.with(|attempt| {
            attempt.head.clear();
            write_head(&mut attempt.head, backend, request, length);
            attempt.backend = Some(Arc::clone(backend));
            attempt.source = if on_new_connection {
                Source::New
            } else {
                Source::Any
            };
            attempt.has_content = has_content;
            attempt.peer = client.peer();
            attempt.is_streamed = !content.is_read();
            attempt.client_is_gone = false;
            attempt.uploading = None;
            attempt.is_early = false;
            attempt.phase = Phase::Connecting;
            attempt.is_reused = false;
            attempt.has_received = false;
            attempt.n_buffered = 0;
            attempt.early = None;
        });
        let method = method_for_ureq(&request.method);
        let mut result = if has_content {
            let mut upload = Upload::new(content.reader(client), &self.desk, self.idle_timeout);
            self.run(method.clone(), length, SendBody::from_reader(&mut upload))
        } else {
            self.run(method.clone(), length, SendBody::none())
        };
        if let Err(error) = &result
            && let Some(stream) = self.desk.with(|attempt| attempt.early.take())
        {
            self.desk
                .with(|attempt| attempt.source = Source::Early(stream));
            let early = self.run(method, Length::Sized(0), SendBody::none());
            // Without an answer, what went wrong first is what went wrong.
            if early.is_ok() || matches!(error, ureq::Error::Protocol(_)) {
                result = early;
            }
        }
        match result {
            Ok(response) => Ok(self.answered(response)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn run(
        &self,
        method: Method,
        length: Length,
        content: SendBody,
    ) -> Result<Response<Body>, ureq::Error> {
        let mut request = Request::new(content);
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        // ureq learns the framing here; the line that is sent stands in our head.
        let (name, value) = match length {
            Length::Unannounced => (header::CONTENT_LENGTH, HeaderValue::from(0)),
            Length::Sized(n) => (header::CONTENT_LENGTH, HeaderValue::from(n)),
            Length::Chunked => (
                header::TRANSFER_ENCODING,
                HeaderValue::from_static("chunked"),
            ),
        };
        request.headers_mut().insert(name, value);
        self.agent.run(request)
    }

    fn answered(&self, response: Response<Body>) -> BackendResponse {
        let content = response.into_body().into_reader();
        self.desk.with(|attempt| BackendResponse {
            head: std::mem::take(&mut attempt.response_head),
            content,
            n_buffered: attempt.n_buffered,
        })
    }

    /// Whether the attempt, or the answer's content, failed because the client went away.
    pub fn client_is_gone(&self) -> bool {
        self.desk.with(|attempt| attempt.client_is_gone)
    }

    /// Gives the memory of a head back for the next answer.
    pub fn recycle(&self, head: Vec<u8>) {
        self.desk.with(|attempt| attempt.response_head = head);
    }

    fn failed(&self, error: &ureq::Error) -> Failed {
        let (phase, is_dead) = self
            .desk
            .with(|attempt| (attempt.phase, attempt.is_reused && !attempt.has_received));
        let failure = match (phase, error) {
            (Phase::Connecting, ureq::Error::Io(error)) if system::is_lack_of_means(error) => {
                Failure::NoMeans
            }
            (Phase::Connecting, _) => Failure::Connect,
            (_, ureq::Error::Timeout(_)) => Failure::Timeout,
            (_, ureq::Error::Io(_)) if is_dead => Failure::Stale,
            (_, ureq::Error::Io(_)) => Failure::Broken,
            _ => Failure::BadHead,
        };
        let step = match phase {
            Phase::Connecting => "connect",
            Phase::Sending => "send",
            Phase::Waiting | Phase::Answered => "answer",
        };
        let reason = match error {
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                "connection closed without an answer".to_owned()
            }
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                "timed out".to_owned()
            }
            ureq::Error::Io(error) => system::plain(error),
            ureq::Error::Timeout(_) => "timed out".to_owned(),
            other => other.to_string(),
        };
        Failed {
            failure,
            cause: format!("{step}: {reason}"),
        }
    }
}

fn write_head(head: &mut Vec<u8>, backend: &Backend, request: &ClientRequest, length: Length) {
    head.extend_from_slice(request.method.as_bytes());
    head.push(b' ');
    if request.target != b"*" {
        head.extend_from_slice(backend.url.base().as_bytes());
    }
    head.extend_from_slice(&request.target);
    head.extend_from_slice(b" HTTP/1.1\r\n");
    fields::write_request_fields(head, request, length, &backend.url.authority());
}

/// ureq needs to know the method for the framing of the answer only: HEAD has none, and CONNECT,
/// the other exception, never comes here.
fn method_for_ureq(method: &str) -> Method {
    if method == "HEAD" {
        Method::HEAD
    } else {
        Method::GET
    }
}
