//! The least Pingora needs to be a round-robin proxy, set up as its documentation advises.
//!
//! Usage: `pingora-peer LISTEN THREADS BACKEND...`, addresses as `IP:PORT`. The worker threads take
//! connections from one another, as is the default. The pool keeps as many idle connections to the
//! backends as the load has connections. It adds the fields that all proxies of the bench add,
//! checks no health, and writes no log: no logger is installed.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::http::RequestHeader;
use pingora::lb::LoadBalancer;
use pingora::lb::selection::RoundRobin;
use pingora::prelude::{HttpPeer, ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;

/// The most connections that a load has.
const N_KEPT: usize = 1024;
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

struct Proxy(Arc<LoadBalancer<RoundRobin>>);

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _ctx: &mut (),
    ) -> pingora::Result<Box<HttpPeer>> {
        // Round robin takes no key.
        let backend = self.0.select(b"", 1).expect("there are backends");
        let mut peer = HttpPeer::new(backend, false, String::new());
        peer.options.idle_timeout = Some(IDLE_TIMEOUT);
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        _ctx: &mut (),
    ) -> pingora::Result<()> {
        if let Some(client) = session.client_addr().and_then(|address| address.as_inet()) {
            request.insert_header("X-Forwarded-For", client.ip().to_string())?;
        }
        request.insert_header("X-Forwarded-Proto", "http")?;
        if let Some(host) = request.headers.get("Host").cloned() {
            request.insert_header("X-Forwarded-Host", host)?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [listen, threads, backends @ ..] = words.as_slice() else {
        return Err("usage: pingora-peer LISTEN THREADS BACKEND...".into());
    };
    let settings = ServerConf {
        threads: threads.parse()?,
        upstream_keepalive_pool_size: N_KEPT,
        // A stop is a stop: the bench has no requests under way by then.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, settings);
    server.bootstrap();
    let balancer = LoadBalancer::try_from_iter(backends)?;
    let mut proxy = http_proxy_service(&server.configuration, Proxy(Arc::new(balancer)));
    proxy.add_tcp(listen);
    server.add_service(proxy);
    server.run_forever();
}
