//! The file of the access log: how it is opened, and whether it could be.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::watch::access::LogAt;

/// Opens it for lines at its end, and makes it where there is none.
pub fn open(at: &LogAt) -> io::Result<File> {
    match at {
        LogAt::Stdout => io::stdout().as_fd().try_clone_to_owned().map(File::from),
        LogAt::Path(path) => options(path).create(true).open(path),
    }
}

/// Whether it could be opened now, as far as can be told without making a file: whether one that is
/// there can be written to, or else its folder.
pub fn look(at: &LogAt) -> io::Result<()> {
    let LogAt::Path(path) = at else { return Ok(()) };
    match options(path).open(path) {
        // Through the dot a file in the folder's place is told as one.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(Path::new("/")).join(".");
            let access = Access::WRITE_OK | Access::EXEC_OK;
            Ok(accessat(CWD, &folder, access, AtFlags::EACCESS)?)
        }
        opened => opened.map(drop),
    }
}

fn options(path: &Path) -> OpenOptions {
    let mut options = OpenOptions::new();
    // A pipe is opened for both, or opening it would wait for a reader.
    options.append(true).read(is_pipe(path));
    options
}

fn is_pipe(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.file_type().is_fifo())
}
