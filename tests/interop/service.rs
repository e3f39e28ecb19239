//! What `threadbare service` prints, in the eyes of systemd and shellcheck.

use std::path::PathBuf;
use std::process::Command;

use threadbare::process::service;

use crate::peer::{Folder, installed};

/// The worst exposure, of 100, that the unit may have.
const EXPOSURE: &str = "--threshold=16";

/// Words that need quotes, a port that needs a capability, files that need places.
const WORDS: [&[&str]; 2] = [
    &["--listen", "127.0.0.1:8080"],
    &[
        "--listen",
        "0.0.0.0:80",
        "--listen",
        "systemd",
        "--listen",
        "unix:/run/threadbare/http",
        "--admin",
        "127.0.0.1:9901",
        "--admin-token-file",
        "/etc/hostname",
        "--state-file",
        "/srv/a b/state",
        "--sticky",
        "A",
        "--sticky-secret",
        "a \"$b\" %c \\d 'e' é\t;",
    ],
];

/// For a program that is where a unit may find it: ours may be in somebody's home.
fn print(manager: &str, words: &[&str]) -> String {
    let words = [&[manager, "--backend", "http://127.0.0.1:8081"], words].concat();
    service::text(&words, Ok(PathBuf::from("/usr/bin/env"))).expect("good words")
}

#[track_caller]
fn assert_content(command: &mut Command) -> String {
    let output = command.output().expect("it is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert_eq!(errors, "", "{text}");
    text
}

#[test]
fn systemd_takes_the_unit_and_finds_little_exposed() {
    let Some(analyze) = installed("systemd-analyze") else {
        return;
    };
    let folder = Folder::new();
    folder.write(
        "threadbare.socket",
        "[Socket]\nListenStream=127.0.0.1:8080\n",
    );
    for words in WORDS {
        let unit = folder.write("threadbare.service", &print("systemd", words));
        let mut verify = Command::new(&analyze);
        assert_content(verify.args(["verify", "--man=no"]).arg(&unit));
        let mut security = Command::new(&analyze);
        security.args(["security", "--offline=true", "--no-pager", EXPOSURE]);
        let told = assert_content(security.arg(&unit));
        let last = told
            .lines()
            .rfind(|line| !line.is_empty())
            .unwrap_or_default();
        println!("{last}");
    }
}

#[test]
fn shellcheck_has_nothing_against_the_init_script() {
    let Some(shellcheck) = installed("shellcheck") else {
        return;
    };
    let folder = Folder::new();
    for words in WORDS {
        let script = folder.write("threadbare", &print("procd", words));
        let mut check = Command::new(&shellcheck);
        // SC2016: what would be expanded is in single quotes on purpose.
        assert_content(check.args(["-s", "sh", "-e", "SC2016"]).arg(script));
    }
}
