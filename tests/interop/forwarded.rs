//! Who the client is, when other proxies stand in front: PROXY headers, X-Forwarded-For from a
//! trusted proxy, and a Unix socket.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::backends::{start_nginx, start_nginx_with};
use crate::balancer::Balancer;
use crate::fronts::start_haproxy_with;
use crate::peer::{Folder, Peer, free_addr, installed};
use crate::plain::ask_from;

/// The client's own address: the fronts talk to the balancer from another one.
const CLIENT: [u8; 4] = [127, 0, 0, 7];

/// What an honest or a lying client says of whom it stands for.
const CLAIM: &str = "X-Forwarded-For: 203.0.113.9";

/// Tells which X-Forwarded-For came, with several lines joined.
fn start_teller(folder: &Folder) -> Option<Peer> {
    let server = "server { listen LISTEN; location / { return 200 '$http_x_forwarded_for'; } }";
    start_nginx(folder, server)
}

/// The goal: a TCP balancer hides nobody. The trick: the client has an address of its own.
fn assert_client_behind_tcp(start_front: impl Fn(&Folder, SocketAddr) -> Option<Peer>) {
    let folder = Folder::new();
    let Some(teller) = start_teller(&folder) else {
        return;
    };
    let balancer = Balancer::start(&[teller.addr], &["--accept-proxy"]);
    let Some(front) = start_front(&folder, balancer.addr) else {
        return;
    };
    for _ in 0..3 {
        let answer = ask_from(CLIENT, front.addr, "/", &[CLAIM]);
        let got = (answer.status, answer.text());
        assert_eq!(got, (200, "127.0.0.7".to_owned()));
    }
}

#[test]
fn haproxy_names_the_client_in_the_first_version_of_proxy() {
    assert_client_behind_tcp(|folder, balancer| {
        start_haproxy_with(folder, "mode tcp", &format!("{balancer} send-proxy"))
    });
}

#[test]
fn haproxy_names_the_client_in_the_second_version_of_proxy() {
    assert_client_behind_tcp(|folder, balancer| {
        start_haproxy_with(folder, "mode tcp", &format!("{balancer} send-proxy-v2"))
    });
}

/// Where Debian keeps what its package libnginx-mod-stream brings.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

#[test]
fn nginx_names_the_client_in_a_proxy_header() {
    if !Path::new(STREAM_MODULE).is_file() {
        println!("skipped: nginx's stream module is not installed");
        return;
    }
    assert_client_behind_tcp(|folder, balancer| {
        let stream = format!(
            "stream {{ server {{
                listen LISTEN;
                proxy_pass {balancer};
                proxy_protocol on;
            }} }}"
        );
        start_nginx_with(folder, &format!("load_module {STREAM_MODULE};"), &stream)
    });
}

/// The goal: what a trusted proxy says is kept, and the proxy itself comes behind it.
fn assert_appended(
    options: &[&str],
    wanted: &str,
    start_front: impl Fn(&Folder, SocketAddr) -> Option<Peer>,
) {
    let folder = Folder::new();
    let Some(teller) = start_teller(&folder) else {
        return;
    };
    let balancer = Balancer::start(&[teller.addr], options);
    let Some(front) = start_front(&folder, balancer.addr) else {
        return;
    };
    let answer = ask_from(CLIENT, front.addr, "/", &[CLAIM]);
    assert_eq!((answer.status, answer.text().as_str()), (200, wanted));
}

const TRUST: &[&str] = &["--trust", "127.0.0.1"];
const APPENDED: &str = "203.0.113.9, 127.0.0.7, 127.0.0.1";

/// nginx in front, which adds its client to X-Forwarded-For.
fn start_nginx_adding(folder: &Folder, to: &str) -> Option<Peer> {
    let server = format!(
        "server {{
            listen LISTEN;
            location / {{
                proxy_pass http://{to};
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            }}
        }}"
    );
    start_nginx(folder, &server)
}

#[test]
fn what_a_trusted_nginx_says_of_the_client_is_appended_to() {
    assert_appended(TRUST, APPENDED, |folder, balancer| {
        start_nginx_adding(folder, &balancer.to_string())
    });
}

#[test]
fn what_a_trusted_haproxy_says_of_the_client_is_appended_to() {
    assert_appended(TRUST, APPENDED, |folder, balancer| {
        let mode = "mode http\noption forwardfor";
        start_haproxy_with(folder, mode, &balancer.to_string())
    });
}

#[test]
fn what_another_nginx_says_of_the_client_is_replaced() {
    assert_appended(&[], "127.0.0.1", |folder, balancer| {
        start_nginx_adding(folder, &balancer.to_string())
    });
}

#[test]
fn nginx_reaches_the_balancer_over_a_unix_socket() {
    let sockets = Folder::new();
    let path = sockets.path().join("threadbare");
    let listen = format!("unix:{}", path.display());
    let options = ["--listen", &listen, "--trust", "unix"];
    // A Unix socket has no address that could come behind the client's.
    assert_appended(&options, "203.0.113.9, 127.0.0.7", |folder, _| {
        start_nginx_adding(folder, &format!("unix:{}:/", path.display()))
    });
}

/// Two sockets with names, of which the admin API takes one, whatever their order is.
#[test]
fn systemd_hands_over_two_sockets_by_name() {
    let Some(activate) = installed("systemd-socket-activate") else {
        return;
    };
    let folder = Folder::new();
    let Some(teller) = start_teller(&folder) else {
        return;
    };
    let token = folder.write("token", "s3cret");
    let (web, admin) = (free_addr(), free_addr());
    let mut command = Command::new(activate);
    command
        .args(["--listen", &admin.to_string()])
        .args(["--listen", &web.to_string()])
        .arg("--fdname=admin:web")
        .arg(env!("CARGO_BIN_EXE_threadbare"))
        .args(["--listen", "systemd", "--admin", "systemd:admin"])
        .args(["--admin-token-file", &token.display().to_string()])
        .args(["--backend", &format!("http://{}", teller.addr)]);
    let balancer = Peer::start(command, web, &folder);
    let answer = ask_from(CLIENT, balancer.addr, "/", &[]);
    assert_eq!(
        (answer.status, answer.text()),
        (200, "127.0.0.7".to_owned())
    );
    let authorization = "Authorization: Bearer s3cret";
    let answer = ask_from(CLIENT, admin, "/status", &[authorization]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(ask_from(CLIENT, admin, "/status", &[]).status, 401);
}

/// The socket is systemd's own, from before threadbare runs: it starts with the first connection.
#[test]
fn systemd_hands_over_its_socket() {
    let Some(activate) = installed("systemd-socket-activate") else {
        return;
    };
    let folder = Folder::new();
    let Some(teller) = start_teller(&folder) else {
        return;
    };
    let addr = free_addr();
    let mut command = Command::new(activate);
    command
        .args(["--listen", &addr.to_string()])
        .arg(env!("CARGO_BIN_EXE_threadbare"))
        .args(["--listen", "systemd"])
        .args(["--backend", &format!("http://{}", teller.addr)]);
    let balancer = Peer::start(command, addr, &folder);
    for _ in 0..3 {
        let answer = ask_from(CLIENT, balancer.addr, "/", &[]);
        let got = (answer.status, answer.text());
        assert_eq!(got, (200, "127.0.0.7".to_owned()));
    }
}
