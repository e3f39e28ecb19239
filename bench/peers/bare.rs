//! The least a blocking proxy can do: the measure of what threadbare adds to it.
//!
//! Usage: `bare LISTEN BACKEND...`, addresses as `IP:PORT`. A thread for each connection of a
//! client, with one kept connection of its own to the backend whose turn it was when the client
//! came. A small request costs four system calls, two reads and two writes, and two waits, each of
//! which is one thread woken. Neither message is changed, and nothing about it is checked: of its
//! head only the end and Content-Length are looked for, because that is where the other side's
//! turn begins.
//!
//! It is no proxy to use: no deadline, no retry, no limit, no health, chunks are not understood,
//! and a thousand idle clients hold a thousand threads. What it shows is the price of blocking
//! system calls on this machine, which no care in user space brings down.

use std::env;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

#[path = "../message.rs"]
mod message;

/// Room for a small message in one read, and for a large one in few.
const BUFFER_BYTES: usize = 64 * 1024;
/// Enough for what `serve` calls; untouched pages cost nothing.
const STACK_BYTES: usize = 64 * 1024;
/// The most connections of a load come at once.
const BACKLOG: i32 = 4096;

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let parsed: Result<Vec<SocketAddr>, _> = words.iter().map(|word| word.parse()).collect();
    let addresses = parsed.map_err(io::Error::other)?;
    let [listen, backends @ ..] = addresses.as_slice() else {
        return Err(io::Error::other("usage: bare LISTEN BACKEND..."));
    };
    let listener = TcpListener::bind(listen)?;
    rustix::net::listen(&listener, BACKLOG)?;
    for &backend in backends.iter().cycle() {
        let (client, _) = listener.accept()?;
        // An error ends the two connections, and whoever waits at the other end of one sees that.
        let serve = move || serve(&client, backend).unwrap_or_default();
        thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn(serve)?;
    }
    Ok(())
}

fn serve(client: &TcpStream, backend: SocketAddr) -> io::Result<()> {
    let backend = TcpStream::connect(backend)?;
    client.set_nodelay(true)?;
    backend.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    while pass(client, &backend, &mut buffer)? && pass(&backend, client, &mut buffer)? {}
    Ok(())
}

/// Passes one message on; false when its sender has ended instead of beginning one.
fn pass(mut from: &TcpStream, mut to: &TcpStream, buffer: &mut [u8]) -> io::Result<bool> {
    let mut n = from.read(buffer)?;
    if n == 0 {
        return Ok(false);
    }
    // A head that comes in pieces ends this connection: in the bench it never does.
    let mut left = message::length_of(&buffer[..n]).ok_or(io::ErrorKind::InvalidData)?;
    loop {
        to.write_all(&buffer[..n])?;
        left = left.saturating_sub(n);
        if left == 0 {
            return Ok(true);
        }
        n = from.read(buffer)?;
        if n == 0 {
            return Ok(false);
        }
    }
}
