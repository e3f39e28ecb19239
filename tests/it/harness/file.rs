//! A configuration file of one test's own.

use super::Folder;

/// Gone when it is dropped.
pub struct ConfigFile {
    folder: Folder,
    name: String,
    path: String,
}

impl ConfigFile {
    /// `name` is only for people: no two files are the same.
    pub fn new(name: &str, text: &str) -> Self {
        let (folder, name) = (Folder::new(), format!("{name}.toml"));
        let path = folder.write(&name, text);
        Self { folder, name, path }
    }

    /// Puts another text there, whole: nobody reads half of it.
    pub fn write(&self, text: &str) {
        self.folder.write(&self.name, text);
    }

    /// Takes it away.
    pub fn remove(&self) {
        self.folder.remove(&self.name);
    }

    pub fn path(&self) -> &str {
        &self.path
    }
}
