//! What a unit's own settings would hide from it: then it could not start, or nobody would find it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::service::Service;

/// What each setting of the unit hides. Neither can be left out: a dynamic user has a `/tmp` of its
/// own in any case, and could enter nobody's home.
const HIDING: [(&str, &[&str]); 2] = [
    ("ProtectHome=yes", &["/home", "/root", "/run/user"]),
    ("PrivateTmp=yes", &["/tmp", "/var/tmp"]),
];

/// A line for each path that would be hidden.
///
/// Absent on purpose: the token's file. systemd itself reads it, before it hides anything.
pub fn faults(service: &Service) -> Vec<String> {
    let config = &service.config;
    let mut paths = vec![("the program", &*service.program, PROGRAM)];
    let files = [
        ("the file", config.config_file.as_deref(), CONFIG),
        ("the access log", service.access_log(), LOG),
        ("the state file", config.state_file.as_deref(), STATE),
        (
            "the drain directory",
            config.drain_dir.as_deref(),
            DRAIN_DIR,
        ),
    ];
    let there = files
        .into_iter()
        .filter_map(|(what, path, remedy)| Some((what, path?, remedy)));
    paths.extend(there);
    paths.extend(service.sockets().map(|path| ("the socket", path, SOCKET)));
    let fault = |(what, path, remedy): (&str, &Path, &str)| {
        let (setting, folder) = hiding(path)?;
        let path = path.display();
        Some(format!(
            "{what} {path}: a service with {setting}, as this unit has it, sees nothing of \
             {folder}; {remedy}"
        ))
    };
    paths.into_iter().filter_map(fault).collect()
}

const PROGRAM: &str = "`make install`, or copy it to /usr/local/bin, and run it from there";
const CONFIG: &str = "move it, as to /etc/threadbare.toml";
const LOG: &str = "want it elsewhere, as in /var/log/threadbare/access.log";
const STATE: &str = "want it elsewhere, as in /var/lib/threadbare/state";
const DRAIN_DIR: &str = "want it elsewhere, as in /etc/threadbare/drain";
const SOCKET: &str = "want it elsewhere, as in /run/threadbare/http";

/// What hides a path, as it is written or as links lead from there; and the folder it hides.
fn hiding(path: &Path) -> Option<(&'static str, &'static str)> {
    let real = real(path);
    let paths = [path, real.as_deref().unwrap_or(path)];
    let folders = HIDING
        .into_iter()
        .flat_map(|(setting, folders)| folders.iter().map(move |&folder| (setting, folder)));
    let mut folders = folders;
    folders.find(|(_, folder)| paths.iter().any(|path| path.starts_with(folder)))
}

/// Where a path leads; the folder at least has to be there. None: nobody knows.
fn real(path: &Path) -> Option<PathBuf> {
    if path.is_relative() {
        return None; // in the file: it will start elsewhere
    }
    let whole = fs::canonicalize(path).ok();
    whole.or_else(|| {
        let folder = fs::canonicalize(path.parent()?).ok()?;
        Some(folder.join(path.file_name()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_hidden_by_the_folder_that_it_is_in() {
        for (path, setting) in [
            ("/home/me/.cargo/bin/threadbare", Some("ProtectHome=yes")),
            ("/root/t.toml", Some("ProtectHome=yes")),
            ("/run/user/0/t.toml", Some("ProtectHome=yes")),
            ("/tmp/t.toml", Some("PrivateTmp=yes")),
            ("/var/tmp/no/such/folder/t.toml", Some("PrivateTmp=yes")),
            // Links and dots lead there too.
            ("/usr/../tmp/t.toml", Some("PrivateTmp=yes")),
            ("/homes/t.toml", None),
            ("/run/users", None),
            ("/usr/local/bin/threadbare", None),
            ("tmp/t.toml", None),
        ] {
            let found = hiding(Path::new(path)).map(|(setting, _)| setting);
            assert_eq!(found, setting, "{path}");
        }
    }
}
