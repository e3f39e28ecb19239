//! A backend's answer on its way to the client, and what follows if that breaks off.

use std::sync::Arc;

use log::debug;

use crate::exchange::answer::{Framing, write_backend_head};
use crate::exchange::attempts::Answered;
use crate::exchange::content::Content;
use crate::exchange::failed::Failed;
use crate::exchange::relay::{Broken, PIECE, flush, relay};
use crate::exchange::retry::Failure;
use crate::exchange::watched::Watched;
use crate::exchange::{Exchanger, Forwarding};
use crate::intake::{Client as _, ClientRequest, Ending};
use crate::pool::Backend;
use crate::watch::{Doing, Fate};

impl Exchanger<'_> {
    /// Sends the backend's answer to the client.
    pub(super) fn pass_on(
        &mut self,
        to: &Forwarding,
        answered: Answered,
        request: &ClientRequest,
        content: &Content,
        client: &mut Watched,
    ) -> Ending {
        let Answered {
            claim,
            mut response,
            cookie,
            is_failure,
        } = answered;
        let backend = Arc::clone(claim.backend());
        let may_keep = self.may_keep(request, content, client);
        self.out.clear();
        let changes = to.response_changes(cookie.as_deref(), &self.story, &self.settings);
        let head = &mut response.head;
        let plan = match write_backend_head(&mut self.out, head, request, may_keep, &changes) {
            Ok(plan) => plan,
            Err(reason) => {
                let failed = Failed {
                    failure: Failure::BadHead,
                    cause: reason.to_owned(),
                };
                self.note_failed(to, &backend, &failed);
                return self.answer_ourselves(502, failed.explain(), request, may_keep, client);
            }
        };
        if claim.is_trial() && !is_failure {
            // What follows may take long, and others wait for what this one says.
            to.pool.exchange_succeeded(&backend);
        }
        (self.story.status, self.story.head_out) = (plan.status, self.out.len() as u64);
        self.sheet
            .lane
            .set(Doing::Writing, self.story.answer_began());
        if plan.framing == Framing::UntilClose {
            client.begin_until_close();
        }
        self.forwarder.recycle(std::mem::take(&mut response.head));
        let is_here = response.n_buffered > 0;
        let (framing, keep_alive) = (plan.framing, plan.keep_alive);
        let relayed = relay(
            &mut self.out,
            |out, room| response.content.read(out, room),
            framing,
            is_here,
            client,
        );
        let sent = relayed.and_then(|()| {
            // Before the client sees the end: its next request may be judged by what this one was.
            if !is_failure {
                to.pool.exchange_succeeded(&backend);
            }
            self.post.release();
            drop(claim);
            flush(&mut self.out, client)
        });
        self.out.clear();
        self.out.shrink_to(2 * PIECE);
        self.story.fate = Fate::Answered;
        match sent {
            Ok(()) if keep_alive => Ending::Keep,
            Ok(()) => Ending::Close,
            Err(broken) => self.broke_off(to, &backend, broken, framing, request, client),
        }
    }

    /// The answer's head was good, and something failed behind it.
    fn broke_off(
        &mut self,
        to: &Forwarding,
        backend: &Backend,
        broken: Broken,
        framing: Framing,
        request: &ClientRequest,
        client: &mut Watched,
    ) -> Ending {
        let error = match broken {
            Broken::Client(error) => {
                debug!("the client went away: {error}");
                self.story.fate = Fate::ClientUnread;
                return Ending::Cut;
            }
            Broken::Backend(_) if self.forwarder.client_is_gone() => {
                debug!("the client went away while its backend was silent");
                self.story.fate = Fate::ClientGone;
                return ending_inside(framing);
            }
            Broken::Backend(error) => error,
        };
        let cause = format!("content: {}", crate::system::plain(&error));
        let failed = Failed {
            failure: Failure::Broken,
            cause,
        };
        self.note_failed(to, backend, &failed);
        if !client.has_begun {
            return self.answer_ourselves(502, failed.explain(), request, false, client);
        }
        self.story.fate = Fate::ContentBroke;
        self.counters.note_cut();
        ending_inside(framing)
    }
}

/// How to end a connection inside of an answer.
fn ending_inside(framing: Framing) -> Ending {
    match framing {
        Framing::UntilClose => Ending::Cut,
        Framing::Empty | Framing::Sized(_) | Framing::Chunked => Ending::Short,
    }
}
