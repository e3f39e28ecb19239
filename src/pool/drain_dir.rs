//! The drain directory: a script drains a backend by a file of its name, and needs no client.
//!
//! `touch DIR/web1` drains web1, `rm DIR/web1` lets it go. A slash can't stand in the name of a
//! file, so it is written `%2F` there: names are percent-decoded. Read from time to time by one
//! thread, which blocks as long as the file system does.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use log::{info, warn};

use crate::percent;
use crate::system::plain;

/// Entries that are looked at; more are a mistake, and not ours to read all through.
const MAX_ENTRIES: usize = 10_000;

/// The directory, and what was in it last time.
#[derive(Debug)]
pub struct DrainDir {
    path: PathBuf,
    names: BTreeSet<String>,
    /// What is wrong with it was said already, and is not repeated at each look.
    has_warned: bool,
}

impl DrainDir {
    /// This directory, which need not be there yet.
    pub fn new(path: PathBuf) -> DrainDir {
        DrainDir {
            path,
            names: BTreeSet::new(),
            has_warned: false,
        }
    }

    /// Looks into it: the names of the backends to drain.
    ///
    /// A directory that is not there drains nobody, which is warned of once. One that can't be
    /// read says nothing, so what it said last holds: a full table of descriptors must not put
    /// backends back to work in the middle of their upgrade.
    pub fn look(&mut self) -> &BTreeSet<String> {
        let path = self.path.display();
        match scan(&self.path) {
            Ok(names) => {
                if std::mem::take(&mut self.has_warned) {
                    info!("drain directory {path}: it can be read again");
                }
                self.names = names;
            }
            Err(error) => {
                let error_text = plain(&error);
                if !std::mem::replace(&mut self.has_warned, true) {
                    warn!("drain directory {path}: {error_text}");
                }
                if error.kind() == io::ErrorKind::NotFound {
                    self.names.clear();
                }
            }
        }
        &self.names
    }
}

/// The names of the files in a directory, percent-decoded.
///
/// Passed over are directories, names that begin with a dot (editors and file systems make such
/// files), and names that are no UTF-8. A percent sign that encodes nothing stands for itself.
pub fn scan(dir: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir)?.take(MAX_ENTRIES) {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let decoded = percent::decode(name.as_bytes()).and_then(|n| String::from_utf8(n).ok());
        names.insert(decoded.unwrap_or_else(|| name.to_owned()));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::saved::tests::TestDir;

    #[test]
    fn files_are_names_and_a_slash_is_written_encoded() {
        let dir = TestDir::new("drain-names");
        for name in ["web1", "127.0.0.1:80%2Fapp", "100%", ".web2.swp", "%zz"] {
            fs::write(dir.path(name), "").expect("a file can be made");
        }
        fs::create_dir(dir.path("folder")).expect("a folder can be made");
        let names = scan(&dir.0).expect("it can be read");
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(names, ["%zz", "100%", "127.0.0.1:80/app", "web1"]);
    }

    #[test]
    fn a_missing_directory_drains_nobody_and_an_unreadable_one_holds() {
        let dir = TestDir::new("drain-missing");
        let path = dir.path("d");
        let mut drain_dir = DrainDir::new(path.clone());
        assert!(drain_dir.look().is_empty() && drain_dir.has_warned);
        fs::create_dir(&path).expect("a folder can be made");
        fs::write(path.join("web1"), "").expect("a file can be made");
        assert!(drain_dir.look().contains("web1") && !drain_dir.has_warned);
        // What is no directory can't be read as one.
        fs::remove_dir_all(&path).expect("it is ours");
        fs::write(&path, "").expect("a file can be made");
        assert!(drain_dir.look().contains("web1") && drain_dir.has_warned);
        fs::remove_file(&path).expect("it is ours");
        assert!(drain_dir.look().is_empty(), "it is gone");
    }
}
