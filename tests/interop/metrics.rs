//! What the balancer tells, in the eyes of a load tool, of Prometheus, and of a browser.

use std::fs;
use std::process::Command;
use std::thread;

use crate::balancer::{Balancer, start_demo_backend};
use crate::peer::{Folder, bounded, find, free_addr, installed, output_of};
use crate::plain::get;
use crate::websocket::{BROWSER_OPTIONS, SECONDS};

const N_REQUESTS: u64 = 100_000;

/// The sum of all lines of a metric that have this label.
fn sum(text: &str, name: &str, label: &str) -> u64 {
    let lines = text.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(label)
    });
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

#[test]
fn counters_agree_with_a_load_tool_while_backends_are_killed() {
    // Goal: each request is counted once, under the answer that the tool got. Trick: a tool that
    // asks exactly so often, and a backend that dies and comes back meanwhile, several times.
    let Some(ab) = installed("ab") else { return };
    let folder = Folder::new();
    let (mut mortal, other) = (start_demo_backend(&folder), start_demo_backend(&folder));
    let admin = free_addr();
    let log = folder.path().join("access.log");
    let options = [
        "--admin",
        &admin.to_string(),
        "--max-failures",
        "3",
        "--access-log",
        log.to_str().expect("it is plain"),
        "--access-format",
        "{status} {fate}",
    ];
    let balancer = Balancer::start(&[mortal.addr, other.addr], &options);
    let mut command = Command::new(ab);
    command.args([
        "-k",
        "-q",
        "-s",
        "20",
        "-c",
        "32",
        "-n",
        &N_REQUESTS.to_string(),
    ]);
    command.arg(format!("http://{}/", balancer.addr));
    let load = thread::spawn(move || output_of(&mut command));
    let n_done = || {
        let text = get(admin, "/metrics", &[]).text();
        sum(&text, "threadbare_exchanges_total", "")
    };
    for round in 1..=3 {
        // While the load goes on: at a quarter, a half, and three quarters of it.
        while n_done() < N_REQUESTS / 4 * round && !load.is_finished() {}
        mortal.kill();
        while get(balancer.addr, "/", &[]).status != 200 {}
        mortal.restart();
    }
    let (code, report, stderr) = load.join().expect("the load tool is waited for");
    assert_eq!(code, 0, "{stderr}");
    let line = |name: &str| {
        let line = report.lines().find(|line| line.starts_with(name));
        let word = line.and_then(|line| line.split_whitespace().last());
        word.and_then(|word| word.parse::<u64>().ok())
    };
    assert_eq!(line("Non-2xx responses:"), None, "{report}");
    // The last is counted a moment after its client has it; three or more were asked by hand.
    let text = loop {
        let text = get(admin, "/metrics", &[]).text();
        if sum(&text, "threadbare_exchanges_in_flight", "") == 0 {
            break text;
        }
    };
    let by_hand = sum(&text, "threadbare_exchanges_total", "") - N_REQUESTS;
    assert!((3..10).contains(&by_hand), "{by_hand}: {text}");
    let all = N_REQUESTS + by_hand;
    assert_eq!(
        sum(&text, "threadbare_exchanges_total", "fate=\"answered\""),
        all
    );
    assert_eq!(sum(&text, "threadbare_requests_total", "code=\"2xx\""), all);
    assert_eq!(sum(&text, "threadbare_requests_total", ""), all);
    assert_eq!(
        sum(&text, "threadbare_request_duration_seconds_count", ""),
        all
    );
    let attempts = sum(&text, "threadbare_backend_attempts_total", "");
    assert_eq!(
        attempts,
        all + sum(&text, "threadbare_retries_total", ""),
        "{text}"
    );
    // A line is written a moment after its request was counted.
    let written = || {
        sum(
            &get(admin, "/metrics", &[]).text(),
            "threadbare_access_log_lines_total",
            "",
        )
    };
    while written() < all {}
    let lines = fs::read_to_string(&log).expect("it is there");
    assert_eq!(
        lines.lines().filter(|line| *line == "200 OK").count() as u64,
        all
    );
    assert_eq!(lines.lines().count() as u64, all);
}

#[test]
fn prometheus_takes_the_metrics() {
    let Some(promtool) = installed("promtool") else {
        return;
    };
    let folder = Folder::new();
    let backend = start_demo_backend(&folder);
    let admin = free_addr();
    let balancer = Balancer::start(&[backend.addr], &["--admin", &admin.to_string()]);
    assert_eq!(get(balancer.addr, "/", &[]).status, 200);
    let page = folder.write("metrics", &get(admin, "/metrics", &[]).text());
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!(
        "exec {} check metrics < {}",
        promtool.display(),
        page.display()
    ));
    assert_eq!(output_of(&mut command), (0, String::new(), String::new()));
}

#[test]
fn a_browser_shows_the_page_with_its_threads_and_backends() {
    // Goal: the page runs under its own policy and shows what it asked for. Trick: what the browser
    // has made of it after two of its own seconds, as text.
    let Some(browser) = find("chromium").or_else(|| installed("chromium-browser")) else {
        return;
    };
    let folder = Folder::new();
    let backend = start_demo_backend(&folder);
    let admin = free_addr();
    let balancer = Balancer::start(&[backend.addr], &["--admin", &admin.to_string()]);
    let target = "/<img src=x onerror=alert(1)>".replace(' ', "%20");
    assert_eq!(get(balancer.addr, &target, &[]).status, 200);
    let Some(mut command) = bounded(&browser, SECONDS) else {
        return;
    };
    let profile = folder.path().join("profile");
    command
        .args(BROWSER_OPTIONS)
        .arg("--virtual-time-budget=3000")
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("http://{admin}/"));
    let (code, stdout, stderr) = output_of(&mut command);
    let backend = backend.addr.to_string();
    for wanted in ["64 workers", ">Drain<", ">live<", &backend] {
        let is_there = code == 0 && stdout.contains(wanted);
        assert!(is_there, "{wanted}: {stdout}\n{stderr}");
    }
    // A client's text is text.
    assert!(stdout.contains("&lt;img"), "{stdout}");
    assert!(!stdout.contains("<img"), "{stdout}");
}
