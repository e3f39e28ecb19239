//! The sockets that systemd hands over (`sd_listen_fds(3)`), and who has taken which.

use std::env;
use std::fmt;
use std::io;
use std::path::Path;

use listenfd::ListenFd;

use crate::intake::ListenAt;
use crate::intake::gate::listen::{Bound, ListeningSocket, SocketTimeouts, tcp, unix};

/// The names of the sockets, in their order, with colons between them.
const NAMES_VARIABLE: &str = "LISTEN_FDNAMES";

/// The sockets that nobody has taken yet.
#[derive(Default)]
pub struct HandedOver {
    sockets: Option<ListenFd>,
    /// One for each, if systemd is new enough to tell.
    names: Vec<String>,
    /// Names that are asked for: who asks for no name leaves these.
    wanted: Vec<String>,
}

impl fmt::Debug for HandedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandedOver, named {:?}", self.names)
    }
}

impl HandedOver {
    /// What is there for this process, if any of these asks for it. To be called once: it takes the
    /// variables out of the environment, as those that we start are not meant.
    pub fn from_env<'a>(places: impl IntoIterator<Item = &'a ListenAt>) -> HandedOver {
        let asked: Vec<_> = places
            .into_iter()
            .filter_map(|at| match at {
                ListenAt::Systemd(name) => Some(name.clone()),
                _ => None,
            })
            .collect();
        if asked.is_empty() {
            return HandedOver::default();
        }
        let names = env::var(NAMES_VARIABLE).unwrap_or_default();
        HandedOver {
            sockets: Some(ListenFd::from_env()),
            names: names.split(':').map(str::to_owned).collect(),
            wanted: asked.into_iter().flatten().collect(),
        }
    }

    /// Those of this name; without one, all whose name nobody asks for.
    pub fn take(
        &mut self,
        name: Option<&str>,
        timeouts: SocketTimeouts,
    ) -> io::Result<Vec<ListeningSocket>> {
        let mut taken = Vec::new();
        for i in 0..self.sockets.as_ref().map_or(0, ListenFd::len) {
            let its_name = self.names.get(i).map_or("", String::as_str);
            let is_meant = match name {
                Some(name) => name == its_name,
                None => !self.wanted.iter().any(|wanted| wanted == its_name),
            };
            if is_meant {
                taken.extend(self.take_one(i, timeouts)?);
            }
        }
        if !taken.is_empty() {
            return Ok(taken);
        }
        Err(io::Error::other(match name {
            None => "no socket was handed over to this process".to_owned(),
            Some(name) => format!(
                "no socket named {name} was handed over to this process; the names are {:?}",
                self.names.join(", ")
            ),
        }))
    }

    fn take_one(
        &mut self,
        i: usize,
        timeouts: SocketTimeouts,
    ) -> io::Result<Option<ListeningSocket>> {
        let Some(sockets) = &mut self.sockets else {
            return Ok(None);
        };
        if let Ok(Some(listener)) = sockets.take_tcp_listener(i) {
            return tcp(listener, timeouts).map(Some);
        }
        let Some(listener) = sockets.take_unix_listener(i)? else {
            return Ok(None);
        };
        let address = listener.local_addr()?;
        let path = address.as_pathname().unwrap_or(Path::new("(unnamed)"));
        let name = format!("unix:{}", path.display());
        unix(listener, Bound::Inherited(name)).map(Some)
    }
}
