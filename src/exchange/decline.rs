//! How an exchange ends with an answer of ours instead of a backend's.

use log::debug;

use crate::exchange::Exchanger;
use crate::exchange::content::ClientFailure;
use crate::exchange::route::redirect_location;
use crate::exchange::watched::Watched;
use crate::exchange::worker::lines_of_own;
use crate::intake::own::{OwnAnswer, write_own};
use crate::intake::{Client, ClientRequest, Ending};
use crate::watch::Fate;

impl Exchanger<'_> {
    /// Tells a client how it failed, if it can still be told.
    pub fn client_failed(
        &mut self,
        failure: ClientFailure,
        request: &ClientRequest,
        client: &mut Watched,
    ) -> Ending {
        let (status, reason, fate) = match failure {
            ClientFailure::Stalled => (408, "the content stalled", Fate::ClientStalled),
            ClientFailure::Malformed => (400, "the content is malformed", Fate::ClientBadContent),
            ClientFailure::TooLarge => (413, "the content is too long", Fate::ClientContentTooLong),
            ClientFailure::Gone => {
                self.story.fate = Fate::ClientGone;
                debug!("the client went away before its answer");
                return Ending::Short;
            }
        };
        self.story.fate = fate;
        self.answer_ourselves(status, reason.to_owned(), request, false, client)
    }

    /// Answers with this status; the reason is one sentence for the client.
    pub fn answer_ourselves(
        &mut self,
        status: u16,
        reason: String,
        request: &ClientRequest,
        keep_alive: bool,
        client: &mut Watched,
    ) -> Ending {
        let retry_after = (status == 503).then_some(self.next_probe_in.as_secs().max(1));
        let own = OwnAnswer {
            retry_after,
            ..OwnAnswer::new(status, reason)
        };
        self.answer_with(&own, request, keep_alive, client)
    }

    /// Sends the client to the same place by https.
    pub fn redirect(
        &mut self,
        port: u16,
        request: &ClientRequest,
        keep_alive: bool,
        client: &mut Watched,
    ) -> Ending {
        let Some(location) = redirect_location(request, port) else {
            let reason = "without a Host there is nowhere to go".to_owned();
            self.story.fate = Fate::BadRequest;
            return self.answer_ourselves(400, reason, request, keep_alive, client);
        };
        let own = OwnAnswer::redirect(location);
        self.answer_with(&own, request, keep_alive, client)
    }

    /// Answers with this.
    pub fn answer_with(
        &mut self,
        own: &OwnAnswer,
        request: &ClientRequest,
        keep_alive: bool,
        client: &mut Watched,
    ) -> Ending {
        self.out.clear();
        self.story.status = own.status;
        let lines = lines_of_own(&self.story, &self.settings);
        self.story.head_out = write_own(&mut self.out, own, request, keep_alive, &lines);
        match client.write(&self.out) {
            Ok(()) if keep_alive => Ending::Keep,
            Ok(()) => Ending::Close,
            Err(error) => {
                debug!("the client went away: {error}");
                if client.n_written == 0 {
                    self.story.status = 0;
                }
                Ending::Cut
            }
        }
    }
}
