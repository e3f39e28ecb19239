//! A backend that reads each request to its end before it answers, as cheaply as blocking I/O can.
//!
//! Usage: `backend LISTEN`. nginx's `return` answers an upload before it has read it, which each
//! proxy takes differently; so uploads go to this one. It also stands in where nginx is not
//! installed: `/10k` and `/1m` are answers so long, every other target gets 21 bytes. A thread for
//! each connection; chunks are not understood.

use std::env;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

mod message;

const BUFFER_BYTES: usize = 64 * 1024;
const STACK_BYTES: usize = 64 * 1024;
const BACKLOG: i32 = 4096;

struct Answers {
    small: Vec<u8>,
    ten_kib: Vec<u8>,
    one_mib: Vec<u8>,
}

fn main() -> io::Result<()> {
    let Some(listen) = env::args().nth(1) else {
        return Err(io::Error::other("usage: backend LISTEN"));
    };
    let answers = Arc::new(Answers {
        small: answer(b"hello from a backend\n"),
        ten_kib: answer(&[b'v'; 10 * 1024]),
        one_mib: answer(&vec![b'v'; 1024 * 1024]),
    });
    let listener = TcpListener::bind(listen)?;
    rustix::net::listen(&listener, BACKLOG)?;
    loop {
        let (client, _) = listener.accept()?;
        let answers = Arc::clone(&answers);
        // An error ends the connection, and the proxy sees that.
        let serve = move || serve(client, &answers).unwrap_or_default();
        thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn(serve)?;
    }
}

fn answer(content: &[u8]) -> Vec<u8> {
    let n = content.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {n}\r\n\r\n");
    [head.as_bytes(), content].concat()
}

fn serve(mut client: TcpStream, answers: &Answers) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        // A head may come in pieces: proxies write it as they like.
        let mut filled = 0;
        let mut left = loop {
            let n = client.read(&mut buffer[filled..])?;
            if n == 0 {
                return Ok(());
            }
            filled += n;
            if let Some(length) = message::length_of(&buffer[..filled]) {
                break length.saturating_sub(filled);
            }
        };
        let answer = match target_of(&buffer) {
            b"/10k" => &answers.ten_kib,
            b"/1m" => &answers.one_mib,
            _ => &answers.small,
        };
        while left > 0 {
            let n = client.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            left = left.saturating_sub(n);
        }
        client.write_all(answer)?;
    }
}

fn target_of(head: &[u8]) -> &[u8] {
    head.split(|&byte| byte == b' ').nth(1).unwrap_or_default()
}
