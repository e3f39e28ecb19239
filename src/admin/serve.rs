//! The bodies of the threads `admin-N`: one request of the admin API at a time.
//!
//! Each runs [`run_admin`], and ends when the listener has closed the queue and it is empty.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use log::{debug, info};

use crate::admin::bind::{IDLE_TIMEOUT, MAX_CONTENT};
use crate::admin::problem::{Answer, Problem};
use crate::admin::{Admin, access};
use crate::intake::{Client, ClientRequest, ContentFraming, Ending, Job, Jobs, Refusal};
use crate::watch::{Doing, Lane};

/// The body of a thread `admin-N`.
pub fn run_admin(admin: &Admin, jobs: &Jobs, lane: &Lane) {
    while let Ok(job) = jobs.recv() {
        let mut next = Some(job);
        while let Some(job) = next {
            lane.set(Doing::Answering, Instant::now());
            next = admin.serve(job);
        }
        lane.set(Doing::Idle, Instant::now());
    }
}

impl Admin {
    /// Serves one job, and returns what is to be served next on its connection. A panic costs the
    /// request, never the thread.
    pub(super) fn serve(&self, job: Job) -> Option<Job> {
        let Job {
            request,
            refusal,
            mut client,
            ..
        } = job;
        let mut is_read = matches!(request.framing, ContentFraming::Empty);
        let answer = contain(|| self.answer(&request, refusal, client.as_mut(), &mut is_read));
        let answer = answer.unwrap_or_else(|| {
            let detail = "the balancer failed, and logged why";
            Problem::new(500, detail).into()
        });
        note(&request, &answer);
        let keep_alive = request.keep_alive && is_read && refusal.is_none() && !self.is_stopping();
        let mut out = Vec::new();
        answer.write(&mut out, &request, keep_alive);
        // One write: nothing is known of an answer that broke off but that it did.
        let ending = match contain(|| client.write(&out)) {
            Some(Ok(())) if keep_alive => Ending::Keep,
            Some(Ok(())) => Ending::Close,
            _ => Ending::Cut,
        };
        contain(|| client.finish(ending)).flatten()
    }

    fn answer(
        &self,
        request: &ClientRequest,
        refusal: Option<Refusal>,
        client: &mut dyn Client,
        is_read: &mut bool,
    ) -> Answer {
        if let Some(refusal) = refusal {
            return Problem::from(refusal).into();
        }
        let answered = access::check(request, self.token.as_ref())
            .and_then(|()| read_content(request, client))
            .and_then(|content| {
                *is_read = true;
                self.act(request, &content, client)
            });
        answered.unwrap_or_else(Into::into)
    }
}

/// Reads all of the content, in as much time as one stall may take.
fn read_content(request: &ClientRequest, client: &mut dyn Client) -> Result<Vec<u8>, Problem> {
    let mut content = Vec::new();
    if !access::has_content(request) {
        return Ok(content);
    }
    let too_large = || {
        let detail = format!("the content is longer than {MAX_CONTENT} bytes");
        Problem::new(413, detail)
    };
    if matches!(request.framing, ContentFraming::Sized(n) if n > MAX_CONTENT) {
        return Err(too_large());
    }
    let deadline = Instant::now() + IDLE_TIMEOUT;
    let mut piece = [0; 4096];
    loop {
        let n = client.read_content(&mut piece).map_err(|error| {
            use io::ErrorKind::{FileTooLarge, InvalidData, TimedOut, UnexpectedEof, WouldBlock};
            match error.kind() {
                FileTooLarge => too_large(),
                TimedOut | WouldBlock => Problem::new(408, "the content stalled"),
                InvalidData => Problem::new(400, "the content is malformed"),
                UnexpectedEof => Problem::new(400, "the content ended too early"),
                _ => Problem::new(400, "the content could not be read"),
            }
        })?;
        if n == 0 {
            return Ok(content);
        }
        content.extend_from_slice(&piece[..n]);
        if content.len() as u64 > MAX_CONTENT {
            return Err(too_large());
        }
        if Instant::now() >= deadline {
            return Err(Problem::new(408, "the content came too slowly"));
        }
    }
}

/// Who has changed what belongs into the log; who has only looked does not.
fn note(request: &ClientRequest, answer: &Answer) {
    let (method, target) = (request.method.escape_debug(), request.target.escape_ascii());
    let status = answer.status;
    let who = request
        .address
        .map_or("a local client".to_owned(), |a| a.to_string());
    if ["GET", "HEAD"].contains(&&*request.method) && status < 400 {
        debug!("admin: {method} {target} by {who}: {status}");
    } else {
        info!("admin: {method} {target} by {who}: {status}");
    }
}

fn contain<T>(act: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(act)).ok() // the panic hook has logged it
}
