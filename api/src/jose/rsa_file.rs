//! RSA keys that sign tokens: one PKCS#8 PEM file a key, named by its public part, readable by its owner alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Mode of a key file; more is refused.
const FILE_MODE: u32 = 0o600;
/// Largest key file that is read, in bytes; one of ours has less than 1,800.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// Characters on a line of PEM (RFC 7468).
const LINE_CHARS: usize = 64;

/// A key file cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RsaFileError {
    /// There is no file of the key.
    #[error("{path} is missing, and without it no token can be signed by RS256: restore it from a backup", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner may use it.
    #[error("{path} has mode {found:04o} and may be used by others: run `chmod 600 {path}`", path = path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        found: u32,
    },
    /// No key could be made.
    #[error("no RSA key could be made; the system may have given no randomness")]
    NotMade,
    /// The disk failed, or does not let us.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn file(directory: &Path, public: &[u8]) -> PathBuf {
    let name = digest(&SHA256, public);
    directory.join(format!("jwt-rs256-{}.pem", hex::encode(&name.as_ref()[..16])))
}

/// Makes a key of 2,048 bits and its file; gives its public part, as PKCS#1 writes it.
///
/// # Errors
/// [`RsaFileError::NotMade`], [`RsaFileError::Io`].
pub(super) fn create(directory: &Path) -> Result<Vec<u8>, RsaFileError> {
    let key = KeyPair::generate(KeySize::Rsa2048).map_err(|_| RsaFileError::NotMade)?;
    let public = key.public_key().as_ref().to_vec();
    let der = key.as_der().map_err(|_| RsaFileError::NotMade)?;
    let path = file(directory, &public);
    let io = |source| RsaFileError::Io { path: path.clone(), source };
    let mut writing = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path).map_err(io)?;
    writing.write_all(pem(der.as_ref()).as_bytes()).and_then(|()| writing.sync_all()).map_err(io)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)?;
    Ok(public)
}

/// The text of a key's file.
///
/// # Errors
/// [`RsaFileError::Missing`], [`RsaFileError::Mode`], [`RsaFileError::Io`].
pub(super) fn read(directory: &Path, public: &[u8]) -> Result<Zeroizing<String>, RsaFileError> {
    let path = file(directory, public);
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => RsaFileError::Missing { path: path.clone() },
        _ => RsaFileError::Io { path: path.clone(), source },
    };
    let reading = File::open(&path).map_err(io)?;
    let found = reading.metadata().map_err(io)?.permissions().mode() & 0o7777;
    if found & !FILE_MODE != 0 {
        return Err(RsaFileError::Mode { path, found });
    }
    let mut text = Zeroizing::new(String::with_capacity(4096));
    reading.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

fn pem(der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(body.len() + 128));
    text.push_str("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_CHARS));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    text
}
