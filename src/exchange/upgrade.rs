//! Leaving HTTP behind: what a client asks for, what its backend agreed to, and the tunnel then
//! (RFC 9110 §7.8).

use std::net::TcpStream;
use std::time::{Duration, Instant};

use log::debug;

use crate::exchange::answer::MAX_RESPONSE_FIELDS;
use crate::exchange::attempts::Answered;
use crate::exchange::desk::Switched;
use crate::exchange::fields::{self, Changes, Length};
use crate::exchange::forward::Failed;
use crate::exchange::retry::Failure;
use crate::exchange::watched::Watched;
use crate::exchange::{Exchanger, Forwarding, tunnel};
use crate::intake::fields::list;
use crate::intake::{Client, ClientRequest, ClientTunnel, Ending};

/// The protocols that a backend shall be asked for; none: the request is an ordinary one.
///
/// HTTP itself is never asked for, whatever its version: in a tunnel its requests would pass every
/// check by (h2c smuggling; RFC 9113 §3.1 gave that way up).
pub fn asked_for(request: &ClientRequest, client: &Watched) -> Option<Vec<u8>> {
    if !request.upgrade || !client.can_tunnel() {
        return None;
    }
    let protocols: Vec<&[u8]> = request
        .fields
        .all("Upgrade")
        .flat_map(list)
        .filter(|protocol| !is_http(protocol))
        .collect();
    (!protocols.is_empty()).then(|| protocols.join(&b", "[..]))
}

fn is_http(protocol: &[u8]) -> bool {
    let name = protocol.split(|&b| b == b'/').next().unwrap_or_default();
    ["h2c", "h2", "http"]
        .iter()
        .any(|http| name.trim_ascii().eq_ignore_ascii_case(http.as_bytes()))
}

/// Writes the client's head for a 101; an error says why that is a bad one.
fn write_switch_head(
    out: &mut Vec<u8>,
    head: &[u8],
    asked: &[u8],
    changes: &Changes,
) -> Result<(), &'static str> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_RESPONSE_FIELDS];
    let mut parsed = httparse::Response::new(&mut lines);
    if !matches!(parsed.parse(head), Ok(httparse::Status::Complete(_))) {
        return Err("its head is malformed");
    }
    let lines = parsed
        .headers
        .iter()
        .map(|line| (line.name.as_bytes(), line.value));
    let agreed: Vec<&[u8]> = lines
        .clone()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"upgrade"))
        .flat_map(|(_, value)| list(value))
        .collect();
    let is_asked = |one: &&[u8]| list(asked).any(|other| other.eq_ignore_ascii_case(one));
    if agreed.is_empty() || !agreed.iter().all(is_asked) {
        return Err("it switched to a protocol that nobody asked for");
    }
    let reason = parsed.reason.unwrap_or_default();
    out.extend_from_slice(format!("HTTP/1.1 101 {reason}\r\n").as_bytes());
    fields::write_response_fields(out, lines, Length::Unannounced, false, changes);
    fields::write_upgrade(out, &agreed.join(&b", "[..]));
    out.extend_from_slice(b"\r\n");
    Ok(())
}

impl Exchanger<'_> {
    /// Passes a 101 on, and then bytes in both directions, until the tunnel ends.
    pub fn switch(
        &mut self,
        to: &Forwarding,
        answered: Answered,
        Switched { stream, behind }: Switched,
        request: &ClientRequest,
        asked: &[u8],
        client: &mut Watched,
    ) -> Ending {
        let Answered {
            claim,
            response,
            cookie,
            ..
        } = answered;
        let backend = claim.backend();
        self.out.clear();
        let changes = to.response_changes(cookie.as_deref());
        if let Err(reason) = write_switch_head(&mut self.out, &response.head, asked, &changes) {
            let failed = Failed {
                failure: Failure::BadHead,
                cause: reason.to_owned(),
            };
            self.note_failed(to, backend, &failed);
            self.post.end_long_haul();
            return self.answer_ourselves(502, failed.explain(), request, false, client);
        }
        to.pool.exchange_succeeded(backend, Instant::now());
        let open = self.counters.begin_tunnel();
        if let Err(error) = client.write(&self.out) {
            debug!("the client went away: {error}");
            reset(&stream);
            return Ending::Cut;
        }
        let Some(ClientTunnel { socket, ahead }) = client.tunnel() else {
            debug!("the client's connection can't be a tunnel");
            reset(&stream);
            return Ending::Cut;
        };
        let start = Instant::now();
        let idle_timeout = self.settings.tunnel_idle_timeout;
        let report = tunnel::run(&socket, ahead, &stream, behind, idle_timeout);
        drop(open);
        let took = start.elapsed();
        debug!("tunnel to {}: {report}, after {took:?}", backend.label);
        if report.is_cut {
            reset(&stream);
            return Ending::Cut;
        }
        Ending::Close
    }
}

/// Lets the close that follows be a reset: the backend must not take it for an end.
fn reset(stream: &TcpStream) {
    // An error: it is closed already.
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::{self, Read, Write};
    use std::net::{Shutdown, TcpListener};
    use std::os::fd::OwnedFd;
    use std::sync::Arc;

    use crate::exchange::worker::Shared;
    use crate::intake::Job;
    use crate::intake::fields::Fields;
    use crate::pool::{BackendUrl, Pool};
    use crossbeam_channel::{Sender, bounded};

    struct Tunnelling(bool);

    impl Client for Tunnelling {
        fn read_content(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
        fn write(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
        fn can_tunnel(&self) -> bool {
            self.0
        }
        fn finish(self: Box<Self>, _: Ending) -> Option<Job> {
            None
        }
    }

    fn asked(upgrade: bool, can_tunnel: bool, values: &[&str]) -> Option<String> {
        let mut fields = Fields::default();
        for value in values {
            fields.push(b"Upgrade", value.as_bytes());
        }
        let request = ClientRequest {
            fields,
            upgrade,
            ..ClientRequest::example("GET")
        };
        let client = Watched {
            client: Box::new(Tunnelling(can_tunnel)),
            has_begun: false,
        };
        asked_for(&request, &client).map(|p| String::from_utf8_lossy(&p).into_owned())
    }

    #[test]
    fn everything_but_http_is_asked_for_if_there_can_be_a_tunnel() {
        let cases: [(&[&str], Option<&str>); 8] = [
            (&["websocket"], Some("websocket")),
            (&["a/1, h2c", "B"], Some("a/1, B")),
            (&["h2c"], None),
            (&["H2C", " h2c/1 ,h2"], None),
            (&["HTTP/2.0", "http"], None),
            (&["h2c-like"], Some("h2c-like")),
            (&[""], None),
            (&[], None),
        ];
        for (values, wanted) in cases {
            assert_eq!(asked(true, true, values).as_deref(), wanted, "{values:?}");
            assert_eq!(asked(true, false, values), None);
            assert_eq!(asked(false, true, values), None);
        }
    }

    #[test]
    fn a_switch_must_be_to_what_was_asked_for() {
        let head = |fields: &str| {
            let head = format!("HTTP/1.1 101 Go\r\n{fields}\r\n");
            let mut out = Vec::new();
            let changes = Changes::default();
            write_switch_head(&mut out, head.as_bytes(), b"websocket, a/1", &changes)?;
            Ok::<_, &str>(String::from_utf8_lossy(&out).into_owned())
        };
        let text = head(
            "Connection: X, upgrade\r\nX: 1\r\nupgrade: WebSocket\r\nSec-WebSocket-Accept: k\r\n\
             Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        );
        let wanted = "HTTP/1.1 101 Go\r\nSec-WebSocket-Accept: k\r\nConnection: Upgrade\r\n\
                      Upgrade: WebSocket\r\n\r\n";
        assert_eq!(text.as_deref(), Ok(wanted));
        assert!(head("Upgrade: a/1\r\n").is_ok());
        assert!(head("Upgrade: a/1, websocket\r\n").is_ok());
        for bad in [
            "",
            "Upgrade: \r\n",
            "Upgrade: a/2\r\n",
            "Upgrade: a/1, b\r\n",
        ] {
            assert!(head(bad).is_err(), "{bad}");
        }
    }

    /// A client over a real socket that can be a tunnel, and reports its ending.
    struct Socket {
        stream: TcpStream,
        ending: Sender<Ending>,
    }

    impl Client for Socket {
        fn read_content(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
        fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.stream.write_all(bytes)
        }
        fn can_tunnel(&self) -> bool {
            true
        }
        fn tunnel(&mut self) -> Option<ClientTunnel> {
            let socket = Arc::new(OwnedFd::from(self.stream.try_clone().ok()?));
            let ahead = b"ahead ".to_vec();
            Some(ClientTunnel { socket, ahead })
        }
        fn finish(self: Box<Self>, ending: Ending) -> Option<Job> {
            self.ending.send(ending).expect("the test waits for it");
            None
        }
    }

    /// What a client gets that asks a backend with this answer for `x`, and its ending.
    fn exchange(answer: &'static str, said: &str) -> (String, Ending) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let backend = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("someone connects");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a whole head");
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            assert!(
                head.contains("\r\nConnection: Upgrade\r\nUpgrade: x\r\n"),
                "{head}"
            );
            stream.write_all(answer.as_bytes()).expect("it is read");
            stream.shutdown(Shutdown::Write).expect("it is open");
            let mut said = String::new();
            stream.read_to_string(&mut said).expect("a clean end");
            said
        });
        let url = BackendUrl::parse(&format!("http://{address}")).expect("a good URL");
        let pool = Pool::of(vec![url], Instant::now());
        let shared = Shared::example(pool);
        let (far, near) = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let far = TcpStream::connect(listener.local_addr().expect("it is bound"));
            (far, listener.accept().expect("someone connected").0)
        };
        let mut far = far.expect("someone listens");
        let mut fields = Fields::default();
        fields.push(b"Upgrade", b"h2c, x");
        let request = ClientRequest {
            fields,
            upgrade: true,
            ..ClientRequest::example("GET")
        };
        let (ending, ended) = bounded(1);
        let client = Socket {
            stream: near,
            ending,
        };
        let job = Job {
            request,
            refusal: None,
            client: Box::new(client),
            queued_at: Instant::now(),
        };
        let (jobs, received) = bounded(1);
        jobs.send(job).expect("there is room");
        drop(jobs);
        far.write_all(said.as_bytes()).expect("it is read");
        far.shutdown(Shutdown::Write).expect("it is open");
        shared.serve_all(received);
        drop(shared); // with the connections that it keeps
        let ending = ended.recv().expect("it has ended");
        let mut text = String::new();
        far.read_to_string(&mut text).expect("a clean end");
        let heard = backend.join().expect("it got what it wanted");
        let is_tunnel = text.contains(" 101 ");
        assert_eq!(heard, if is_tunnel { "ahead said" } else { "" });
        (text.replace('\r', ""), ending)
    }

    /// The trick: a whole worker between two sockets. Everything is here before it begins, so that
    /// it ends by itself.
    #[test]
    fn a_backend_switches_or_answers() {
        let (text, ending) = exchange(
            "HTTP/1.1 103 Hint\r\n\r\nHTTP/1.1 101 Go\r\nUpgrade: x\r\nA: b\r\n\r\nbehind",
            "said",
        );
        let wanted = "HTTP/1.1 101 Go\nA: b\nConnection: Upgrade\nUpgrade: x\n\nbehind";
        assert_eq!((text.as_str(), ending), (wanted, Ending::Close));

        let (text, ending) = exchange("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", "");
        let wanted = "HTTP/1.1 200 OK\nContent-Length: 2\n\nno";
        assert_eq!((text.as_str(), ending), (wanted, Ending::Keep));

        for bad in ["", "Upgrade: h2c\r\n"] {
            let answer = format!("HTTP/1.1 101 Go\r\n{bad}\r\nbehind");
            let (text, ending) = exchange(answer.leak(), "");
            assert!(text.starts_with("HTTP/1.1 502 "), "{text}");
            assert_eq!(ending, Ending::Close);
        }
    }
}
