//! What is printed for which options; that it is taken is tested with systemd itself, and with a
//! shell.

use super::*;

const BACKEND: [&str; 2] = ["--backend", "http://127.0.0.1:8081"];

const PROGRAM: &str = "/usr/local/bin/threadbare";

fn print(manager: &str, words: &[&str]) -> Vec<String> {
    let words = [&[manager], &BACKEND[..], words].concat();
    let text = text(&words, Ok(PathBuf::from(PROGRAM))).expect("good words");
    text.lines().map(str::to_owned).collect()
}

fn unit(words: &[&str]) -> Vec<String> {
    print("systemd", words)
}

#[track_caller]
fn assert_has(lines: &[String], wanted: &str) {
    assert!(
        lines.iter().any(|l| l.trim() == wanted),
        "{wanted}: {lines:#?}"
    );
}

#[track_caller]
fn assert_lacks(lines: &[String], unwanted: &str) {
    let found = lines.iter().find(|l| l.contains(unwanted));
    assert_eq!(found, None);
}

#[test]
fn a_unit_has_what_its_options_need_and_no_more() {
    let plain = unit(&[]);
    for wanted in [
        "CapabilityBoundingSet=",
        "PrivateUsers=yes",
        "TimeoutStopSec=10s",
    ] {
        assert_has(&plain, wanted);
    }
    for unwanted in [
        "CAP_NET",
        "threadbare.socket",
        "Runtime",
        "ReadWrite",
        "Credential",
    ] {
        assert_lacks(&plain, unwanted);
    }
    for words in [["--listen", "0.0.0.0:80"], ["--admin", "127.0.0.1:99"]] {
        let low = unit(&words);
        assert_has(&low, "AmbientCapabilities=CAP_NET_BIND_SERVICE");
        assert_has(&low, "CapabilityBoundingSet=CAP_NET_BIND_SERVICE");
        assert_lacks(&low, "PrivateUsers");
    }
    let free = unit(&["--listen", "127.0.0.1:0"]);
    assert_lacks(&free, "CAP_NET");
    let inherited = unit(&["--listen", "systemd"]);
    assert_has(&inherited, "Requires=threadbare.socket");
    assert_lacks(&inherited, "CAP_NET");
    let unix = unit(&["--listen", "unix:/run/threadbare/http"]);
    assert_has(&unix, "RuntimeDirectory=threadbare");
    assert_lacks(&unix, "ReadWrite");
    assert_lacks(
        &unit(&["--state-file", "/var/lib/threadbare/state"]),
        "ReadWrite",
    );
    let logging = unit(&["--access-log", "/var/log/threadbare/access.log"]);
    assert_has(&logging, "LogsDirectory=threadbare");
    assert_lacks(&logging, "ReadWrite");
    assert_lacks(&unit(&["--access-log", "-"]), "LogsDirectory");
    let elsewhere = unit(&["--state-file", "/srv/a b/state"]);
    assert_has(&elsewhere, "ReadWritePaths=\"/srv/a b\"");
    let slow = unit(&[
        "--shutdown-timeout",
        "1500ms",
        "--max-connections",
        "1000000",
    ]);
    assert_has(&slow, "TimeoutStopSec=7s");
    assert_has(&slow, "LimitNOFILE=1048576");
}

#[test]
fn the_token_is_read_by_systemd() {
    let token = [
        "--admin",
        "127.0.0.1:9901",
        "--admin-token-file",
        "/etc/100%",
    ];
    let lines = unit(&token);
    assert_has(&lines, "LoadCredential=admin-token:/etc/100%%");
    let command = lines.iter().find(|l| l.starts_with("ExecStart="));
    let command = command.expect("it starts something");
    assert!(
        command.ends_with(" --admin-token-file %d/admin-token"),
        "{command}"
    );
}

#[test]
fn paths_do_not_depend_on_where_they_were_typed() {
    let here = std::env::current_dir().expect("there is one");
    let here = here.to_str().expect("it is plain");
    let words = [
        "--state-file",
        "a/s",
        "--drain-dir",
        "/d",
        "--access-log",
        "l",
        "--access-log",
        "-",
        "--sticky",
        "a/s",
    ];
    let wanted = [
        "--state-file",
        &format!("{here}/a/s"),
        "--drain-dir",
        "/d",
        "--access-log",
        &format!("{here}/l"),
        "--access-log",
        "-",
        "--sticky",
        "a/s",
    ];
    assert_eq!(absolute(&words), wanted);
}

#[test]
fn words_are_quoted_as_each_manager_has_it() {
    let words = [
        "--sticky",
        "SRV",
        "--sticky-secret",
        "a'b \"$HOME\" %h `id` \\ \n;",
    ];
    let systemd = r#"--sticky-secret "a'b \"$$HOME\" %%h `id` \\ \x0a;""#;
    let lines = unit(&words);
    let command = lines.iter().find(|l| l.starts_with("ExecStart="));
    let command = command.expect("it starts something");
    assert!(command.ends_with(systemd), "{command}");
    let script = print("procd", &words).join("\n");
    assert!(
        script.contains("'a'\\''b \"$HOME\" %h `id` \\ \n;'"),
        "{script}"
    );
    assert!(
        unit(&["--health-path", "/%"])
            .iter()
            .any(|l| l.ends_with("\"/%%\""))
    );
}

#[test]
fn what_a_unit_would_hide_from_itself_is_refused() {
    // Goal: a line for each path, with what hides it and where it can be; systemd itself reads the
    // token. Trick: procd hides nothing.
    let words = [
        ["--access-log", "/home/a/log"],
        ["--state-file", "/run/user/1/state"],
        ["--drain-dir", "/var/tmp/drain"],
        ["--listen", "unix:/tmp/http"],
        ["--admin", "127.0.0.1:1"],
        ["--admin-token-file", "/root/token"],
    ];
    let words = [&BACKEND[..], words.as_flattened()].concat();
    let program = || Ok(PathBuf::from("/root/.cargo/bin/threadbare"));
    let lines = text(&[&["systemd"], &words[..]].concat(), program()).expect_err("all hidden");
    let wanted = [
        [
            "/root/.cargo/bin/threadbare",
            "ProtectHome=yes",
            "make install",
        ],
        ["/home/a/log", "ProtectHome=yes", "/var/log/threadbare"],
        [
            "/run/user/1/state",
            "ProtectHome=yes",
            "/var/lib/threadbare",
        ],
        ["/var/tmp/drain", "PrivateTmp=yes", "elsewhere"],
        ["/tmp/http", "PrivateTmp=yes", "/run/threadbare"],
    ];
    assert_eq!(lines.len(), wanted.len(), "{lines:#?}");
    for (line, parts) in lines.iter().zip(wanted) {
        assert!(line.starts_with("threadbare service: the "), "{line}");
        for part in parts {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    assert!(text(&[&["procd"], &words[..]].concat(), program()).is_ok());
}

#[test]
fn a_unit_fits_the_file_that_it_runs() {
    // Goal: options of the file count as well as those of the command line. Trick: the unit is made
    // without the question whether the service could see the file, which is in the way of no one.
    let file = std::env::temp_dir().join(format!("threadbare-unit-{}.toml", std::process::id()));
    let text = "listen = \"0.0.0.0:80\"\n[pool.web]\nbackends = [\"http://127.0.0.1:8081\"]\n";
    std::fs::write(&file, text).expect("the folder can be written");
    let path = file.to_str().expect("it is plain");
    let service = service(&["--config", path], Ok(PathBuf::from(PROGRAM)));
    let unit = systemd::unit(&service.expect("a good file"));
    let _ = std::fs::remove_file(&file); // it is ours
    let lines: Vec<String> = unit.lines().map(str::to_owned).collect();
    assert_has(&lines, &format!("ExecStart={PROGRAM} --config {path}"));
    assert_has(&lines, "Type=notify");
    assert_has(&lines, "AmbientCapabilities=CAP_NET_BIND_SERVICE");
}

#[test]
fn what_cannot_run_is_not_printed() {
    let cases: [(&[&str], &str); 7] = [
        (&[], "want systemd or procd"),
        (&["launchd"], "\"launchd\": want systemd or procd"),
        (&["systemd"], "no backend given"),
        (&["procd", "demo"], "the options run no balancer"),
        (&["systemd", "--version"], "the options run no balancer"),
        (&["systemd", "--config", "/nonexistent"], "can't be read"),
        (
            &["procd", "--workers", "0", BACKEND[0], BACKEND[1]],
            "--workers",
        ),
    ];
    for (words, reason) in cases {
        let lines = text(words, Ok(PathBuf::from(PROGRAM))).expect_err("it cannot run");
        assert!(lines[0].contains(reason), "{words:?}: {lines:?}");
        assert_eq!(lines.len(), 1, "{words:?}: {lines:?}");
    }
    let help = text(&["--help"], Ok(PathBuf::new())).expect("it helps");
    assert!(help.contains("systemd|procd"));
}
