//! curl as the client: every framing both ways, 100-continue, and content too large for any buffer.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::backends::{start_go, start_nginx_files};
use crate::balancer::{Balancer, start_demo_backend};
use crate::content::{measure, write_file};
use crate::peer::{DEADLINE, Folder, installed, output_of};

/// Far more than any buffer between the two ends.
const LARGE_MIB: usize = 256;

/// What a balancer may hold at most while it streams, in MiB.
pub const MEMORY_MIB: u64 = 40;

/// What curl calls a download that ended too early: sized, reset, and in mid-chunk.
const CUT_CODES: [i32; 3] = [18, 56, 55];

/// curl, silent but for errors, and with a deadline.
pub fn curl(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args([
        "--silent",
        "--show-error",
        "--max-time",
        &DEADLINE.as_secs().to_string(),
    ]);
    command
}

pub fn url(addr: SocketAddr, target: &str) -> String {
    format!("http://{addr}{target}")
}

#[test]
fn curl_gets_a_page_and_its_head_over_one_connection() {
    let Some(program) = installed("curl") else {
        return;
    };
    let folder = Folder::new();
    let backend = start_demo_backend(&folder);
    let balancer = Balancer::start(&[backend.addr], &[]);
    let page = url(balancer.addr, "/page");

    let (code, stdout, stderr) = output_of(curl(&program).arg("--include").arg(&page));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("HTTP/1.1 200 OK\r\n"), "{stdout}");
    assert!(stdout.contains("GET /page"), "{stdout}");

    let (code, stdout, stderr) = output_of(curl(&program).arg("--head").arg(&page));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("HTTP/1.1 200 OK\r\n"), "{stdout}");
    assert!(
        stdout.to_ascii_lowercase().contains("content-length: "),
        "{stdout}"
    );

    let counts = ["--output", "/dev/null", "--write-out", "%{num_connects} "];
    let mut twice = curl(&program);
    twice.args(counts).arg(&page).args(counts).arg(&page);
    let (code, stdout, stderr) = output_of(&mut twice);
    assert_eq!((code, stdout.as_str()), (0, "1 0 "), "{stderr}");
}

#[test]
fn an_http_1_0_client_gets_chunked_content_without_chunks() {
    let Some(program) = installed("curl") else {
        return;
    };
    let folder = Folder::new();
    let Some(go) = start_go(&folder) else { return };
    let (_, wanted) = write_file(&folder, "content", 1);
    let balancer = Balancer::start(&[go.addr], &[]);

    let mut command = curl(&program);
    command
        .arg("--http1.0")
        .arg("--include")
        .arg(url(balancer.addr, "/hello"));
    let (code, stdout, stderr) = output_of(&mut command);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.ends_with("\r\n\r\nhello from go\n"), "{stdout}");

    let mut command = curl(&program);
    command
        .arg("--http1.0")
        .arg(url(balancer.addr, "/chunked/content"));
    assert_eq!(download(&mut command), (1024 * 1024, wanted));
}

#[test]
fn an_upload_from_stdin_arrives_whole_and_chunked() {
    let Some(program) = installed("curl") else {
        return;
    };
    let folder = Folder::new();
    let Some(go) = start_go(&folder) else { return };
    let (path, hash) = write_file(&folder, "content", 3);
    let balancer = Balancer::start(&[go.addr], &[]);
    let answer = upload(&program, &path, &url(balancer.addr, "/upload"));
    assert_eq!(
        answer,
        format!("{} {hash} length=-1 coding=[chunked]\n", 3 * 1024 * 1024)
    );
}

/// The goal: the content is asked for. The trick: curl would wait longer than the test's deadline.
#[test]
fn an_upload_that_expects_100_continue_is_asked_for_its_content() {
    let Some(program) = installed("curl") else {
        return;
    };
    let folder = Folder::new();
    let Some(go) = start_go(&folder) else { return };
    let (path, hash) = write_file(&folder, "content", 2);
    let balancer = Balancer::start(&[go.addr], &[]);

    let mut command = curl(&program);
    command.args([
        "--verbose",
        "--header",
        "Expect: 100-continue",
        "--expect100-timeout",
        "100",
    ]);
    command
        .arg("--data-binary")
        .arg(format!("@{}", path.display()));
    let (code, stdout, stderr) = output_of(command.arg(url(balancer.addr, "/upload")));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("< HTTP/1.1 100 Continue"), "{stderr}");
    let length = 2 * 1024 * 1024;
    assert_eq!(
        stdout,
        format!("{length} {hash} length={length} coding=[]\n")
    );
}

#[test]
fn large_content_streams_both_ways_in_little_memory() {
    let Some(program) = installed("curl") else {
        return;
    };
    let folder = Folder::new();
    let Some(go) = start_go(&folder) else { return };
    let (path, hash) = write_file(&folder, "content", LARGE_MIB);
    let length = LARGE_MIB * 1024 * 1024;
    let balancer = Balancer::start(&[go.addr], &[]);

    for target in ["/sized/content", "/chunked/content"] {
        let got = download(curl(&program).arg(url(balancer.addr, target)));
        assert_eq!(got, (length, hash.clone()), "{target}");
    }
    let upload_url = url(balancer.addr, "/upload");
    let answer = upload(&program, &path, &upload_url);
    assert_eq!(
        answer,
        format!("{length} {hash} length=-1 coding=[chunked]\n")
    );

    let (code, stdout, stderr) = output_of(
        curl(&program)
            .arg("--upload-file")
            .arg(&path)
            .arg(&upload_url),
    );
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        stdout,
        format!("{length} {hash} length={length} coding=[]\n")
    );

    if let Some(peak) = balancer.peak_memory_mib() {
        assert!(peak < MEMORY_MIB, "threadbare held {peak} MiB for a stream");
    }
}

#[test]
fn a_large_file_of_nginx_arrives_whole() {
    let Some(program) = installed("curl") else {
        return;
    };
    let folder = Folder::new();
    let Some(nginx) = start_nginx_files(&folder) else {
        return;
    };
    let (_, hash) = write_file(&folder, "content", LARGE_MIB);
    let balancer = Balancer::start(&[nginx.addr], &[]);
    let got = download(curl(&program).arg(url(balancer.addr, "/content")));
    assert_eq!(got, (LARGE_MIB * 1024 * 1024, hash));
}

/// The goal: curl never takes a part for the whole, whichever way the content is framed.
#[test]
fn a_download_that_the_backend_cuts_short_fails_in_curl() {
    let Some(program) = installed("curl") else {
        return;
    };
    let folder = Folder::new();
    let Some(go) = start_go(&folder) else { return };
    let balancer = Balancer::start(&[go.addr], &[]);
    for target in ["/cut/sized", "/cut/chunked"] {
        for version in ["--http1.1", "--http1.0"] {
            let mut command = curl(&program);
            command
                .args([version, "--output", "/dev/null"])
                .arg(url(balancer.addr, target));
            let (code, _, stderr) = output_of(&mut command);
            assert!(
                CUT_CODES.contains(&code),
                "{target} {version}: curl ended with {code}: {stderr}"
            );
        }
    }
    let (code, stdout, _) = output_of(curl(&program).arg(url(balancer.addr, "/hello")));
    assert_eq!(
        (code, stdout.as_str()),
        (0, "hello from go\n"),
        "the backend is still in use"
    );
}

/// Runs a curl that writes content to stdout; gives its length and hash.
fn download(command: &mut Command) -> (usize, String) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a program that was found can be started");
    let got = measure(child.stdout.take().expect("stdout was asked for as a pipe"));
    let mut stderr = String::new();
    let mut pipe = child.stderr.take().expect("stderr was asked for as a pipe");
    pipe.read_to_string(&mut stderr)
        .expect("curl writes text to stderr");
    let status = child.wait().expect("a child can be waited for");
    assert!(
        status.success(),
        "curl: {status} after {} bytes: {stderr}",
        got.0
    );
    got
}

/// Uploads a file through curl's stdin, where curl can't know its length and sends chunks.
fn upload(program: &Path, path: &Path, url: &str) -> String {
    let file = File::open(path).expect("a file just written can be opened");
    let mut command = curl(program);
    let (code, stdout, stderr) = output_of(
        command
            .args(["--upload-file", "-"])
            .arg(url)
            .stdin(Stdio::from(file)),
    );
    assert_eq!(code, 0, "{stderr}");
    stdout
}
