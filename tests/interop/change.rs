//! The promise of a pool that changes, under load, before servers that die as processes do.

use std::net::SocketAddr;
use std::time::Duration;

use crate::backends::start_nginx;
use crate::balancer::start_demo_backend;
use crate::harness::{Mortal, hold};
use crate::peer::{Folder, Peer};

const LASTS: Duration = Duration::from_secs(10);

impl Mortal for Peer {
    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn kill(&mut self) {
        Peer::kill(self);
    }

    fn restart(&mut self) {
        Peer::restart(self);
    }
}

#[test]
fn no_request_is_lost_while_everything_changes_and_nginx_is_killed() {
    // Goal: ten seconds of GET and POST over 64 connections, while backends are added, drained,
    // removed, reloaded by SIGHUP twenty times, and nginx killed and restarted: nothing fails but a
    // POST that a killed nginx had, and who is drained gets nothing. Trick: what is drained are
    // backends of ours that count; what is killed are processes, by SIGKILL.
    let folder = Folder::new();
    let server = "server { listen LISTEN; location / { return 200 'ok'; } }";
    let nginx = || start_nginx(&folder, server).map(|peer| Box::new(peer) as Box<dyn Mortal>);
    let (Some(a), Some(b)) = (nginx(), nginx()) else {
        return;
    };
    println!("nginx: {}", hold(LASTS, &mut [a, b]));
}

#[test]
fn no_request_is_lost_while_everything_changes_and_demo_backends_are_killed() {
    let folder = Folder::new();
    let demo = || Box::new(start_demo_backend(&folder)) as Box<dyn Mortal>;
    println!("demo-backend: {}", hold(LASTS, &mut [demo(), demo()]));
}
