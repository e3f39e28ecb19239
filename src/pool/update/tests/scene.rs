//! A pool, its settings and its clock, for the tests of a reload.

use super::super::*;
use crate::pool::probe::Found;
use crate::pool::settings::PoolSettings;

/// A pool of these, each a letter, which is its name and says where it is; with what follows it of
/// `*3` (weight), `!` (backup), `/7` (`max_connections`), `~` (the address of another).
pub fn spec(settings: &PoolSettings, text: &str) -> PoolSpec {
    let mut backends: Vec<BackendSpec> = Vec::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let mut number = || {
            letters
                .next()
                .and_then(|c| c.to_digit(10))
                .expect("a digit")
        };
        let last = backends.last_mut();
        match (letter, last) {
            ('*', Some(spec)) => spec.weight = number(),
            ('!', Some(spec)) => spec.is_backup = true,
            ('/', Some(spec)) => spec.max_connections = Some(number() as usize),
            ('~', Some(spec)) => spec.url = url('~'),
            (name, _) => backends.push(BackendSpec {
                name: name.to_string(),
                ..BackendSpec::new(url(name))
            }),
        }
    }
    PoolSpec {
        name: "web".to_owned(),
        settings: settings.clone(),
        backends,
    }
}

pub fn url(letter: char) -> BackendUrl {
    let port = u32::from(letter);
    BackendUrl::parse(&format!("http://127.0.0.1:{port}")).expect("a good URL")
}

pub fn no_names(url: &BackendUrl) -> Vec<Option<SocketAddr>> {
    vec![url.address()]
}

pub struct Scene {
    pub settings: PoolSettings,
    pub pool: Pool,
    pub now: Instant,
}

impl Scene {
    pub fn new(settings: PoolSettings, backends: &str) -> Scene {
        let now = Instant::now();
        let pool = Pool::new(&spec(&settings, backends), &Arc::default(), now);
        Scene {
            settings,
            pool,
            now,
        }
    }

    pub fn probed(backends: &str) -> Scene {
        Scene::new(PoolSettings::default(), backends)
    }

    pub fn update(&self, backends: &str) -> Vec<String> {
        let spec = spec(&self.settings, backends);
        self.pool.update(&spec, &no_names, self.now)
    }

    pub fn id(&self, name: &str) -> Option<u64> {
        let backends = self.pool.backends();
        let mut named = backends.iter().filter(|backend| backend.name == name);
        named.next().map(|backend| backend.id)
    }

    pub fn probe(&self, name: &str, found: &Found) {
        if let Some(id) = self.id(name) {
            self.pool.probed(id, found, self.now);
        }
    }

    /// `=ab` is a reload to these, `+a` a good probe, `-a` a bad one.
    pub fn play(&self, step: &str) {
        let (what, who) = step.split_at(1);
        let bad = || Found::Bad("refused".to_owned());
        match what {
            "=" => drop(self.update(who)),
            "+" => self.probe(who, &Found::Good),
            "-" => self.probe(who, &bad()),
            _ => panic!("no such step: {step}"),
        }
    }

    /// Who gets requests.
    pub fn serving(&self) -> String {
        let roster = self.pool.roster.read();
        let places = roster.ready.places.iter();
        let mut names: Vec<&str> = places.map(|place| place.backend.name.as_str()).collect();
        names.sort_unstable();
        names.concat()
    }

    /// All there are, those that are to go in brackets.
    pub fn members(&self) -> String {
        let roster = self.pool.roster.read();
        let name = |member: &Member| {
            let (left, right) = if member.is_retiring {
                ("(", ")")
            } else {
                ("", "")
            };
            format!("{left}{}{right}", member.spec.name)
        };
        roster.members.iter().map(name).collect()
    }
}
