//! The configuration file: what --check and a start say of it, and that it is what runs.

use std::env;

use crate::harness::{Backend, ConfigFile, Threadbare, command, run};

const GOOD: &str = r#"
listen = "127.0.0.1:0"
workers = 7

[pool.web]
policy = "least-connections"
backends = ["http://127.0.0.1:8081", "http://127.0.0.1:8082,weight=2"]

[pool.api]
health_path = "/up"
backends = ["http://127.0.0.1:8083,name=api1"]

[[route]]
pool = "web"

[[route]]
host = "*.example.org"
path = "/api"
pool = "api"
strip_prefix = true
set_fields = { "X-Api" = "1" }
"#;

const BAD: &str = r#"
workers = 0
wrokers = 3

[pool.web]
policy = "ip-hash"
weight = 2
backends = ["http://a", "ftp://b"]
rise = "${THREADBARE_NOT_SET}"

[pool.empty]

[[route]]
pool = "web"

[[route]]
pool = "api"
"#;

#[test]
fn check_prints_what_can_be_read_back() {
    // Goal: exit 0 and TOML that means the same. Trick: the check of what a check printed prints
    // the same again.
    let file = ConfigFile::new("good", GOOD);
    let first = run(&["--check", "--config", file.path()]);
    assert_eq!((first.code, &first.stderr[..]), (Some(0), &[][..]));
    for told in [
        "workers = 7",
        "[pool.web]",
        "policy = \"least-connections\"",
        "weight = 2",
        "name = \"api1\"",
        "health = \"http\"",
        "host = \"*.example.org\"",
        "strip_prefix = true",
        "set_fields = { \"X-Api\" = \"1\" }",
        "queue = 1024",
    ] {
        assert!(
            first.stdout.iter().any(|line| line == told),
            "{told}: {first:#?}"
        );
    }
    let printed = ConfigFile::new("printed", &first.stdout.join("\n"));
    let second = run(&["--check", "--config", printed.path()]);
    assert_eq!(second.code, Some(0), "{second:?}");
    assert_eq!(second.stdout, first.stdout);
}

#[test]
fn all_that_is_wrong_is_told_at_once_by_check_and_by_a_start() {
    // Goal: exit 2, nothing on standard output, one line for each fault, with file and line, in
    // the order of the file.
    let file = ConfigFile::new("bad", BAD);
    let faults = [
        "2: workers is 0; want a whole number from 1 to 4096",
        "3: unknown key wrokers; want workers",
        "7: unknown key weight; want ",
        "8: backends has \"ftp://b\"; want http://HOST[:PORT][/BASE], as in http://127.0.0.1:8081",
        "9: the variable THREADBARE_NOT_SET is not set; want it set, or \
         ${THREADBARE_NOT_SET:-default}",
        "11: pool empty has no backend; want backends = [\"http://HOST:PORT\"]",
        "17: there is no pool \"api\"; want one of: web, empty",
    ];
    for args in [
        &["--config", file.path()][..],
        &["--check", "--config", file.path()],
    ] {
        let run = run(args);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert_eq!(run.stdout, [""; 0]);
        assert_eq!(run.stderr.len(), faults.len(), "{run:#?}");
        for (line, fault) in run.stderr.iter().zip(faults) {
            let wanted = format!("{}:{fault}", file.path());
            assert!(line.starts_with(&wanted), "{line} is not {wanted}");
        }
    }
}

#[test]
fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
    let file = ConfigFile::new("precedence", GOOD);
    let args = [
        "--check",
        "--config",
        file.path(),
        "--workers",
        "9",
        "--queue",
        "5",
    ];
    let run = run(&args);
    assert_eq!(run.code, Some(0), "{run:?}");
    for told in [
        "workers = 9",
        "queue = 5",
        "listen = [\"127.0.0.1:0\"]",
        "min_rate = 256",
    ] {
        assert!(
            run.stdout.iter().any(|line| line == told),
            "{told}: {run:#?}"
        );
    }
}

#[test]
fn options_of_a_pool_do_not_go_with_a_file() {
    // Goal: a line for each, which says where it belongs.
    let file = ConfigFile::new("pool-flags", GOOD);
    let backend = ["--backend", "http://a", "--retries", "2"];
    let run = run(&[&["--config", file.path()][..], &backend].concat());
    assert_eq!(run.code, Some(2), "{run:?}");
    let path = file.path();
    let wanted = [
        format!(
            "threadbare: --backend does not go with --config; want backends = [...] of a \
             [pool.NAME] in {path}"
        ),
        format!(
            "threadbare: --retries does not go with --config; want retries of a [pool.NAME] in \
             {path}"
        ),
    ];
    assert_eq!(run.stderr, wanted);
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let folder = env::temp_dir();
    let folder = folder.to_str().expect("it is plain");
    for (path, why) in [
        ("/nowhere/threadbare.toml", "no such file"),
        (folder, "directory"),
    ] {
        let run = run(&["--check", "--config", path]);
        assert_eq!((run.code, run.stderr.len()), (Some(2), 1), "{run:?}");
        let line = &run.stderr[0];
        assert!(line.contains(path) && line.contains(why), "{line}");
    }
    let run = run(&["demo", "--config", "x.toml"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr[0].contains("demo"), "{run:?}");
}

#[test]
fn what_the_file_says_is_what_runs() {
    // Goal: a request gets through a pool of a file to its backend. Trick: where that is, is told
    // by a variable of the environment.
    let backend = Backend::answering("from a file");
    let text = "listen = \"127.0.0.1:0\"\n[pool.web]\nbackends = \"http://${BACKEND}\"\n";
    let file = ConfigFile::new("runs", text);
    let mut command = command(&["--config", file.path()]);
    command.env("BACKEND", backend.addr.to_string());
    let threadbare = Threadbare::launch(command);
    let answer = threadbare.get("/");
    assert_eq!(
        (answer.status, answer.text()),
        (200, "from a file".to_owned())
    );
    threadbare.stop();
}
