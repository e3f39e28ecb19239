//! `threadbare service` as a process: what it prints runs this very program with these words.

use std::fs;
use std::process::Command;

use crate::harness::{ConfigFile, Folder, run, run_command};

/// What no word of a command line may do, but be one.
const SECRET: &str = "it's a \"$HOME\" %h `id` \\ \n;";

/// What procd's functions would be told, a line each, words between bars.
const STUBS: &str = "for f in procd_open_instance procd_set_param procd_send_signal; do
eval \"$f() { printf '%s' $f; printf '|%s' \\\"\\$@\\\"; echo '|.'; }\"; done
procd_close_instance() { echo closed; }
. \"$1\"; $2; echo \"USE_PROCD=$USE_PROCD\"
";

fn print(manager: &str, words: &[&str]) -> String {
    let run = run(&[&["service", manager], words].concat());
    assert_eq!((run.code, run.stderr.len()), (Some(0), 0), "{run:?}");
    run.stdout.join("\n") + "\n"
}

/// What a function of the script tells procd.
fn told(folder: &Folder, script: &str, function: &str) -> Vec<String> {
    let path = folder.write("threadbare", script);
    let mut shell = Command::new("sh");
    shell.args(["-euc", STUBS, "sh", &path, function]);
    let run = run_command(shell);
    assert_eq!((run.code, run.stderr.len()), (Some(0), 0), "{run:?}");
    let text = run.stdout.join("\n");
    text.split_inclusive("|.")
        .map(|l| l.trim().to_owned())
        .collect()
}

#[test]
fn the_init_script_starts_this_program_with_these_words() {
    // Goal: what procd would be told, taken from the script by a real shell. Trick: its functions
    // are stubs that print what they get.
    let folder = Folder::new();
    let words = [
        ["--backend", "http://127.0.0.1:8081"],
        ["--sticky", "A"],
        ["--sticky-secret", SECRET],
    ];
    let words = words.as_flattened();
    let script = print("procd", words);
    let told_at_start = told(&folder, &script, "start_service");
    let program = fs::canonicalize(env!("CARGO_BIN_EXE_threadbare")).expect("it is there");
    let command = [&[program.to_str().expect("it is plain")], words].concat();
    let command = format!("procd_set_param|command|{}|.", command.join("|"));
    for wanted in [
        &command,
        "procd_set_param|respawn|3600|5|0|.",
        "procd_set_param|limits|nofile=65536 65536|.",
    ] {
        assert!(
            told_at_start.iter().any(|l| l == wanted),
            "{wanted}: {told_at_start:#?}"
        );
    }
    let last = told_at_start.last().expect("something was told");
    assert_eq!(last, "closed\nUSE_PROCD=1");
    let told_at_reload = told(&folder, &script, "reload_service");
    assert_eq!(told_at_reload[0], "procd_send_signal|threadbare|*|HUP|.");
}

#[test]
fn a_unit_that_could_not_start_is_refused() {
    // Goal: exit 2 and no unit where its own settings would hide what it runs, with the path, the
    // reason and a way out; and for a bad file, what is wrong with that. Trick: all of /tmp is
    // hidden, whether there is anything or not.
    let words = [
        "--backend",
        "http://127.0.0.1:8081",
        "--state-file",
        "/tmp/a/state",
    ];
    let hidden = run(&[&["service", "systemd"][..], &words].concat());
    assert_eq!(
        (hidden.code, hidden.stdout.len()),
        (Some(2), 0),
        "{hidden:?}"
    );
    let line = hidden.stderr.last().expect("it says why");
    for part in ["/tmp/a/state", "PrivateTmp=yes", "/var/lib/threadbare"] {
        assert!(line.contains(part), "{part}: {hidden:?}");
    }
    let file = ConfigFile::new("service", "wrokers = 1\n");
    let bad = run(&["service", "systemd", "--config", file.path()]);
    assert_eq!((bad.code, bad.stdout.len()), (Some(2), 0), "{bad:?}");
    assert!(bad.stderr[0].contains("wrokers"), "{bad:?}");
}
