//! One attempt: a request to one backend, up to the head of its answer.

use std::sync::Arc;
use std::time::Duration;

use ureq::http::{HeaderValue, Method, Request, Response, Uri, header};
use ureq::{Agent, Body, SendBody};

use crate::exchange::buffers::MAX_RESPONSE_HEAD;
use crate::exchange::connect::{NoResolver, WireConnector};
use crate::exchange::content::Content;
use crate::exchange::desk::{Desk, Marks, Opening, Phase, Source, Switched};
use crate::exchange::edits::Edits;
use crate::exchange::failed::Failed;
use crate::exchange::fields::{self, Added, Length};
use crate::exchange::response_content::ResponseContent;
use crate::exchange::response_head::ResponseHead;
use crate::exchange::retry::Failure;
use crate::exchange::upload::Upload;
use crate::intake::{Client, ClientRequest};
use crate::pool::Backend;
use crate::system;
use crate::watch::Sheet;

/// Bounds on the steps of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For connecting.
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

/// One try: whom to ask, and how.
pub struct Errand<'a> {
    /// Whom to ask.
    pub backend: &'a Arc<Backend>,
    /// Not on an idle connection: one of those turned out dead.
    pub on_new_connection: bool,
    /// The client is a proxy whose X-Forwarded fields are believed.
    pub is_trusted: bool,
    /// The protocols that the backend is asked to switch to.
    pub upgrade: Option<&'a [u8]>,
    /// The target that it gets, behind its base.
    pub target: &'a [u8],
    /// What the route changes in the fields.
    pub edits: Option<&'a Edits>,
    /// What the request is called, if it is called anything.
    pub request_id: Option<&'a [u8]>,
}

/// An answer whose head has come.
pub struct BackendResponse {
    /// The status.
    pub status: u16,
    /// The head as received.
    pub head: ResponseHead,
    /// The content behind it, decoded.
    pub content: ResponseContent,
    /// How many bytes of it (or of its framing) are here already.
    pub n_buffered: usize,
}

impl Forwarder {
    /// One for each worker, so that none waits for another's.
    pub fn new(timeouts: Timeouts, sheet: Arc<Sheet>) -> Forwarder {
        let desk = Arc::new(Desk::new(sheet));
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
            // The transport keeps this one: ureq would look at its clock once more for each step.
            .timeout_recv_response(None)
            .timeout_recv_body(None)
            .build();
        let agent = Agent::with_parts(config, connector, NoResolver);
        Forwarder {
            agent,
            desk,
            idle_timeout: timeouts.idle,
            uri: Uri::from_static("http://b/"),
        }
    }

    /// Sends the request to this backend and waits for the head of its answer.
    pub fn attempt(
        &mut self,
        errand: &Errand,
        request: &ClientRequest,
        content: &mut Content,
        client: &mut dyn Client,
    ) -> Result<BackendResponse, Failed> {
        self.begin(errand, request, content, client);
        let length = content.length();
        let method = method_for_ureq(&request.method);
        let mut result = if content.is_empty() {
            self.run(method.clone(), length, SendBody::none())
        } else {
            let mut upload = Upload::new(content.reader(client), &self.desk, self.idle_timeout);
            self.run(method.clone(), length, SendBody::from_reader(&mut upload))
        };
        let (sized, early) = self.desk.with(|attempt| {
            attempt.uploading = None; // or it would keep the connection open
            (attempt.sized.take(), attempt.early.take())
        });
        if let Some(content) = sized {
            return Ok(self.answered(None, ResponseContent::Sized(content)));
        }
        if let Err(error) = &result
            && let Some(stream) = early
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
            Ok(response) => {
                let status = response.status().as_u16();
                let content = response.into_body().into_reader();
                Ok(self.answered(Some(status), ResponseContent::Decoded(content)))
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Puts everything about an attempt on the desk.
    fn begin(
        &self,
        errand: &Errand,
        request: &ClientRequest,
        content: &Content,
        client: &dyn Client,
    ) {
        let added = Added {
            length: content.length(),
            authority: &errand.backend.authority,
            is_trusted: errand.is_trusted,
            expects_continue: content.waits_for_100(),
            upgrade: errand.upgrade,
            edits: errand.edits,
            request_id: errand.request_id,
        };
        let left = self.desk.with(|attempt| {
            attempt.head.clear();
            write_head(&mut attempt.head, errand, request, &added);
            attempt.backend = Some(Arc::clone(errand.backend));
            attempt.source = if errand.on_new_connection {
                Source::New
            } else {
                Source::Any
            };
            attempt.opening = match (content.is_empty(), added.expects_continue) {
                (true, _) => Opening::Alone,
                (false, false) => Opening::WithContent,
                (false, true) => Opening::AwaitingContinue,
            };
            attempt.is_head = request.is_head();
            attempt.asks_to_switch = errand.upgrade.is_some();
            attempt.peer = client.peer();
            attempt.length = added.length;
            attempt.is_streamed = !content.is_read();
            attempt.client_is_gone = false;
            attempt.uploading = None;
            attempt.is_early = false;
            attempt.phase = Phase::Connecting;
            attempt.is_reused = false;
            attempt.has_received = false;
            attempt.marks = Marks::default();
            attempt.n_buffered = 0;
            attempt.ahead.clear();
            attempt.early = None;
            attempt.switched = None;
            attempt.response_head.clear();
            attempt.sized.take()
        });
        drop(left); // outside the lock: it gives its buffers back
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
        let framing = match length {
            Length::Unannounced | Length::Sized(0) => None,
            Length::Sized(n) => Some((header::CONTENT_LENGTH, HeaderValue::from(n))),
            Length::Chunked => Some((
                header::TRANSFER_ENCODING,
                HeaderValue::from_static("chunked"),
            )),
        };
        if let Some((name, value)) = framing {
            request.headers_mut().insert(name, value);
        }
        self.agent.run(request)
    }

    /// An answer with this content, and this status if that was ureq's to read.
    fn answered(&self, status: Option<u16>, content: ResponseContent) -> BackendResponse {
        let (head, n_buffered) = self.desk.with(|attempt| {
            let head = std::mem::take(&mut attempt.response_head);
            (head, attempt.n_buffered)
        });
        BackendResponse {
            status: status.unwrap_or(head.status),
            head,
            content,
            n_buffered,
        }
    }

    /// How far the attempt came, when, and whether its connection had served another before.
    pub fn marks(&self) -> (Marks, bool) {
        self.desk.with(|attempt| (attempt.marks, attempt.is_reused))
    }

    /// Whether the attempt, or the answer's content, failed because the client went away.
    pub fn client_is_gone(&self) -> bool {
        self.desk.with(|attempt| attempt.client_is_gone)
    }

    /// The connection of the last answer, if that was a 101 that had been asked for.
    pub fn take_switched(&self) -> Option<Switched> {
        self.desk.with(|attempt| attempt.switched.take())
    }

    /// Lets go of the client's socket: it would stay open until the next attempt.
    pub fn forget_client(&self) {
        self.desk.with(|attempt| attempt.peer = None);
    }

    /// Gives the memory of a head back for the next answer.
    pub fn recycle(&self, head: ResponseHead) {
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

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.desk.clear();
    }
}

fn write_head(head: &mut Vec<u8>, errand: &Errand, request: &ClientRequest, added: &Added) {
    head.extend_from_slice(request.method.as_bytes());
    head.push(b' ');
    if errand.target != b"*" {
        head.extend_from_slice(errand.backend.url.base().as_bytes());
    }
    head.extend_from_slice(errand.target);
    head.extend_from_slice(b" HTTP/1.1\r\n");
    fields::write_request_fields(head, request, added);
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
