//! Why a server did not start.

use std::fmt;
use std::io;

use crate::system;

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The address can't be listened on.
    Bind(String, io::Error),
    /// The system refused a thread.
    Thread(io::Error),
    /// The access log can't be opened.
    AccessLog(String, io::Error),
    /// The admin API's token can't be used, for this reason.
    Token(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Bind(address, error) => {
                write!(f, "cannot listen on {address}: {}", system::plain(error))
            }
            StartError::Thread(error) => {
                write!(f, "cannot start a thread: {}", system::plain(error))
            }
            StartError::AccessLog(at, error) => {
                let error = system::plain(error);
                write!(f, "cannot open the access log {at}: {error}")
            }
            StartError::Token(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for StartError {}

impl From<io::Error> for StartError {
    /// Where nothing but threads can fail.
    fn from(error: io::Error) -> StartError {
        StartError::Thread(error)
    }
}
