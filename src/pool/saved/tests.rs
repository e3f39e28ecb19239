//! The state file written, torn, aged, and kept in step.

use super::*;

/// A directory of a test, removed at its end.
pub struct TestDir(pub PathBuf);

impl TestDir {
    /// `name` is of this test alone.
    pub fn new(name: &str) -> TestDir {
        let unique = format!("threadbare-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(unique);
        fs::create_dir_all(&path).expect("the directory for tests can be written to");
        TestDir(path)
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // an error leaves it to the system
    }
}

fn backend(health: SavedHealth) -> SavedBackend {
    SavedBackend {
        drained: true,
        weight: Some(3),
        forced: Some(Forced::Down),
        health: Some(health),
    }
}

fn example() -> Saved {
    let backends = BTreeMap::from([
        ("127.0.0.1:80/a".to_owned(), backend(SavedHealth::Up)),
        (
            "web \"1\"".to_owned(),
            backend(SavedHealth::DownByExchanges),
        ),
        ("web2".to_owned(), SavedBackend::default()),
    ]);
    Saved {
        pools: BTreeMap::from([("default".to_owned(), backends)]),
    }
}

fn without_health() -> Saved {
    let mut saved = example();
    saved.forget_health();
    saved
}

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn what_is_written_is_read_and_health_only_while_it_is_young() {
    let dir = TestDir::new("saved-age");
    let path = dir.path("state.json");
    assert_eq!(read(&path, MAX_HEALTH_AGE, time(0)), None, "no file");
    write(&path, &example(), time(1000)).expect("it can be written");
    let cases = [
        (1000, example()),
        (1060, example()),
        (1061, without_health()),
        (1_000_000_000, without_health()),
        (999, without_health()), // from the future
    ];
    for (now, wanted) in cases {
        assert_eq!(
            read(&path, MAX_HEALTH_AGE, time(now)),
            Some(wanted),
            "{now}"
        );
    }
    let left: Vec<_> = fs::read_dir(&dir.0).expect("a directory").collect();
    assert_eq!(left.len(), 1, "no file beside it is left");
}

/// The trick: the file is cut at every length, as a crash could leave one that was not renamed.
#[test]
fn a_torn_file_is_ignored_wherever_it_is_torn() {
    let dir = TestDir::new("saved-torn");
    let path = dir.path("state.json");
    write(&path, &example(), time(1000)).expect("it can be written");
    let whole = fs::read(&path).expect("it can be read");
    // The last byte is the end of the line, without which it is still whole.
    for length in 0..whole.len() - 1 {
        fs::write(&path, &whole[..length]).expect("it can be written");
        assert_eq!(
            read(&path, MAX_HEALTH_AGE, time(1000)),
            None,
            "{length} bytes"
        );
    }
}

#[test]
fn another_format_or_an_unknown_key_is_refused_with_its_reason() {
    let dir = TestDir::new("saved-format");
    let path = dir.path("state.json");
    let cases = [
        (r#"{"format":2,"times":[]}"#, "its format is 2, and not 1"),
        (
            r#"{"written_at_ms":1,"pools":{}}"#,
            "missing field `format`",
        ),
        (
            r#"{"format":1,"written_at_ms":1,"pools":{"p":{"b":{"wieght":3}}}}"#,
            "unknown field `wieght`",
        ),
        (
            r#"{"format":1,"written_at_ms":-1,"pools":{}}"#,
            "invalid value",
        ),
        ("[1]", "invalid length"),
        ("\u{1}", "expected value"),
    ];
    for (text, wanted) in cases {
        fs::write(&path, text).expect("it can be written");
        let reason = read_sheet(&path).err().unwrap_or_default();
        assert!(reason.contains(wanted), "{text}: {reason}");
        assert_eq!(read(&path, MAX_HEALTH_AGE, time(1)), None);
    }
    assert!(read_sheet(&dir.0).is_err(), "a directory is no state file");
}

#[test]
fn the_keeper_writes_changes_only_and_not_too_often() {
    let dir = TestDir::new("saved-keeper");
    let path = dir.path("state.json");
    let mut keeper = Keeper::new(path.clone());
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut keep = |ms, saved: &Saved| keeper.keep(at(ms), saved).expect("it can be written");
    assert!(keep(0, &example()), "the first");
    assert!(!keep(5000, &example()), "nothing has changed");
    assert!(keep(6000, &without_health()), "it has changed");
    assert!(!keep(7999, &example()), "too early");
    assert!(keep(8000, &example()), "and not forgotten");
    let read = read(&path, MAX_HEALTH_AGE, SystemTime::now());
    assert_eq!(read, Some(example()));
}

#[test]
fn a_file_that_cannot_be_written_is_tried_again_later_and_leaves_the_old_one() {
    let dir = TestDir::new("saved-unwritable");
    let path = dir.path("state.json");
    write(&path, &example(), time(1000)).expect("it can be written");
    // What stands where the new file should.
    fs::create_dir(dir.path("state.json.new")).expect("a folder can be made");
    let mut keeper = Keeper::new(path.clone());
    let start = Instant::now();
    assert!(keeper.keep(start, &without_health()).is_err());
    assert_eq!(read(&path, MAX_HEALTH_AGE, time(1000)), Some(example()));
    fs::remove_dir(dir.path("state.json.new")).expect("it is empty");
    let soon = keeper.keep(start + Duration::from_secs(1), &without_health());
    assert!(!soon.expect("nothing is tried"));
    let later = keeper.keep(start + Duration::from_secs(2), &without_health());
    assert!(later.expect("it can be written"));
}
