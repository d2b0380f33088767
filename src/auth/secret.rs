//! The key that signs and verifies tokens: given by the operator, or made on the first start.
//!
//! A made secret is the text of `jwt_secret` in the data folder, mode 0600. It appears there
//! complete or not at all, and whoever comes second (a command beside the server) takes what the
//! first one made. A secret never shows in `Debug` output.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The shortest key that HS256 allows (RFC 7518, 3.2), in bytes.
pub const SECRET_BYTES_MIN: usize = 32;
/// The longest one that is read from a file, in bytes.
const SECRET_BYTES_MAX: u64 = 4_096;
/// Random bytes in a secret of our own making.
const MADE_BYTES: usize = 48;
/// Its name in the data folder.
const FILE_NAME: &str = "jwt_secret";

/// Bytes that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// None: shorter than [`SECRET_BYTES_MIN`].
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() >= SECRET_BYTES_MIN).then_some(Self(bytes))
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Reads the secret of the data folder, or makes it, with the folder if need be.
pub fn load_or_make(data_dir: &Path) -> io::Result<Secret> {
    let path = data_dir.join(FILE_NAME);
    match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        outcome => return outcome,
    }
    if !data_dir.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    }
    make(data_dir, &path)?;
    read(&path)
}

/// Reads a secret; one end of line at its end does not belong to it.
pub fn read(path: &Path) -> io::Result<Secret> {
    let file = File::open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others can read the secret: chmod 600 it");
    }
    let mut bytes = Vec::new();
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(unfit(path, "is longer than 4,096 bytes"));
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Secret::new(bytes).ok_or_else(|| unfit(path, "is shorter than 32 bytes"))
}

fn unfit(path: &Path, what: &str) -> io::Error {
    let text = format!("the secret in {} {what}", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Writes a new secret beside its place, then links it there: a link never replaces a file.
fn make(data_dir: &Path, path: &Path) -> io::Result<()> {
    let text = URL_SAFE_NO_PAD.encode(random::<MADE_BYTES>());
    let beside = data_dir.join(format!("{FILE_NAME}.{}.tmp", uuid::Uuid::new_v4().simple()));
    let written =
        write_private(&beside, text.as_bytes()).and_then(|()| match fs::hard_link(&beside, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        });
    // Left behind it would only be a second copy of a secret.
    let removed = fs::remove_file(&beside);
    written?;
    removed?;
    File::open(data_dir)?.sync_all()
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A password that nobody can guess, for whoever wants none of their own: 20 characters.
#[must_use]
pub fn random_password() -> String {
    URL_SAFE_NO_PAD.encode(random::<15>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = load_or_make(folder.path()).expect("a secret");
        assert_eq!(first.expose().len(), 64);
        assert_eq!(load_or_make(folder.path()).expect("the same"), first);
        let mode = fs::metadata(folder.path().join(FILE_NAME)).expect("a file").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        assert_eq!(format!("{first:?}"), "Secret(hidden)");
    }

    #[test]
    fn all_who_start_at_once_get_the_same_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let secrets: Vec<Secret> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| load_or_make(folder.path()).expect("a secret")))
                .collect();
            starts.into_iter().map(|start| start.join().expect("no panic")).collect()
        });
        assert!(secrets.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_given_secret_loses_its_end_of_line_and_must_be_long_enough() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("given");
        write_private(&path, &[b'k'; 32]).expect("written");
        assert_eq!(read(&path).expect("a secret").expose(), [b'k'; 32]);
        fs::write(&path, [b'k'; 31]).expect("written");
        assert_eq!(read(&path).expect_err("too short").kind(), io::ErrorKind::InvalidData);
    }
}
