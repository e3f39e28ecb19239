//! A small strict HTTP/1.1 client: one request, one connection, every byte of the answer checked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::peer::DEADLINE;

/// An answer, its content already taken out of its framing.
pub struct Answer {
    pub status: u16,
    pub reason: String,
    pub fields: Vec<(String, String)>,
    pub content: Vec<u8>,
}

impl Answer {
    /// The values of a field, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let named = self
            .fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

/// Asks with GET for a target, with further fields as `Name: value` lines.
pub fn get(addr: SocketAddr, target: &str, fields: &[&str]) -> Answer {
    ask(addr, "GET", target, fields, b"")
}

/// Sends one request and reads the whole answer.
pub fn ask(
    addr: SocketAddr,
    method: &str,
    target: &str,
    fields: &[&str],
    content: &[u8],
) -> Answer {
    let mut reader = send(addr, method, target, fields, content);
    let mut answer = read_head(&mut reader);
    answer.content = read_content(&mut reader, &answer, method);
    answer
}

/// Asks with GET from this address of loopback.
pub fn ask_from(from: [u8; 4], addr: SocketAddr, target: &str, fields: &[&str]) -> Answer {
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket is granted");
    bind(&fd, &SocketAddr::from((from, 0))).expect("a loopback address is ours");
    connect(&fd, &addr).expect("a server that listens takes a connection");
    let mut reader = send_over(fd.into(), addr, "GET", target, fields, b"");
    let mut answer = read_head(&mut reader);
    answer.content = read_content(&mut reader, &answer, "GET");
    answer
}

/// Sends one request and leaves the answer to the caller.
pub fn send(
    addr: SocketAddr,
    method: &str,
    target: &str,
    fields: &[&str],
    content: &[u8],
) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(addr).expect("a server that listens takes a connection");
    send_over(stream, addr, method, target, fields, content)
}

fn send_over(
    mut stream: TcpStream,
    addr: SocketAddr,
    method: &str,
    target: &str,
    fields: &[&str],
    content: &[u8],
) -> BufReader<TcpStream> {
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a socket takes a deadline");
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n");
    let length = format!("Content-Length: {}", content.len());
    for field in fields
        .iter()
        .chain((!content.is_empty()).then_some(&length.as_str()))
    {
        head.push_str(field);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream
        .write_all(head.as_bytes())
        .expect("a fresh connection takes a head");
    stream
        .write_all(content)
        .expect("a fresh connection takes the content");
    BufReader::new(stream)
}

/// Reads the status line and the fields.
pub fn read_head(reader: &mut impl BufRead) -> Answer {
    let status_line = read_line(reader);
    let mut words = status_line.splitn(3, ' ');
    let version = words.next().unwrap_or_default();
    assert_eq!(version, "HTTP/1.1", "a status line: {status_line:?}");
    let status = words.next().unwrap_or_default().parse();
    let status = status.unwrap_or_else(|e| panic!("{e}: {status_line:?}"));
    let reason = words.next().unwrap_or_default().to_owned();
    let mut fields = Vec::new();
    loop {
        let line = read_line(reader);
        if line.is_empty() {
            return Answer {
                status,
                reason,
                fields,
                content: Vec::new(),
            };
        }
        let (name, value) = line
            .split_once(':')
            .unwrap_or_else(|| panic!("a field: {line:?}"));
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_content(reader: &mut impl BufRead, head: &Answer, method: &str) -> Vec<u8> {
    let mut content = Vec::new();
    if method == "HEAD" || head.status == 204 || head.status == 304 {
        reader.read_to_end(&mut content).expect("the server closes");
        assert!(content.is_empty(), "content where none may be: {content:?}");
        return content;
    }
    let chunked = head.values("Transfer-Encoding");
    let lengths = head.values("Content-Length");
    assert_eq!(
        chunked.len() + lengths.len(),
        1,
        "one framing in {:?}",
        head.fields
    );
    if chunked.is_empty() {
        reader
            .read_to_end(&mut content)
            .expect("the server closes after the content");
        assert_eq!(
            lengths,
            [content.len().to_string()],
            "the length of the content"
        );
        return content;
    }
    assert_eq!(chunked, ["chunked"]);
    loop {
        let size = read_line(reader);
        let size = u64::from_str_radix(&size, 16).unwrap_or_else(|e| panic!("{e}: {size:?}"));
        let got = reader
            .take(size)
            .read_to_end(&mut content)
            .expect("a chunk can be read");
        assert_eq!(got as u64, size, "the length of a chunk");
        assert_eq!(read_line(reader), "", "a chunk ends with a line's end");
        if size == 0 {
            return content;
        }
    }
}

/// One line without its end, which must be CRLF.
pub fn read_line(reader: &mut impl BufRead) -> String {
    let mut line = Vec::new();
    reader
        .read_until(b'\n', &mut line)
        .expect("a line arrives before the deadline");
    let line = String::from_utf8(line).expect("these peers send ASCII lines");
    let Some(line) = line.strip_suffix("\r\n") else {
        panic!("cut short: {line:?}")
    };
    line.to_owned()
}
