//! What several rooms ask of the system: error texts, timeouts for `poll`, and whose lack it is.

use std::io;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::io::Errno;

/// An error's text without the number that the standard library adds.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}

/// A duration as the system calls want it.
pub fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Whether a call failed because this process or machine lacks descriptors, memory or ports.
pub fn is_lack_of_means(error: &io::Error) -> bool {
    let ours = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::NOBUFS,
        Errno::ADDRNOTAVAIL,
    ];
    let number = error.raw_os_error();
    number.is_some_and(|number| ours.iter().any(|errno| errno.raw_os_error() == number))
}
