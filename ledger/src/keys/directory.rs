//! The directory of sealing keys: one PKCS#8 PEM file a key, named by its public key, readable by its owner alone.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{PublicKey, SigningKey, pem};

/// Mode of the directory.
const DIRECTORY_MODE: u32 = 0o700;
/// Mode of a key file; more is refused.
const FILE_MODE: u32 = 0o600;
/// Largest key file that is read, in bytes; one of ours has less than 600.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// A key file's name before and after the 64 hexadecimal digits of its public key.
const NAME: (&str, &str) = ("seal-", ".pem");
/// What a key file's name ends with until it is whole.
const UNFINISHED: &str = ".new";

/// A key file, or the directory of them, cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// No file is of a key that was looked for.
    #[error("no key file in {dir} is of a key that fits")]
    NotFound {
        /// The directory.
        dir: PathBuf,
    },
    /// Others than the owner may use it.
    #[error("{path} has mode {found:04o} and may be used by others: run `chmod {allowed:o} {path}`", path = path.display())]
    Mode {
        /// The file or directory.
        path: PathBuf,
        /// Its mode.
        found: u32,
        /// The mode it should have.
        allowed: u32,
    },
    /// The key is encrypted and no passphrase was given.
    #[error("{path} is encrypted: start with its passphrase", path = path.display())]
    PassphraseMissing {
        /// The file.
        path: PathBuf,
    },
    /// The passphrase does not open the key.
    #[error("{path} is not opened by the passphrase given: it is the wrong one, or the file is damaged", path = path.display())]
    PassphraseWrong {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no key.
    #[error("{path} holds no Ed25519 key in PKCS#8 PEM ({source}): restore it from a backup", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pkcs8::Error,
    },
    /// The file holds another key than its name says.
    #[error("{path} holds the key {found}, not the one in its name: restore it from a backup", path = path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// The public key of what it holds.
        found: Box<PublicKey>,
    },
    /// The operating system gave no randomness for a new key.
    #[error("no randomness for a new key: {0}")]
    Random(getrandom::Error),
    /// A new key could not be put into PKCS#8.
    #[error("the new key cannot be encoded: {0}")]
    Encode(pkcs8::Error),
    /// The disk failed, or does not let us.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where sealing keys lie. Files that are not named as key files are left alone.
#[derive(Debug)]
pub struct KeyDirectory {
    path: PathBuf,
    passphrase: Passphrase,
}

/// What opens encrypted files, and encrypts new ones.
struct Passphrase(Option<Zeroizing<String>>);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "given" } else { "none" })
    }
}

impl KeyDirectory {
    /// Opens the directory, which is made, mode 0700, when it is missing. With a passphrase, new keys are encrypted;
    /// keys that lie there unencrypted stay readable.
    ///
    /// # Errors
    /// [`KeyFileError::Mode`] when others than its owner may use the directory; [`KeyFileError::Io`].
    pub fn open(path: &Path, passphrase: Option<Zeroizing<String>>) -> Result<Self, KeyFileError> {
        let directory = Self { path: path.to_owned(), passphrase: Passphrase(passphrase) };
        let io = |source| KeyFileError::Io { path: path.to_owned(), source };
        match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
            Ok(()) => sync_directory(path.parent()).map_err(io)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
            Err(error) => return Err(io(error)),
        }
        let found = path.metadata().map_err(io)?.permissions().mode() & 0o7777;
        refuse_wider(path, found, DIRECTORY_MODE)?;
        Ok(directory)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a new key. When this returns, its file survives a power cut.
    ///
    /// # Errors
    /// [`KeyFileError::Random`], [`KeyFileError::Encode`] or [`KeyFileError::Io`].
    pub fn create(&self) -> Result<SigningKey, KeyFileError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(KeyFileError::Random)?;
        let key = SigningKey::from_seed(seed);
        self.keep(&key)?;
        Ok(key)
    }

    /// Keeps a key that was made elsewhere. When this returns, its file survives a power cut.
    ///
    /// # Errors
    /// As [`create`](Self::create); also when there is a file of it already.
    pub fn keep(&self, key: &SigningKey) -> Result<(), KeyFileError> {
        let text = match &self.passphrase.0 {
            None => pem::render(key),
            Some(passphrase) => {
                let (mut salt, mut vector) = ([0; 16], [0; 16]);
                getrandom::fill(&mut salt).map_err(KeyFileError::Random)?;
                getrandom::fill(&mut vector).map_err(KeyFileError::Random)?;
                pem::render_encrypted(key, passphrase, &salt, &vector)
            }
        };
        let text = text.map_err(KeyFileError::Encode)?;
        let path = self.file_of(&key.public());
        let io = |source| KeyFileError::Io { path: path.clone(), source };
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(UNFINISHED);
        // Whole before it has its name: half a key file would be taken for a damaged one. No two keys share a name.
        let create = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&unfinished, &path)?;
            sync_directory(Some(&self.path))
        };
        create().map_err(io)
    }

    /// The key of a public key.
    ///
    /// # Errors
    /// [`KeyFileError::NotFound`] when it has no file; else what is wrong with that file.
    pub fn find(&self, public: &PublicKey) -> Result<SigningKey, KeyFileError> {
        let path = self.file_of(public);
        let key = self.read(&path)?;
        let found = key.public();
        if found == *public { Ok(key) } else { Err(KeyFileError::OtherKey { path, found: found.into() }) }
    }

    /// The first key whose public key is wanted. Public keys are known by the files' names: no other file is opened.
    ///
    /// # Errors
    /// [`KeyFileError::NotFound`] when none is wanted; else what is wrong with the file of the one that is.
    pub fn find_by(&self, wanted: impl Fn(&PublicKey) -> bool) -> Result<SigningKey, KeyFileError> {
        match self.public_keys()?.iter().find(|public| wanted(public)) {
            Some(public) => self.find(public),
            None => Err(KeyFileError::NotFound { dir: self.path.clone() }),
        }
    }

    /// The key files by name, each with its text if that is encrypted: a key in clear is not handed out.
    ///
    /// # Errors
    /// [`KeyFileError::Mode`] and [`KeyFileError::Io`].
    pub fn encrypted_files(&self) -> Result<Vec<(String, Option<String>)>, KeyFileError> {
        let file = |public| {
            let text = self.read_text(&self.file_of(&public))?;
            let text = pem::is_encrypted(&text).then(|| text.to_string());
            Ok((format!("{}{public}{}", NAME.0, NAME.1), text))
        };
        self.public_keys()?.into_iter().map(file).collect()
    }

    /// The public keys that the files are named by, sorted.
    fn public_keys(&self) -> Result<Vec<PublicKey>, KeyFileError> {
        let io = |source| KeyFileError::Io { path: self.path.clone(), source };
        let mut keys = Vec::new();
        for entry in self.path.read_dir().map_err(io)? {
            keys.extend(entry.map_err(io)?.file_name().to_str().and_then(parse_name));
        }
        keys.sort_by_key(|key| *key.as_bytes());
        Ok(keys)
    }

    fn file_of(&self, public: &PublicKey) -> PathBuf {
        self.path.join(format!("{}{public}{}", NAME.0, NAME.1))
    }

    fn read_text(&self, path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
        let io = |source| KeyFileError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => KeyFileError::NotFound { dir: self.path.clone() },
            _ => io(error),
        })?;
        // The mode of what was opened: a path may name another file a moment later.
        let found = file.metadata().map_err(io)?.permissions().mode() & 0o7777;
        refuse_wider(path, found, FILE_MODE)?;
        let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX as usize));
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
        Ok(text)
    }

    fn read(&self, path: &Path) -> Result<SigningKey, KeyFileError> {
        let text = self.read_text(path)?;
        let malformed = |source| KeyFileError::Malformed { path: path.to_owned(), source };
        if !pem::is_encrypted(&text) {
            return pem::parse(&text).map_err(malformed);
        }
        match &self.passphrase.0 {
            None => Err(KeyFileError::PassphraseMissing { path: path.to_owned() }),
            // A wrong passphrase cannot be told from damage: both leave bytes that are no key.
            Some(passphrase) => pem::parse_encrypted(&text, passphrase)
                .map_err(|_| KeyFileError::PassphraseWrong { path: path.to_owned() }),
        }
    }
}

/// The public key in a key file's name.
fn parse_name(name: &str) -> Option<PublicKey> {
    let digits = name.strip_prefix(NAME.0)?.strip_suffix(NAME.1)?;
    let key = PublicKey::from_slice(&hex::decode(digits).ok()?)?;
    (key.to_string() == digits).then_some(key)
}

pub(crate) fn refuse_wider(path: &Path, found: u32, allowed: u32) -> Result<(), KeyFileError> {
    if found & !allowed == 0 { Ok(()) } else { Err(KeyFileError::Mode { path: path.to_owned(), found, allowed }) }
}

/// Makes the names in a directory durable; the one of a bare file name is the current one.
fn sync_directory(path: Option<&Path>) -> io::Result<()> {
    let path = path.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(path)?.sync_all()
}
