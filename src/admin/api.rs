//! From a request to what it asks for: the places of the API, and what each method does there.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::error::Category;

use crate::admin::json::{
    Added, BackendStatus, Changed, Drain, Force, ForcedState, NewBackend, Nothing, PoolStatus,
    Pools, Reloaded, Status, Stopping, Weigh, check_weight, duration, seconds,
};
use crate::admin::problem::{Answer, Problem};
use crate::admin::sight::{self, Sight};
use crate::admin::site::{ChangeError, Forced, ReloadError};
use crate::admin::{Admin, live, metrics, page, requests};
use crate::intake::{Client, ClientRequest};
use crate::percent;

/// How long a drain is waited for unless told.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a reload may take: names are looked up at it.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Status,
    Pools,
    Pool(String),
    Backends(String),
    Backend(String, String),
    Drain(String, String),
    Enable(String, String),
    Weight(String, String),
    State(String, String),
    Reload,
    Shutdown,
    Page,
    Live,
    Metrics,
    Healthz,
    Readyz,
    Requests,
    Request(String),
}

impl Place {
    /// Finds the place of a target. Segments are decoded after they were split, so that a name may
    /// have a slash.
    fn find(target: &[u8]) -> Result<Place, Problem> {
        if target.contains(&b'?') {
            return Err(Problem::new(
                400,
                "no query is understood here; it goes into the content",
            ));
        }
        let decode = |segment| {
            let decoded = percent::decode(segment).and_then(|name| String::from_utf8(name).ok());
            decoded.ok_or_else(|| Problem::new(400, "the path is not well encoded"))
        };
        let path = target.strip_prefix(b"/").unwrap_or(target);
        let segments: Result<Vec<String>, Problem> =
            path.split(|&b| b == b'/').map(decode).collect();
        let segments = segments?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let place = match *segments.as_slice() {
            ["status"] => Place::Status,
            ["reload"] => Place::Reload,
            ["shutdown"] => Place::Shutdown,
            [""] => Place::Page,
            ["live"] => Place::Live,
            ["metrics"] => Place::Metrics,
            ["healthz"] => Place::Healthz,
            ["readyz"] => Place::Readyz,
            ["requests"] => Place::Requests,
            ["requests", id] => Place::Request(id.to_owned()),
            ["pools"] => Place::Pools,
            ["pools", pool] => Place::Pool(pool.to_owned()),
            ["pools", pool, "backends"] => Place::Backends(pool.to_owned()),
            ["pools", pool, "backends", name] => Place::Backend(pool.to_owned(), name.to_owned()),
            ["pools", pool, "backends", name, verb] => {
                let (pool, name) = (pool.to_owned(), name.to_owned());
                match verb {
                    "drain" => Place::Drain(pool, name),
                    "enable" => Place::Enable(pool, name),
                    "weight" => Place::Weight(pool, name),
                    "state" => Place::State(pool, name),
                    _ => return Err(nothing_there(target)),
                }
            }
            _ => return Err(nothing_there(target)),
        };
        Ok(place)
    }

    /// What can be done there, for Allow.
    fn methods(&self) -> &'static str {
        match self {
            Place::Backend(..) => "GET, HEAD, PUT, DELETE",
            Place::Backends(_)
            | Place::Drain(..)
            | Place::Enable(..)
            | Place::Weight(..)
            | Place::State(..)
            | Place::Reload
            | Place::Shutdown => "POST",
            _ => "GET, HEAD",
        }
    }
}

fn nothing_there(target: &[u8]) -> Problem {
    Problem::new(
        404,
        format!("there is nothing at {}", target.escape_ascii()),
    )
}

impl Admin {
    /// Does what a request asks for.
    pub(super) fn act(
        &self,
        request: &ClientRequest,
        content: &[u8],
        client: &dyn Client,
    ) -> Result<Answer, Problem> {
        let place = Place::find(&request.target)?;
        let now = Instant::now();
        let site = &self.site;
        match (&*request.method, &place) {
            ("GET" | "HEAD", _) => {
                let answer = self.show(&place, request, now)?;
                read::<Nothing>(content)?;
                Ok(answer)
            }
            ("PUT", Place::Backend(pool, name)) => {
                self.add(pool, Some(name.clone()), read(content)?, now)
            }
            ("POST", Place::Backends(pool)) => self.add(pool, None, read(content)?, now),
            ("DELETE", Place::Backend(pool, name)) => {
                read::<Nothing>(content)?;
                changed(site.remove(pool, name, now))
            }
            ("POST", Place::Drain(pool, name)) => {
                let timeout = drain_timeout(&read(content)?)?;
                self.drain(pool, name, timeout, client)
            }
            ("POST", Place::Enable(pool, name)) => {
                read::<Nothing>(content)?;
                changed(site.enable(pool, name, now))
            }
            ("POST", Place::Weight(pool, name)) => {
                let Weigh { weight } = read(content)?;
                let weight = check_weight(weight).map_err(invalid)?;
                changed(site.weigh(pool, name, weight, now))
            }
            ("POST", Place::State(pool, name)) => {
                let forced = match read::<Force>(content)?.state {
                    ForcedState::Up => Some(Forced::Up),
                    ForcedState::Down => Some(Forced::Down),
                    ForcedState::Auto => None,
                };
                changed(site.force(pool, name, forced, now))
            }
            ("POST", Place::Reload) => {
                read::<Nothing>(content)?;
                self.reload(now)
            }
            ("POST", Place::Shutdown) => {
                read::<Nothing>(content)?;
                if !site.stop() {
                    let detail = "a reload takes long; nothing was stopped";
                    return Err(Problem::new(503, detail).with_field("Retry-After", "1"));
                }
                Ok(Answer::json(202, &Stopping { stopping: true }))
            }
            _ => Err(not_allowed(&place)),
        }
    }

    fn show(
        &self,
        place: &Place,
        request: &ClientRequest,
        now: Instant,
    ) -> Result<Answer, Problem> {
        let pools = || -> Vec<PoolStatus> {
            let reports = self.site.report(now);
            reports.into_iter().map(Into::into).collect()
        };
        let pool = |name: &String| {
            let found = pools().into_iter().find(|pool| pool.name == *name);
            found.ok_or_else(|| Problem::new(404, format!("there is no pool {name}")))
        };
        match place {
            Place::Status => {
                let status = Status {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    pid: std::process::id(),
                    uptime_seconds: seconds(now - self.started),
                    pools: pools(),
                };
                Ok(Answer::json(200, &status))
            }
            Place::Pools => Ok(Answer::json(200, &Pools { pools: pools() })),
            Place::Pool(name) => Ok(Answer::json(200, &pool(name)?)),
            Place::Backend(of, name) => {
                let mut backends = pool(of)?.backends.into_iter();
                let found: Option<BackendStatus> = backends.find(|b| b.name == *name);
                let unknown = || Problem::new(404, format!("pool {of} has no backend {name}"));
                Ok(Answer::json(200, &found.ok_or_else(unknown)?))
            }
            Place::Page => Ok(page::answer()),
            Place::Healthz => Ok(Answer::plain(200, "live")),
            Place::Readyz => Ok(sight::ready(self.sight()?)),
            Place::Metrics => {
                let text = metrics::text(self.sight()?, &self.site.report(now), now);
                Ok(Answer::text(200, metrics::MEDIA_TYPE, text))
            }
            Place::Live => {
                let times = (now - self.started, now);
                let (pools, host) = (self.site.report(now), request.host.as_deref());
                let live = live::look(self.sight()?, &pools, host, times);
                Ok(Answer::json(200, &live))
            }
            Place::Requests => Ok(Answer::json(200, &requests::last(self.sight()?, now))),
            Place::Request(id) => {
                let unknown = || Problem::new(404, format!("no request {id} is remembered"));
                let told = requests::find(self.sight()?, id, now).ok_or_else(unknown)?;
                Ok(Answer::json(200, &told))
            }
            _ => Err(not_allowed(place)),
        }
    }

    fn sight(&self) -> Result<&Sight, Problem> {
        let none = || Problem::new(503, "there is nothing to look at");
        self.site.sight().ok_or_else(none)
    }

    fn add(
        &self,
        pool: &str,
        name: Option<String>,
        new: NewBackend,
        now: Instant,
    ) -> Result<Answer, Problem> {
        let spec = new.spec(name).map_err(invalid)?;
        let name = spec.name.clone();
        let changed = self.site.add(pool, spec, now)?;
        let (in_pool, in_path) = (percent::encode(pool), percent::encode(&name));
        let status = if changed { 201 } else { 200 };
        let answer = Answer::json(status, &Added { changed, name });
        Ok(answer.with_field("Location", format!("/pools/{in_pool}/backends/{in_path}")))
    }

    fn reload(&self, now: Instant) -> Result<Answer, Problem> {
        let Some(_waiting) = self.begin_wait() else {
            let detail = "too many requests are waited for; nothing was reloaded";
            return Err(Problem::new(503, detail).with_field("Retry-After", "1"));
        };
        let lines = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            lines.map(str::to_owned).collect()
        };
        match self.site.reload(now + RELOAD_TIMEOUT) {
            Ok(text) => {
                let changes = lines(&text);
                Ok(Answer::json(200, &Reloaded { changes }))
            }
            Err(ReloadError::Invalid(text)) => {
                let detail = "the configuration is wrong; nothing has changed";
                let mut problem = Problem::new(422, detail);
                problem.errors = lines(&text);
                Err(problem)
            }
            Err(ReloadError::Busy(text)) => Err(Problem::new(503, text)),
        }
    }
}

fn changed(changed: Result<bool, ChangeError>) -> Result<Answer, Problem> {
    let changed = changed?;
    Ok(Answer::json(200, &Changed { changed }))
}

fn not_allowed(place: &Place) -> Problem {
    let methods = place.methods();
    Problem::new(405, format!("what can be done here is {methods}")).with_field("Allow", methods)
}

fn invalid(detail: String) -> Problem {
    Problem::new(422, detail)
}

fn drain_timeout(drain: &Drain) -> Result<Duration, Problem> {
    let timeout = drain.timeout.as_deref().map(|text| {
        duration(text).map_err(|wanted| invalid(format!("timeout {text:?}: {wanted}, or 0s")))
    });
    timeout.unwrap_or(Ok(DRAIN_TIMEOUT))
}

/// Reads content; none is an empty object. Malformed is 400, and what makes no sense 422.
fn read<'a, T: Deserialize<'a>>(content: &'a [u8]) -> Result<T, Problem> {
    let content = match content.trim_ascii() {
        [] => b"{}",
        content => content,
    };
    // serde would take an array as well, for the values of all keys in order.
    if content[0] != b'{' {
        return Err(Problem::new(400, "the content is not a JSON object"));
    }
    serde_json::from_slice(content).map_err(|error| {
        let status = match error.classify() {
            Category::Data => 422,
            Category::Syntax | Category::Eof | Category::Io => 400,
        };
        Problem::new(status, error.to_string())
    })
}
