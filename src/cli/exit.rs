//! How a command ends: the exit codes, in one place. Programs may rely on them.

use std::fmt;
use std::process::ExitCode;

use crate::{app, auth, config, moving, server, store};

/// Why a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// It did not work, for another reason than those below.
    Failed = 1,
    /// The command line, a setting or a given value is wrong.
    Usage = 2,
    /// There is no such user, file or data folder.
    NotFound = 3,
    /// There is one already.
    Conflict = 4,
    /// The server, its data folder or an address is out of reach or in use.
    Unavailable = 5,
    /// Done, but something was left out, and told.
    Partly = 6,
}

/// The exit codes as `--help` tells them.
pub const EXIT_CODES: &str = "Exit codes:\n  \
    0  done\n  \
    1  failed\n  \
    2  the command line, a setting or a value is wrong\n  \
    3  no such user, file or data folder\n  \
    4  there is one already\n  \
    5  the server, its data folder or an address is out of reach or in use\n  \
    6  an import is done, but something was left out, and told";

/// A command that did not work.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
}

/// What a command gives.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::NotFound,
            std::io::ErrorKind::AlreadyExists => Exit::Conflict,
            _ => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        let exit = match &error {
            store::Error::Unavailable(_) => Exit::Unavailable,
            store::Error::Refused(_) | store::Error::Corrupt { .. } | store::Error::Other(_) => {
                Exit::Failed
            }
        };
        Self::new(exit, error)
    }
}

impl From<auth::Error> for Failure {
    fn from(error: auth::Error) -> Self {
        use auth::Error;
        let exit = match &error {
            Error::InvalidEmail
            | Error::InvalidName
            | Error::InvalidPassword
            | Error::PasswordTooCommon
            | Error::MissingField => Exit::Usage,
            Error::UserNotFound => Exit::NotFound,
            Error::EmailTaken => Exit::Conflict,
            Error::Unavailable(_) | Error::RateLimited { .. } => Exit::Unavailable,
            Error::Unauthorized(_)
            | Error::InvalidCredentials
            | Error::RegistrationClosed
            | Error::Internal(_) => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

impl From<moving::Error> for Failure {
    fn from(error: moving::Error) -> Self {
        match error {
            moving::Error::Store(error) => error.into(),
            moving::Error::Io(error) => error.into(),
            moving::Error::NotOurs(what) => Self::new(Exit::Usage, what),
            moving::Error::Damaged(what) => Self::new(Exit::Failed, what),
        }
    }
}

impl From<server::StartError> for Failure {
    fn from(error: server::StartError) -> Self {
        use server::StartError;
        let exit = match &error {
            StartError::Listen { .. }
            | StartError::Open(
                app::OpenError::Store(store::Error::Unavailable(_)) | app::OpenError::Bus(_),
            ) => Exit::Unavailable,
            StartError::Open(_) => Exit::Failed,
        };
        Self::new(exit, error)
    }
}
