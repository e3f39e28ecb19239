//! What follows a failed attempt: one pure function, and the whole rule of retrying.

use crate::intake::ClientRequest;
use crate::pool::{Kinds, Retry};

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
    /// An answer that is good in itself; its status may be one that somebody calls a failure.
    Status(u16),
}

impl Failure {
    /// Whether it speaks against the backend's health, if these kinds do. What was our own lack,
    /// or an idle connection that had its time, never does.
    pub fn blames(self, fail_on: &Kinds) -> bool {
        match self {
            Failure::NoMeans | Failure::Stale => false,
            Failure::Connect => fail_on.connect,
            failure => failure.is_one_of(fail_on),
        }
    }

    /// Whether it is of these kinds, among those behind the point where the request may have been
    /// sent.
    fn is_one_of(self, kinds: &Kinds) -> bool {
        match self {
            Failure::Broken => kinds.reset,
            Failure::Timeout => kinds.timeout,
            Failure::BadHead => kinds.bad_answer,
            Failure::Status(status) => kinds.statuses.has(status),
            Failure::Connect | Failure::NoMeans | Failure::Stale => false,
        }
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
    /// Pass on what the backend answered.
    PassOn,
}

/// What of a request says whether it may be sent twice.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// Whether it has an Idempotency-Key, by which a backend that knows it does it only once.
    pub has_idempotency_key: bool,
    /// Whether its content can be sent again.
    pub replay: Replay,
}

impl<'a> Asked<'a> {
    /// By this request, with content that can be sent again or not.
    pub fn by(request: &'a ClientRequest, replay: Replay) -> Asked<'a> {
        let mut keys = request.fields.all("Idempotency-Key");
        Asked {
            method: &request.method,
            has_idempotency_key: keys.any(|key| !key.is_empty()),
            replay,
        }
    }

    /// The floor under everything: doing it twice is the same as doing it once, and it can be
    /// repeated.
    fn may_be_repeated(self, rule: &Retry) -> bool {
        let is_once = is_idempotent(self.method) || self.is_keyed(rule);
        is_once && self.replay == Replay::Possible
    }

    /// Whether the rule wants it repeated. A list of methods only ever takes some away: what is
    /// not idempotent does not become so by standing in it.
    fn is_wanted_again(self, rule: &Retry) -> bool {
        let is_listed = rule.methods.is_empty() || rule.methods.iter().any(|m| m == self.method);
        is_listed || self.is_keyed(rule)
    }

    fn is_keyed(self, rule: &Retry) -> bool {
        self.has_idempotency_key && rule.trusts_idempotency_key
    }
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
/// it twice is the same as doing it once (idempotent, or a key says which it is and the pool trusts
/// it) and it can be repeated (replay). Above it, the pool's rule says after what, and for whom. A
/// request that never left may go anywhere, and one whose idle connection was dead is sent again
/// as if for the first time: neither is a retry, and no rule forbids it.
///
/// Who has no means for a retry (no budget, no other backend) asks again with none left.
pub fn next_step(failure: Failure, asked: Asked, retries_left: u32, rule: &Retry) -> Step {
    let may_be_repeated = asked.may_be_repeated(rule);
    let may_retry = may_be_repeated && asked.is_wanted_again(rule) && retries_left > 0;
    match failure {
        Failure::Connect => Step::MoveOn,
        Failure::NoMeans => Step::Answer(503),
        Failure::Stale if may_be_repeated => Step::Reconnect,
        _ if may_retry && failure.is_one_of(&rule.on) => Step::Retry,
        Failure::Stale | Failure::Broken | Failure::BadHead => Step::Answer(502),
        Failure::Timeout => Step::Answer(504),
        Failure::Status(_) => Step::PassOn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Failure::{BadHead, Broken, Connect, NoMeans, Stale, Status, Timeout};
    use Replay::{Impossible, Possible};

    use crate::intake::fields::Fields;
    use crate::pool::Statuses;

    const FAILURES: [Failure; 8] = [
        Connect,
        NoMeans,
        Stale,
        Broken,
        Timeout,
        BadHead,
        Status(502),
        Status(404),
    ];

    /// Every set of kinds, its bits in order; statuses are those of 500 and above.
    fn kinds(bits: u32) -> Kinds {
        let has = |bit: u32| bits & (1 << bit) != 0;
        Kinds {
            connect: has(0),
            reset: has(1),
            timeout: has(2),
            bad_answer: has(3),
            statuses: Statuses(if has(4) { vec![(500, 599)] } else { Vec::new() }),
        }
    }

    /// Whether such a set has such a failure: a bit for each, and none for the rest.
    fn has(bits: u32, failure: Failure) -> bool {
        let bit = match failure {
            Connect => 0,
            Broken => 1,
            Timeout => 2,
            BadHead => 3,
            Status(502) => 4,
            NoMeans | Stale | Status(_) => return false,
        };
        bits & (1 << bit) != 0
    }

    fn rules() -> Vec<(u32, Retry)> {
        let mut rules = Vec::new();
        for bits in 0..32 {
            for methods in [&[][..], &["GET", "POST"], &["PUT"]] {
                for trusts_idempotency_key in [false, true] {
                    let rule = Retry {
                        on: kinds(bits),
                        methods: methods.iter().map(|&method| method.to_owned()).collect(),
                        trusts_idempotency_key,
                        ..Retry::default()
                    };
                    rules.push((bits, rule));
                }
            }
        }
        rules
    }

    /// Every method × key × content × retries left × rule × failure, against the rule written the
    /// other way round: a list of what may be repeated, and everything else may not.
    #[test]
    fn only_what_is_safe_to_repeat_is_repeated() {
        let repeatable = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];
        let others = ["POST", "PATCH", "get", "PROPFIND", "LOCK", "X", ""];
        for (bits, rule) in rules() {
            for &method in repeatable.iter().chain(&others) {
                for (has_key, replay) in [
                    (false, Possible),
                    (false, Impossible),
                    (true, Possible),
                    (true, Impossible),
                ] {
                    let asked = Asked {
                        method,
                        has_idempotency_key: has_key,
                        replay,
                    };
                    let keyed = has_key && rule.trusts_idempotency_key;
                    let is_once = repeatable.contains(&method) || keyed;
                    let safe = is_once && replay == Possible;
                    let listed = match rule.methods.len() {
                        0 => true,
                        1 => method == "PUT",
                        _ => method == "GET", // POST is in the list, and gains nothing by it
                    };
                    for (retries_left, failure) in (0..3).flat_map(|n| FAILURES.map(|f| (n, f))) {
                        let wanted = listed || keyed;
                        let retried = safe && wanted && retries_left > 0 && has(bits, failure);
                        let step = match failure {
                            Connect => Step::MoveOn,
                            NoMeans => Step::Answer(503),
                            Stale if safe => Step::Reconnect,
                            _ if retried => Step::Retry,
                            Stale | Broken | BadHead => Step::Answer(502),
                            Timeout => Step::Answer(504),
                            Status(_) => Step::PassOn,
                        };
                        let found = next_step(failure, asked, retries_left, &rule);
                        let case = (failure, asked, retries_left, &rule);
                        assert_eq!(found, step, "{case:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn by_default_a_reset_is_retried_and_nothing_else() {
        let rule = Retry::default();
        let request = ClientRequest::example("GET");
        let asked = Asked::by(&request, Possible);
        for failure in FAILURES {
            let is_retried = next_step(failure, asked, 1, &rule) == Step::Retry;
            assert_eq!(is_retried, failure == Broken, "{failure:?}");
        }
    }

    #[test]
    fn a_failure_blames_a_backend_if_its_pool_says_so() {
        for bits in 0..32 {
            for failure in FAILURES {
                let blames = failure.blames(&kinds(bits));
                assert_eq!(blames, has(bits, failure), "{failure:?} {bits:b}");
            }
        }
    }

    #[test]
    fn an_empty_idempotency_key_is_none() {
        for (values, wanted) in [(&[][..], false), (&[""], false), (&["", "7"], true)] {
            let mut fields = Fields::default();
            for value in values {
                fields.push(b"idempotency-KEY", value.as_bytes());
            }
            let request = ClientRequest {
                fields,
                ..ClientRequest::example("POST")
            };
            let asked = Asked::by(&request, Possible);
            assert_eq!(asked.has_idempotency_key, wanted, "{values:?}");
        }
    }
}
