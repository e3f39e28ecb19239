//! Leaving HTTP behind: what a client asks for, what its backend agreed to, and the tunnel then
//! (RFC 9110 §7.8).

use std::time::Instant;

use log::debug;

use crate::exchange::attempts::Answered;
use crate::exchange::desk::Switched;
use crate::exchange::failed::Failed;
use crate::exchange::fields::{self, Changes, Length};
use crate::exchange::response_head::ResponseHead;
use crate::exchange::retry::Failure;
use crate::exchange::watched::Watched;
use crate::exchange::{Exchanger, Forwarding, tunnel};
use crate::intake::fields::list;
use crate::intake::proxy_status;
use crate::intake::{Client, ClientRequest, ClientTunnel, Ending};
use crate::system::reset_when_closed;
use crate::watch::Fate;

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
    head: &mut ResponseHead,
    asked: &[u8],
    changes: &Changes,
) -> Result<(), &'static str> {
    head.read()?;
    let lines = head.lines();
    let agreed: Vec<&[u8]> = lines
        .clone()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"upgrade"))
        .flat_map(|(_, value)| list(value))
        .collect();
    let is_asked = |one: &&[u8]| list(asked).any(|other| other.eq_ignore_ascii_case(one));
    if agreed.is_empty() || !agreed.iter().all(is_asked) {
        return Err("it switched to a protocol that nobody asked for");
    }
    out.extend_from_slice(b"HTTP/1.1 101 ");
    out.extend_from_slice(head.reason());
    out.extend_from_slice(b"\r\n");
    fields::write_response_fields(out, lines.clone(), Length::Unannounced, false, changes);
    proxy_status::write_received(out, changes.proxy_status, lines, 101);
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
            mut response,
            cookie,
            ..
        } = answered;
        let backend = claim.backend();
        self.out.clear();
        let changes = to.response_changes(cookie.as_deref(), &self.story, &self.settings);
        if let Err(reason) = write_switch_head(&mut self.out, &mut response.head, asked, &changes) {
            let failed = Failed {
                failure: Failure::BadHead,
                cause: reason.to_owned(),
            };
            self.note_failed(to, backend, &failed);
            self.post.end_long_haul();
            return self.answer_ourselves(502, failed.explain(), request, false, client);
        }
        to.pool.exchange_succeeded(backend);
        let open = self.counters.begin_tunnel();
        self.begin_tunnel_story();
        self.story.head_out = self.out.len() as u64;
        if let Err(error) = client.write(&self.out) {
            debug!("the client went away: {error}");
            self.story.fate = Fate::ClientGone;
            reset_when_closed(&stream); // the backend must not take it for an end
            return Ending::Cut;
        }
        let Some(ClientTunnel { socket, ahead }) = client.tunnel() else {
            debug!("the client's connection can't be a tunnel");
            reset_when_closed(&stream);
            return Ending::Cut;
        };
        let start = Instant::now();
        let idle_timeout = self.settings.tunnel_idle_timeout;
        let report = tunnel::run(&socket, ahead, &stream, behind, idle_timeout);
        drop(open);
        client.n_read += report.n_to_backend;
        client.n_written += report.n_to_client;
        let took = start.elapsed();
        debug!("tunnel to {}: {report}, after {took:?}", backend.label);
        if report.is_cut {
            reset_when_closed(&stream);
            return Ending::Cut;
        }
        Ending::Close
    }
}

#[cfg(test)]
mod tests;
