//! Backends as they are in the world: nginx, Python's http.server and a Go server.

use std::io::BufRead;
use std::net::SocketAddr;
use std::process::Command;

use crate::balancer::Balancer;
use crate::peer::{Folder, Peer, free_addr, installed, output_of};
use crate::plain::{ask, get, read_head, send};

/// One nginx process without a master, with the folder's files, and what `server` adds.
/// None where nginx is not installed.
pub fn start_nginx(folder: &Folder, server: &str) -> Option<Peer> {
    let http = format!(
        "http {{
            access_log off;
            client_body_temp_path body;
            proxy_temp_path proxy;
            fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi;
            scgi_temp_path scgi;
            keepalive_requests 1000000;
            client_max_body_size 0;
            default_type application/octet-stream;
            {server}
        }}"
    );
    start_nginx_with(folder, "", &http)
}

/// The same with these lines at the beginning, and these blocks.
pub fn start_nginx_with(folder: &Folder, begin: &str, blocks: &str) -> Option<Peer> {
    let nginx = installed("nginx")?;
    let addr = free_addr();
    let port = addr.port();
    // In the foreground and alone, so that a SIGKILL takes all of it, with every path its own.
    let config = format!(
        "{begin}
        daemon off;
        master_process off;
        error_log stderr warn;
        pid {port}.pid;
        worker_rlimit_nofile 4096;
        events {{ worker_connections 1024; }}
        {blocks}",
        blocks = blocks.replace("LISTEN", &addr.to_string()),
    );
    let config = folder.write(&format!("{port}.conf"), &config);
    // A prefix of its own: where the temporary files go.
    let prefix = folder.path().join(port.to_string());
    std::fs::create_dir(&prefix).expect("the test's folder takes another");
    let mut command = Command::new(nginx);
    command
        .arg("-p")
        .arg(prefix)
        .arg("-c")
        .arg(config)
        .args(["-e", "stderr"]);
    Some(Peer::start(command, addr, folder))
}

/// nginx with the folder's files.
pub fn start_nginx_files(folder: &Folder) -> Option<Peer> {
    let root = folder.path().display();
    start_nginx(folder, &format!("server {{ listen LISTEN; root {root}; }}"))
}

/// The Go server beside this file, built here. None where Go is not installed.
pub fn start_go(folder: &Folder) -> Option<Peer> {
    let go = installed("go")?;
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/backend.go");
    let binary = folder.path().join("backend-go");
    let (code, _, stderr) = output_of(
        Command::new(go)
            .arg("build")
            .arg("-o")
            .arg(&binary)
            .arg(source),
    );
    assert_eq!(code, 0, "go build: {stderr}");
    let addr = free_addr();
    let mut command = Command::new(binary);
    command
        .args(["-listen", &addr.to_string()])
        .arg("-folder")
        .arg(folder.path());
    Some(Peer::start(command, addr, folder))
}

#[test]
fn nginx_serves_ranges_conditions_and_errors_through_the_balancer() {
    let folder = Folder::new();
    folder.write("page.txt", "0123456789");
    let Some(nginx) = start_nginx_files(&folder) else {
        return;
    };
    let balancer = Balancer::start(&[nginx.addr], &[]);

    let whole = get(balancer.addr, "/page.txt", &[]);
    assert_eq!((whole.status, whole.text().as_str()), (200, "0123456789"));
    assert!(
        whole.values("Server")[0].starts_with("nginx"),
        "{:?}",
        whole.fields
    );
    assert_eq!(whole.values("Date").len(), 1, "{:?}", whole.fields);

    let part = get(balancer.addr, "/page.txt", &["Range: bytes=2-4"]);
    assert_eq!(
        (part.status, part.reason.as_str()),
        (206, "Partial Content")
    );
    assert_eq!(
        (part.text().as_str(), part.values("Content-Range")),
        ("234", vec!["bytes 2-4/10"])
    );

    let etag = format!("If-None-Match: {}", whole.values("ETag")[0]);
    let unchanged = get(balancer.addr, "/page.txt", &[&etag]);
    assert_eq!(
        (unchanged.status, unchanged.values("ETag")),
        (304, whole.values("ETag"))
    );

    let head = ask(balancer.addr, "HEAD", "/page.txt", &[], b"");
    assert_eq!(
        (head.status, head.values("Content-Length")),
        (200, vec!["10"])
    );

    let missing = get(balancer.addr, "/missing", &[]);
    assert_eq!(
        (missing.status, missing.reason.as_str()),
        (404, "Not Found")
    );
}

#[test]
fn python_s_http_1_0_server_is_a_backend_like_any_other() {
    let Some(python) = installed("python3") else {
        return;
    };
    let folder = Folder::new();
    folder.write("page.txt", "hello from python\n");
    let addr = free_addr();
    let mut command = Command::new(python);
    command.args([
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        &addr.port().to_string(),
    ]);
    command.arg("--directory").arg(folder.path());
    let python = Peer::start(command, addr, &folder);
    let balancer = Balancer::start(&[python.addr], &[]);

    for _ in 0..10 {
        let page = get(balancer.addr, "/page.txt", &[]);
        assert_eq!(
            (page.status, page.text().as_str()),
            (200, "hello from python\n")
        );
    }
    let list = get(balancer.addr, "/", &[]);
    assert!(list.text().contains("page.txt"), "{}", list.text());
    assert_eq!(get(balancer.addr, "/missing", &[]).status, 404);
    let head = ask(balancer.addr, "HEAD", "/page.txt", &[], b"");
    assert_eq!(
        (head.status, head.values("Content-Length")),
        (200, vec!["18"])
    );
    // http.server knows no POST, and says so without reading the content.
    let post = ask(balancer.addr, "POST", "/page.txt", &[], b"content");
    assert_eq!(post.status, 501, "{}", post.reason);
}

#[test]
fn go_sees_the_request_as_it_was_sent_but_for_the_fields_of_a_gateway() {
    let folder = Folder::new();
    let Some(go) = start_go(&folder) else { return };
    let balancer = Balancer::start(&[go.addr], &[]);
    let fields = [
        "X-Forwarded-For: 203.0.113.9",
        "Keep-Alive: 5",
        "TE: trailers",
        "X-Kept: a",
        "X-Kept: b",
    ];
    let answer = get(balancer.addr, "/request?x=%20&y=;", &fields);
    let addr = balancer.addr;
    let wanted = format!(
        "GET /request?x=%20&y=; HTTP/1.1\nHost: {addr}\nX-Forwarded-For: 127.0.0.1\n\
         X-Forwarded-Host: {addr}\nX-Forwarded-Proto: http\nX-Kept: a\nX-Kept: b\n"
    );
    assert_eq!(answer.text(), wanted);
}

#[test]
fn go_s_cookies_trailers_hints_and_odd_statuses_come_through() {
    let folder = Folder::new();
    let Some(go) = start_go(&folder) else { return };
    let balancer = Balancer::start(&[go.addr], &[]);

    let cookies = get(balancer.addr, "/cookies", &[]);
    assert_eq!(cookies.values("Set-Cookie"), ["a=1", "b=1", "c=1"]);
    // Trailers may be dropped; the content before them and the framing may not suffer.
    assert_eq!(
        get(balancer.addr, "/trailers", &[]).text(),
        "before the trailer\n"
    );
    let hinted = get(balancer.addr, "/hinted", &[]);
    assert_eq!(
        (hinted.status, hinted.text().as_str()),
        (200, "after the hint\n")
    );
    for code in [204, 299, 404, 500, 599] {
        assert_eq!(
            get(balancer.addr, &format!("/status?code={code}"), &[]).status,
            code
        );
    }
}

/// The goal: no event waits for the next one. The trick: Go sends the next only after /go-on.
#[test]
fn go_s_server_sent_events_arrive_one_by_one() {
    let folder = Folder::new();
    let Some(go) = start_go(&folder) else { return };
    let balancer = Balancer::start(&[go.addr], &[]);
    let mut events = send(balancer.addr, "GET", "/events", &[], b"");
    let head = read_head(&mut events);
    assert_eq!(head.values("Transfer-Encoding"), ["chunked"]);
    for number in 1..=3 {
        await_text(&mut events, &format!("data: {number}"));
        assert_eq!(get(balancer.addr, "/go-on", &[]).status, 200);
    }
    await_text(&mut events, "0");
}

/// Goes on to the line that is `wanted`; lines between are chunk sizes and ends.
fn await_text(reader: &mut impl BufRead, wanted: &str) {
    loop {
        let mut line = String::new();
        let n = reader
            .read_line(&mut line)
            .expect("a line arrives before the deadline");
        assert!(n > 0, "the events ended before {wanted:?}");
        if line.trim_end() == wanted {
            return;
        }
    }
}

/// The goal: three kinds of server in one pool share evenly. The trick: each names itself.
#[test]
fn a_mixed_pool_is_asked_in_turn() {
    let folder = Folder::new();
    folder.write("hello", "hello from nginx\n");
    let (Some(nginx), Some(go)) = (start_nginx_files(&folder), start_go(&folder)) else {
        return;
    };
    let addrs: Vec<SocketAddr> = vec![nginx.addr, go.addr];
    let balancer = Balancer::start(&addrs, &[]);
    let mut names = [0, 0];
    for _ in 0..20 {
        let text = get(balancer.addr, "/hello", &[]).text();
        names[usize::from(text.contains("from go"))] += 1;
    }
    assert_eq!(names, [10, 10]);
}
