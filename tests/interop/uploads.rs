//! Uploads as curl makes them: refused before they are sent, of a GiB, through another proxy, and
//! requests that curl gives up.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::backends::{start_go, start_nginx, start_nginx_files};
use crate::balancer::{Balancer, start_demo_backend};
use crate::curl::{MEMORY_MIB, curl, url};
use crate::fronts::start_haproxy_with;
use crate::peer::{Folder, installed, output_of};

const GIB: u64 = 1 << 30;

/// Asks before it sends, and would wait longer for the answer than the test has time.
const EXPECT: [&str; 4] = [
    "--header",
    "Expect: 100-continue",
    "--expect100-timeout",
    "100",
];

/// What curl calls a deadline of its own.
const TIMED_OUT: i32 = 28;

/// The goal: a backend's refusal comes before the content, which is then never sent.
fn assert_refused_unsent(program: &std::path::Path, balancer: &Balancer, status: &str) {
    let folder = Folder::new();
    let content = folder.write("content", &"x".repeat(1 << 20));
    let mut command = curl(program);
    command
        .args(EXPECT)
        .args(["--verbose", "--output", "/dev/null"])
        .args(["--write-out", "%{http_code} %{size_upload}"])
        .arg("--data-binary")
        .arg(format!("@{}", content.display()))
        .arg(url(balancer.addr, "/"));
    let (_, stdout, stderr) = output_of(&mut command);
    assert_eq!(stdout, format!("{status} 0"), "{stderr}");
    assert!(!stderr.contains("100 Continue"), "{stderr}");
}

#[test]
fn an_upload_too_large_for_nginx_is_refused_before_it_is_sent() {
    let Some(program) = installed("curl") else {
        return;
    };
    let folder = Folder::new();
    let server = "server { listen LISTEN; client_max_body_size 1k; root /nonexistent; }";
    let Some(nginx) = start_nginx(&folder, server) else {
        return;
    };
    let balancer = Balancer::start(&[nginx.addr], &[]);
    assert_refused_unsent(&program, &balancer, "413");
}

#[test]
fn an_upload_that_haproxy_does_not_admit_is_refused_before_it_is_sent() {
    let Some(program) = installed("curl") else {
        return;
    };
    let folder = Folder::new();
    let rules = "mode http";
    let deny = "127.0.0.1:9\nhttp-request deny deny_status 401";
    let Some(haproxy) = start_haproxy_with(&folder, rules, deny) else {
        return;
    };
    let balancer = Balancer::start(&[haproxy.addr], &[]);
    assert_refused_unsent(&program, &balancer, "401");
}

/// The trick: nginx counts the requests on each of its connections.
#[test]
fn requests_one_after_another_share_one_connection_to_nginx() {
    let Some(program) = installed("curl") else {
        return;
    };
    let folder = Folder::new();
    let server = "server { listen LISTEN; location / { return 200 '$connection_requests '; } }";
    let Some(nginx) = start_nginx(&folder, server) else {
        return;
    };
    let balancer = Balancer::start(&[nginx.addr], &[]);
    let mut command = curl(&program);
    command.args([(); 5].map(|()| url(balancer.addr, "/")));
    let (code, stdout, stderr) = output_of(&mut command);
    assert_eq!((code, stdout.as_str()), (0, "1 2 3 4 5 "), "{stderr}");
}

/// Sized, chunked and asked for first; another proxy behind the balancer, and Go behind that.
#[test]
fn uploads_and_downloads_come_through_haproxy_behind() {
    let Some(program) = installed("curl") else {
        return;
    };
    let folder = Folder::new();
    let Some(go) = start_go(&folder) else { return };
    let Some(haproxy) = start_haproxy_with(&folder, "mode http", &go.addr.to_string()) else {
        return;
    };
    let balancer = Balancer::start(&[haproxy.addr], &[]);
    let content = folder.write("content", &"0123456789".repeat(300_000));
    let file = content.display().to_string();
    let target = url(balancer.addr, "/upload");

    let sized = vec!["--upload-file", &file];
    let chunked = vec![
        "--upload-file",
        &file,
        "--header",
        "Transfer-Encoding: chunked",
    ];
    let mut asked = EXPECT.to_vec();
    asked.extend(&sized);
    for (options, framing) in [
        (sized, "length=3000000 coding=[]\n"),
        (chunked, "length=-1 coding=[chunked]\n"),
        (asked, "length=3000000 coding=[]\n"),
    ] {
        let (code, stdout, stderr) = output_of(curl(&program).args(&options).arg(&target));
        assert_eq!(code, 0, "{options:?}: {stderr}");
        assert!(stdout.starts_with("3000000 "), "{options:?}: {stdout}");
        assert!(stdout.ends_with(framing), "{options:?}: {stdout}");
    }
    for target in ["/sized/content", "/chunked/content"] {
        let target = url(balancer.addr, target);
        let (code, stdout, stderr) = output_of(curl(&program).arg(target));
        assert_eq!(code, 0, "{stderr}");
        assert!(stdout == "0123456789".repeat(300_000), "{}", stdout.len());
    }
}

#[test]
fn a_gibibyte_goes_up_and_comes_down_in_little_memory() {
    let (Some(program), Some(head)) = (installed("curl"), installed("head")) else {
        return;
    };
    let folder = Folder::new();
    let (Some(go), Some(nginx)) = (start_go(&folder), start_nginx_files(&folder)) else {
        return;
    };
    let uploads = Balancer::start(&[go.addr], &[]);
    let mut zeros = Command::new(head)
        .args(["-c", &GIB.to_string(), "/dev/zero"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a program that was found can be started");
    let pipe = zeros.stdout.take().expect("stdout was asked for as a pipe");
    let mut command = curl(&program);
    command
        .args(["--upload-file", "-", &url(uploads.addr, "/upload")])
        .stdin(Stdio::from(pipe));
    let (code, stdout, stderr) = output_of(&mut command);
    zeros.wait().expect("a child can be waited for");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with(&format!("{GIB} ")), "{stdout}");

    let downloads = Balancer::start(&[nginx.addr], &[]);
    File::create(folder.path().join("zeros"))
        .and_then(|file| file.set_len(GIB))
        .expect("the test's folder takes a file of holes");
    let mut command = curl(&program);
    command
        .args(["--output", "/dev/null", "--write-out", "%{size_download}"])
        .arg(url(downloads.addr, "/zeros"));
    let (code, stdout, stderr) = output_of(&mut command);
    assert_eq!((code, stdout), (0, GIB.to_string()), "{stderr}");

    for peak in [uploads.peak_memory_mib(), downloads.peak_memory_mib()] {
        let peak = peak.unwrap_or(0);
        assert!(peak < MEMORY_MIB, "threadbare held {peak} MiB for a stream");
    }
}

/// The goal: a client's impatience costs the backend its work and nobody else anything. The trick:
/// one worker, and a backend that tells when its client has gone away.
#[test]
fn a_request_that_curl_gives_up_frees_its_worker_and_marks_nobody() {
    let Some(program) = installed("curl") else {
        return;
    };
    let folder = Folder::new();
    let Some(go) = start_go(&folder) else { return };
    let demo = start_demo_backend(&folder);
    // Far away: what holds the worker is not to be promoted out of its way.
    let options = ["--workers", "1", "--long-haul-after", "1h"];
    let mut balancer = Balancer::start(&[go.addr, demo.addr], &options);
    for round in 0..5 {
        let mut command = curl(&program);
        command.args(["--max-time", "0.3"]);
        let (code, ..) = output_of(command.arg(url(balancer.addr, "/never")));
        assert_eq!(code, TIMED_OUT, "round {round}");
        let mut command = curl(&program);
        command.args([url(balancer.addr, "/page"), url(balancer.addr, "/gone")]);
        let (code, stdout, stderr) = output_of(&mut command);
        assert_eq!(code, 0, "round {round}: {stderr}");
        assert!(stdout.contains("GET /page"), "round {round}: {stdout}");
        assert!(stdout.ends_with("\ngone\n"), "round {round}: {stdout}");
        // The other backend's turn; so that the next round begins with Go again.
        output_of(curl(&program).arg(url(balancer.addr, "/page")));
    }
    assert_eq!(balancer.lines("WARN"), [""; 0]);
}
