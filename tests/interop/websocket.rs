//! A WebSocket through the balancer: a library at both ends, a browser, and other proxies between.

use std::net::SocketAddr;
use std::process::Command;

use crate::balancer::Balancer;
use crate::fronts::{start_haproxy, start_nginx_upgrading_front};
use crate::peer::{Folder, Peer, bounded, find, free_addr, installed, output_of};
use crate::peer::{python_with, source};

/// The client's own deadline is a little shorter.
pub const SECONDS: u64 = 60;

/// No window, no sandbox (which root can't have), nothing kept, and nobody asked but loopback.
pub const BROWSER_OPTIONS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--dump-dom",
];

/// The echo server beside this file. None where its library is not installed.
fn start_echo(folder: &Folder) -> Option<Peer> {
    let python = python_with("websockets")?;
    let addr = free_addr();
    let mut command = Command::new(python);
    command
        .arg(source("websocket_server.py"))
        .arg(addr.port().to_string());
    Some(Peer::start(command, addr, folder))
}

/// The goal: text, binary, a MiB, pings, fragments, a close from either side, and 20 at once. The
/// client beside this file checks them all.
fn assert_all_echoed(addr: SocketAddr) {
    let python = python_with("websockets").expect("the server has found it");
    let Some(mut client) = bounded(&python, SECONDS) else {
        return;
    };
    client
        .arg(source("websocket_client.py"))
        .arg(format!("ws://{addr}/echo"));
    let (code, stdout, stderr) = output_of(&mut client);
    assert_eq!((code, stdout.as_str()), (0, "all echoed\n"), "{stderr}");
}

#[test]
fn a_websocket_library_is_echoed_through_the_balancer() {
    let folder = Folder::new();
    let Some(echo) = start_echo(&folder) else {
        return;
    };
    let mut balancer = Balancer::start(&[echo.addr], &[]);
    let before = balancer.means();
    assert_all_echoed(balancer.addr);
    balancer.await_means(before);
    assert_eq!(balancer.lines("WARN"), [""; 0]);
}

#[test]
fn a_websocket_comes_through_nginx_in_front() {
    assert_echo_through(start_nginx_upgrading_front);
}

#[test]
fn a_websocket_comes_through_haproxy_in_front() {
    assert_echo_through(start_haproxy);
}

fn assert_echo_through(start_front: fn(&Folder, SocketAddr) -> Option<Peer>) {
    let folder = Folder::new();
    let Some(echo) = start_echo(&folder) else {
        return;
    };
    let balancer = Balancer::start(&[echo.addr], &[]);
    if let Some(front) = start_front(&folder, balancer.addr) {
        assert_all_echoed(front.addr);
    }
}

/// The trick: the page holds its load event, at which the browser writes the document out, until
/// its script has been echoed.
#[test]
fn a_browser_loads_a_page_whose_script_is_echoed() {
    let Some(browser) = find("chromium").or_else(|| installed("chromium-browser")) else {
        return;
    };
    let folder = Folder::new();
    let Some(echo) = start_echo(&folder) else {
        return;
    };
    let balancer = Balancer::start(&[echo.addr], &[]);
    let Some(mut command) = bounded(&browser, SECONDS) else {
        return;
    };
    let profile = folder.path().join("profile");
    command
        .args(BROWSER_OPTIONS)
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("http://{}/", balancer.addr));
    let (code, stdout, stderr) = output_of(&mut command);
    let wanted = "<p id=\"result\">echoed: one, two, three \u{2713}</p>";
    assert!(
        code == 0 && stdout.contains(wanted),
        "{code}: {stdout}\n{stderr}"
    );
}
