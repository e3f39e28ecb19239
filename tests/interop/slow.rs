//! slowhttptest's four attacks: the service stays available, and leaves nothing behind.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::backends::start_nginx;
use crate::balancer::Balancer;
use crate::peer::{Folder, bounded, installed, output_of, wait};
use crate::plain::get;

/// Shorter than an attack, so that its clients meet their deadlines. Each slow reader holds a
/// thread until then: there are more of these than readers.
const OPTIONS: &[&str] = &[
    "--header-timeout",
    "3s",
    "--idle-timeout",
    "3s",
    "--long-haul",
    "512",
];

/// Of each attack: connections, how many of them a second, and seconds. They drip every second,
/// and a probe that is not answered in 5 s means that the service is not available.
const ATTACK: &[&str] = &[
    "-c", "400", "-r", "200", "-l", "8", "-i", "1", "-p", "5", "-v", "1",
];
/// Above what an attack takes.
const SECONDS: u64 = 40;

/// What a slow reader asks for: more than all buffers between it and the backend.
const BIG: u64 = 50 << 20;

/// What others may wait for their answer meanwhile; as long as the tool's own probes do.
const PATIENCE: Duration = Duration::from_secs(5);
const PACE: Duration = Duration::from_millis(20);

#[test]
fn slow_heads_do_not_take_the_service_away() {
    assert_available_under(&["-H"], "/");
}

#[test]
fn slow_contents_do_not_take_the_service_away() {
    assert_available_under(&["-B", "-s", "1000000"], "/");
}

#[test]
fn slow_readers_do_not_take_the_service_away() {
    let slowly = ["-X", "-w", "512", "-y", "1024", "-n", "1", "-z", "32"];
    assert_available_under(&slowly, "/big");
}

#[test]
fn overlapping_ranges_do_not_take_the_service_away() {
    assert_available_under(&["-R", "-a", "5", "-b", "2000"], "/big");
}

fn assert_available_under(attack: &[&str], target: &str) {
    let Some(tool) = installed("slowhttptest") else {
        return;
    };
    let folder = Folder::new();
    let root = folder.path().display();
    let server = format!(
        "server {{ listen LISTEN; root {root}; location = / {{ return 200 'hello\n'; }} }}"
    );
    let Some(nginx) = start_nginx(&folder, &server) else {
        return;
    };
    let big = std::fs::File::create(folder.path().join("big"));
    big.and_then(|file| file.set_len(BIG))
        .expect("the test's folder takes a file of holes");
    let mut balancer = Balancer::start(&[nginx.addr], OPTIONS);
    assert_eq!(get(balancer.addr, "/", &[]).status, 200);
    let before = balancer.means();

    let addr = balancer.addr;
    let is_over = AtomicBool::new(false);
    let (n_asked, report) = thread::scope(|scope| {
        let asking = scope.spawn(|| ask_until(addr, &is_over));
        let url = format!("http://{}{target}", balancer.addr);
        let report = run(&tool, attack, &url);
        is_over.store(true, Ordering::Relaxed);
        (asking.join().expect("every request is answered"), report)
    });
    assert!(n_asked > 10, "only {n_asked} requests in an attack");
    let Some((code, report)) = report else { return };
    assert_eq!(code, 0, "{report}");
    assert_eq!(availability(&report), Some("YES"), "{report}");
    balancer.await_means(before);
    assert_eq!(balancer.lines("is down"), [""; 0]);
}

/// Small requests, each answered in time, until the attack is over; how many.
fn ask_until(addr: SocketAddr, is_over: &AtomicBool) -> usize {
    let mut n = 0;
    while !is_over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let answer = get(addr, "/", &[]);
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello\n"));
        assert!(begun.elapsed() < PATIENCE, "took {:?}", begun.elapsed());
        n += 1;
        wait(PACE);
    }
    n
}

/// The tool's exit code and what it printed. Panics nowhere: others wait for the attack's end.
fn run(tool: &Path, attack: &[&str], url: &str) -> Option<(i32, String)> {
    let mut command = bounded(tool, SECONDS)?;
    command.args(attack).args(ATTACK).args(["-u", url]);
    let (code, stdout, stderr) = output_of(&mut command);
    Some((code, stdout + &stderr))
}

/// What the tool says of the service at the end, without its colours.
fn availability(report: &str) -> Option<&str> {
    let (_, said) = report.rsplit_once("service available:")?;
    let said = said.split(|c: char| !c.is_ascii_uppercase());
    said.into_iter().find(|word| ["YES", "NO"].contains(word))
}
