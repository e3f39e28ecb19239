//! Why a server did not start.

use std::fmt;
use std::io;

use crate::admin::Token;
use crate::process::config::Config;
use crate::system;
use crate::watch::access;

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
            StartError::Token(reason) => write!(f, "admin {reason}"),
        }
    }
}

impl std::error::Error for StartError {}

impl StartError {
    /// Whether the options are to blame, so that another start would end the same way.
    pub fn is_of_options(&self) -> bool {
        matches!(self, StartError::AccessLog(..) | StartError::Token(_))
    }
}

/// What a start would find wrong with the files that it opens and no reload reads again. Nothing
/// is made.
pub fn look_at_files(config: &Config) -> Vec<StartError> {
    let mut found = Vec::new();
    if let Some(path) = &config.admin_token_file {
        found.extend(Token::read(path).err().map(StartError::Token));
    }
    if let Some(at) = &config.access_log {
        let error = access::look(at).err();
        found.extend(error.map(|error| StartError::AccessLog(at.to_string(), error)));
    }
    found
}

impl From<io::Error> for StartError {
    /// Where nothing but threads can fail.
    fn from(error: io::Error) -> StartError {
        StartError::Thread(error)
    }
}
