//! What follows a failed attempt: one pure function, and the whole rule of retrying.

/// How an attempt at a backend failed, as far as the next step depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Not connected: refused, unreachable, or not in time. Nothing was sent.
    Connect,
    /// We lacked descriptors or ports. Nothing was sent, and no backend is to blame.
    NoMeans,
    /// A connection kept from an earlier exchange turned out dead: no byte of an answer came.
    Stale,
    /// The connection broke after the request may have been sent, before an answer's head.
    Broken,
    /// No head of an answer in time.
    Timeout,
    /// A head that can't be understood, or that contradicts itself.
    BadHead,
}

impl Failure {
    /// Whether it speaks against the backend's health.
    pub fn blames_backend(self) -> bool {
        !matches!(self, Failure::NoMeans | Failure::Stale)
    }
}

/// Whether the content can be sent a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// There is none, or it is held in memory, or none of it has been read yet.
    Possible,
    /// Some of it has been passed on and is gone.
    Impossible,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Try the next backend that is up and was not tried. Costs no retry.
    MoveOn,
    /// Try another backend; costs one retry.
    Retry,
    /// Try the same backend on a new connection.
    Reconnect,
    /// Give up with this status.
    Answer(u16),
}

/// Whether a method may be sent twice (RFC 9110 §9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    matches!(
        method,
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE"
    )
}

/// Decides what follows.
///
/// The floor under everything: what may have reached a backend is never sent again, unless doing
/// it twice is the same as doing it once (idempotent) and it can be repeated (replay). A request
/// that never left may go anywhere.
pub fn next_step(failure: Failure, method: &str, replay: Replay, retries_left: u32) -> Step {
    let may_repeat = is_idempotent(method) && replay == Replay::Possible;
    match failure {
        Failure::Connect => Step::MoveOn,
        Failure::NoMeans => Step::Answer(503),
        Failure::Stale if may_repeat => Step::Reconnect,
        Failure::Broken if may_repeat && retries_left > 0 => Step::Retry,
        Failure::Stale | Failure::Broken | Failure::BadHead => Step::Answer(502),
        Failure::Timeout => Step::Answer(504),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Failure::{BadHead, Broken, Connect, NoMeans, Stale, Timeout};
    use Replay::{Impossible, Possible};

    /// Every method × failure × content × retries left, against the rule written the other way
    /// round: a list of what may be repeated, and everything else may not.
    #[test]
    fn only_what_is_safe_to_repeat_is_repeated() {
        let repeatable = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];
        let others = ["POST", "PATCH", "get", "PROPFIND", "LOCK", "X", ""];
        for method in repeatable.iter().chain(&others) {
            for replay in [Possible, Impossible] {
                for retries_left in [0, 1, 2] {
                    let step = |failure| next_step(failure, method, replay, retries_left);
                    let safe = repeatable.contains(method) && replay == Possible;
                    assert_eq!(step(Connect), Step::MoveOn);
                    assert_eq!(step(NoMeans), Step::Answer(503));
                    assert_eq!(step(Timeout), Step::Answer(504));
                    assert_eq!(step(BadHead), Step::Answer(502));
                    let stale = if safe {
                        Step::Reconnect
                    } else {
                        Step::Answer(502)
                    };
                    assert_eq!(step(Stale), stale, "{method} {replay:?}");
                    let retried = safe && retries_left > 0;
                    let broken = if retried {
                        Step::Retry
                    } else {
                        Step::Answer(502)
                    };
                    assert_eq!(step(Broken), broken, "{method} {replay:?} {retries_left}");
                }
            }
        }
    }

    #[test]
    fn a_stale_connection_and_a_lack_of_means_blame_no_backend() {
        for (failure, wanted) in [
            (Connect, true),
            (Broken, true),
            (Timeout, true),
            (BadHead, true),
            (Stale, false),
            (NoMeans, false),
        ] {
            assert_eq!(failure.blames_backend(), wanted, "{failure:?}");
        }
    }
}
