//! Other proxies in front of threadbare: what they send must be understood.

use std::net::SocketAddr;
use std::process::Command;

use crate::backends::{start_go, start_nginx};
use crate::balancer::{Balancer, start_demo_backend};
use crate::peer::{Folder, Peer, free_addr, installed};
use crate::plain::{ask, get};

/// Divides among the backends, and more than a front keeps in one buffer.
const N_REQUESTS: usize = 30;
const UPLOAD_BYTES: usize = 300_000;

/// None where it is not installed.
pub fn start_haproxy(folder: &Folder, balancer: SocketAddr) -> Option<Peer> {
    let mode = "mode http\noption forwardfor\nhttp-reuse always";
    start_haproxy_with(folder, mode, &format!("{balancer} check inter 100ms"))
}

/// The same with these defaults and this one server.
pub fn start_haproxy_with(folder: &Folder, defaults: &str, server: &str) -> Option<Peer> {
    let haproxy = installed("haproxy")?;
    let addr = free_addr();
    let config = format!(
        "defaults
            {defaults}
            timeout connect 5s
            timeout client 30s
            timeout server 30s
            timeout tunnel 60s
        frontend front
            bind {addr}
            default_backend behind
        backend behind
            server server1 {server}\n"
    );
    let config = folder.write("haproxy.cfg", &config);
    let mut command = Command::new(haproxy);
    command.arg("-db").arg("-f").arg(config);
    Some(Peer::start(command, addr, folder))
}

/// nginx speaks HTTP/1.0 to what it proxies to and closes each connection, unless told otherwise.
fn start_nginx_front(folder: &Folder, balancer: SocketAddr) -> Option<Peer> {
    let server =
        format!("server {{ listen LISTEN; location / {{ proxy_pass http://{balancer}; }} }}");
    start_nginx(folder, &server)
}

fn start_nginx_keep_alive_front(folder: &Folder, balancer: SocketAddr) -> Option<Peer> {
    let server = format!(
        "upstream balancer {{ server {balancer}; keepalive 4; }}
        server {{
            listen LISTEN;
            location / {{
                proxy_pass http://balancer;
                proxy_http_version 1.1;
                proxy_set_header Connection \"\";
                proxy_set_header Host $http_host;
                proxy_request_buffering off;
            }}
        }}"
    );
    start_nginx(folder, &server)
}

/// As nginx's documentation has it for a WebSocket.
pub fn start_nginx_upgrading_front(folder: &Folder, balancer: SocketAddr) -> Option<Peer> {
    let server = format!(
        "server {{
            listen LISTEN;
            location / {{
                proxy_pass http://{balancer};
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection \"upgrade\";
            }}
        }}"
    );
    start_nginx(folder, &server)
}

/// The goal: a front changes nothing about the turn. The trick: each backend names its address.
fn assert_even_spread(start_front: fn(&Folder, SocketAddr) -> Option<Peer>) {
    let folder = Folder::new();
    let backends = [(); 3].map(|()| start_demo_backend(&folder));
    let addrs = [0, 1, 2].map(|idx| backends[idx].addr);
    let balancer = Balancer::start(&addrs, &[]);
    let Some(front) = start_front(&folder, balancer.addr) else {
        return;
    };
    let mut counts = [0; 3];
    for number in 0..N_REQUESTS {
        let answer = get(front.addr, &format!("/{number}"), &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let idx = addrs
            .iter()
            .position(|addr| answer.text().contains(&addr.to_string()));
        counts[idx.unwrap_or_else(|| panic!("whose is {:?}?", answer.text()))] += 1;
    }
    assert_eq!(counts, [N_REQUESTS / 3; 3]);
}

#[test]
fn requests_from_nginx_are_spread_evenly() {
    assert_even_spread(start_nginx_front);
}

#[test]
fn requests_from_nginx_with_kept_connections_are_spread_evenly() {
    assert_even_spread(start_nginx_keep_alive_front);
}

#[test]
fn requests_from_haproxy_are_spread_evenly() {
    assert_even_spread(start_haproxy);
}

fn assert_upload_and_head(start_front: fn(&Folder, SocketAddr) -> Option<Peer>) {
    let folder = Folder::new();
    let Some(go) = start_go(&folder) else { return };
    let balancer = Balancer::start(&[go.addr], &[]);
    let Some(front) = start_front(&folder, balancer.addr) else {
        return;
    };

    let content = vec![b'x'; UPLOAD_BYTES];
    let answer = ask(front.addr, "POST", "/upload", &[], &content);
    let received = format!("{UPLOAD_BYTES} ");
    assert!(
        answer.text().starts_with(&received),
        "{} {}",
        answer.status,
        answer.text()
    );
    assert!(
        answer.text().contains(&format!("length={UPLOAD_BYTES} ")),
        "{}",
        answer.text()
    );

    let head = ask(front.addr, "HEAD", "/hello", &[], b"");
    assert_eq!(
        (head.status, head.values("Content-Length")),
        (200, vec!["14"])
    );

    // Whatever the front makes of it: the balancer trusts no client, and states what it saw.
    let request = get(front.addr, "/request", &["X-Forwarded-For: 203.0.113.9"]).text();
    let forwarded: Vec<_> = request
        .lines()
        .filter(|l| l.starts_with("X-Forwarded-For"))
        .collect();
    assert_eq!(forwarded, ["X-Forwarded-For: 127.0.0.1"], "{request}");
}

#[test]
fn an_upload_and_a_head_come_through_nginx() {
    assert_upload_and_head(start_nginx_front);
}

#[test]
fn an_upload_and_a_head_come_through_nginx_with_kept_connections() {
    assert_upload_and_head(start_nginx_keep_alive_front);
}

#[test]
fn an_upload_and_a_head_come_through_haproxy() {
    assert_upload_and_head(start_haproxy);
}
