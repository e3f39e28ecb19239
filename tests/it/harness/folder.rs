//! A folder of one test's own, for configurations, tokens and sockets; gone when it is dropped.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, Relaxed);
        let path = env::temp_dir().join(format!("threadbare-it-{}-{n}", process::id()));
        fs::create_dir(&path).expect("the folder for such folders can be written");
        Self(path)
    }

    /// Where a file of this name is, or would be.
    pub fn path(&self, name: &str) -> String {
        let path = self.0.join(name);
        path.to_str().expect("it is plain").to_owned()
    }

    /// Writes a file, in one step for whoever reads it meanwhile. Returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let (path, beside) = (self.path(name), self.path(&format!("{name}.beside")));
        fs::write(&beside, text).expect("a folder of our own can be written");
        fs::rename(&beside, &path).expect("it was just written");
        path
    }

    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(name));
        text.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("it is there, and ours");
    }

    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // who failed left it anyway
    }
}
