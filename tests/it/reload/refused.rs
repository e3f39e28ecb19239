//! Files that are not valid: refused whole, in one line, and the old configuration runs on.

use super::{REFUSED, Site, content, web};
use crate::harness::Backend;

#[test]
fn an_invalid_file_is_refused_whole_in_one_line() {
    // Goal: all faults in one line, in their order, with file and line; requests are served as
    // before, nothing valid of the file is applied; the next valid file is. Trick: the file also
    // replaces the backend.
    let [a, b] = ["a", "b"].map(Backend::answering);
    let site = Site::start("refused", &web("", &[("a", &a, "")]));
    let mut client = site.client();
    let bad = format!(
        "wrokers = 3\nconnect_timeout = \"soon\"\n{}[[route]]\npool = \"wbe\"\n",
        web("retries = 2\n", &[("b", &b, "")])
    );
    for n in 1..=2 {
        let faults = site.refuse(&bad);
        let path = site.file.path();
        let mut at = 0;
        for fault in [
            format!("{path}:1: unknown key wrokers; want workers"),
            format!("{path}:2: connect_timeout is \"soon\"; want "),
            format!("{path}:7: there is no pool \"wbe\"; want one of: web"),
        ] {
            let found = faults[at..].find(&fault);
            at += found.unwrap_or_else(|| panic!("{fault}: {faults}"));
        }
        assert_eq!(site.threadbare.lines(REFUSED).len(), n, "one line each");
        for _ in 0..5 {
            assert_eq!(content(&mut client, "/"), "a");
        }
    }
    let lines = site.reload(&web("retries = 2\n", &[("b", &b, "")]));
    let come = format!("+ b url={}", b.url());
    assert_eq!(lines, ["~ web.retries 1 → 2", &come, "- a"]);
    site.threadbare.await_line("backend web/a is gone: ");
    assert_eq!(content(&mut client, "/"), "b");
}

#[test]
fn a_file_that_is_no_toml_is_refused() {
    // Goal: whatever stands there, one line and no harm.
    let a = Backend::answering("a");
    let good = web("", &[("a", &a, "")]);
    let site = Site::start("no-toml", &good);
    for bad in [
        "",
        "\0\0",
        "[pool.web",
        "[pool.web]\n",
        "= = =\n= =\n",
        "pool = 3\n",
    ] {
        let fault = site.refuse(bad);
        assert!(fault.contains(site.file.path()), "{bad:?}: {fault}");
        assert_eq!(site.get("/"), "a");
    }
    assert_eq!(site.reload(&good), [""; 0]);
}

#[test]
fn a_file_that_is_gone_is_refused() {
    // Goal: no file, then a folder in its place: one line that says so; back again it is read.
    let a = Backend::answering("a");
    let good = web("", &[("a", &a, "")]);
    let site = Site::start("gone", &good);
    site.file.remove();
    let fault = site.refuse_as_it_is();
    let path = site.file.path();
    assert!(
        fault.contains(path) && fault.contains("no such file"),
        "{fault}"
    );
    assert_eq!(site.get("/"), "a");
    std::fs::create_dir(path).expect("its place is free");
    let fault = site.refuse_as_it_is();
    std::fs::remove_dir(path).expect("it was made here");
    assert!(
        fault.contains(path) && fault.contains("directory"),
        "{fault}"
    );
    assert_eq!(site.get("/"), "a");
    assert_eq!(site.reload(&good), [""; 0]);
}

#[test]
fn a_secret_is_in_no_line() {
    // Goal: neither a change nor a fault tells a secret, nor a change what a field is set to.
    let a = Backend::answering("a");
    let text = |secret: &str, token: &str| {
        let settings = format!("sticky = \"SRV\"\nsticky_secret = \"{secret}\"\n");
        let web = web(&settings, &[("a", &a, "")]);
        format!(
            "{web}[[route]]\npool = \"web\"\nset_fields = {{ \"Authorization\" = \"{token}\" }}\n"
        )
    };
    let long = ["hush-1", "hush-2"].map(|secret| secret.repeat(6));
    let site = Site::start("secret", &text(&long[0], "hush-3"));
    let cookie = site.client().get("/").head.one("Set-Cookie");
    let lines = site.reload(&text(&long[1], "hush-4"));
    assert_eq!(
        lines,
        ["~ web.sticky_secret is another", "~ route / to web"]
    );
    assert_ne!(site.client().get("/").head.one("Set-Cookie"), cookie);
    site.refuse(&text("hush-5", "hush-6"));
    assert_eq!(site.threadbare.lines("hush"), [""; 0]);
}
