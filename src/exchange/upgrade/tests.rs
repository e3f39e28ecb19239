//! Who may leave HTTP behind, and what passes then.

use super::*;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::exchange::worker::Shared;
use crate::intake::Job;
use crate::intake::fields::Fields;
use crate::pool::{BackendUrl, Pool};
use crate::system::tcp_pair;
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
    let client = Watched::new(Box::new(Tunnelling(can_tunnel)));
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
        let (mut out, mut head) = (Vec::new(), ResponseHead::default());
        head.set(format!("HTTP/1.1 101 Go\r\n{fields}\r\n").as_bytes());
        let changes = Changes::default();
        write_switch_head(&mut out, &mut head, b"websocket, a/1", &changes)?;
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
    let (mut far, near) = tcp_pair();
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
        request: Box::new(request),
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
