//! What is known of each client's connection: one exchange at a time, and none after the last.
//!
//! `tiny_http` reads ahead: it hands out a pipelined request while the one before is still served,
//! and goes on reading after a request that we had to refuse. Both are held back here.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use parking_lot::Mutex;
use tiny_http::Request;

use crate::intake::check::Limits;

use crate::intake::tiny::socket;

/// Pipelined requests held for one connection; one more ends the connection.
const MAX_PIPELINED: usize = 64;
/// Ended connections that are remembered; beyond this the oldest is forgotten.
const MAX_ENDED: usize = 16 * 1024;

/// The table of connections. Entered by the listener thread for each request, and by the worker
/// (or the refuser) that finishes one.
pub struct Connections {
    /// Protects all of it, held for one look-up or change; requests are dropped outside, because
    /// that can block.
    table: Mutex<Table>,
    /// How large their requests may be.
    pub limits: Limits,
}

#[derive(Default)]
struct Table {
    /// Connections that have an exchange in progress: the requests behind it, in order.
    busy: HashMap<SocketAddr, VecDeque<Request>>,
    /// Connections that had their last answer, with the identity of their socket.
    ended: HashMap<SocketAddr, u64>,
    ended_order: VecDeque<SocketAddr>,
}

/// What becomes of a request that came in.
pub enum Arrival {
    /// Its turn: serve it.
    Serve(Request),
    /// The one before it is still served: it waits here.
    Held,
    /// Its connection has ended, or it is one too many: it must not be served.
    Refuse(Request),
}

impl Connections {
    /// An empty table.
    pub fn new(limits: Limits) -> Connections {
        Connections {
            limits,
            table: Mutex::new(Table::default()),
        }
    }

    /// Decides about a request from this client. Called by the listener thread only.
    pub fn arrive(&self, client: SocketAddr, request: Request) -> Arrival {
        if let Some(ended) = self.ended(client) {
            // The same address may be a new connection by now: the socket tells.
            let now = socket::find(client).and_then(|stream| socket::identity(&stream));
            if now.is_none_or(|now| now == ended) {
                return Arrival::Refuse(request);
            }
            self.table.lock().ended.remove(&client);
        }
        let mut table = self.table.lock();
        match table.busy.get_mut(&client) {
            None => {
                table.busy.insert(client, VecDeque::new());
                Arrival::Serve(request)
            }
            Some(waiting) if waiting.len() < MAX_PIPELINED => {
                waiting.push_back(request);
                Arrival::Held
            }
            Some(_) => Arrival::Refuse(request),
        }
    }

    /// The exchange of this client is complete: its next request, if one is here.
    pub fn next(&self, client: SocketAddr) -> Option<Request> {
        let mut table = self.table.lock();
        let next = table.busy.get_mut(&client).and_then(VecDeque::pop_front);
        if next.is_none() {
            table.busy.remove(&client);
        }
        next
    }

    /// This client's connection had its last answer: returns the requests behind it, which must
    /// not be served, and remembers the connection by its socket, if that is still there.
    pub fn end(&self, client: SocketAddr, identity: Option<u64>) -> VecDeque<Request> {
        let mut table = self.table.lock();
        if let Some(identity) = identity
            && table.ended.insert(client, identity).is_none()
        {
            table.ended_order.push_back(client);
        }
        if table.ended_order.len() > MAX_ENDED
            && let Some(oldest) = table.ended_order.pop_front()
        {
            table.ended.remove(&oldest);
        }
        table.busy.remove(&client).unwrap_or_default()
    }

    fn ended(&self, client: SocketAddr) -> Option<u64> {
        self.table.lock().ended.get(&client).copied()
    }
}

/// Drops a request without the answer that `tiny_http` would write for it.
pub fn discard(request: Request) {
    drop(request.into_writer());
}
