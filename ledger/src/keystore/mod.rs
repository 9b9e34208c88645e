//! Secrets outside the log: data keys, whose destruction erases what they encrypted, tenants' CA keys, keys that sign
//! tokens, and the private parts of agents' keys that are kept for them.
//!
//! A fjall database, `db/`, holds each secret encrypted with XChaCha20-Poly1305 under the wrapping key, which lies in
//! the file `wrapping.key` beside it (32 bytes, mode 0600): a copy of the database alone tells nothing. Stored under
//! the bytes of its name ([`SecretName::to_bytes`]) is a random nonce of 24 bytes, then ciphertext and tag, 48 bytes;
//! the name is the associated data, so no secret can stand in for another.
//!
//! A secret never changes: it is put once, and perhaps destroyed. A destroyed secret is gone for every reader, for
//! good, and its name keeps an empty value, so that no other secret can take the name and what is encrypted for an
//! erased thing later is erased as well. Its encrypted bytes stay in fjall's files until they are written anew without
//! them ([`Keystore::purge`]); of the files themselves nothing is left then but what a disk keeps of deleted ones.

pub mod backup;
mod shelf;

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chacha20poly1305::aead::AeadInPlace as _;
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use quick_cache::sync::Cache;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use self::shelf::FjallShelf;
pub use self::shelf::{Each, Shelf};
use crate::ids::{KeyId, Seq, Subject, TenantId, ThingId as _};
use crate::keys::{KeyFileError, SigningKey, refuse_wider};

/// Secrets held in memory: about 2 MiB.
const CACHED_SECRETS: usize = 16 * 1024;
/// Signing keys kept ready: those of the tenants that are at work.
const CACHED_SIGNING_KEYS: usize = 1024;
/// The file of the wrapping key.
const WRAPPING_KEY: &str = "wrapping.key";
/// That file before it is whole.
const UNFINISHED_KEY: &str = "wrapping.key.new";
/// Mode of the keystore's directory.
const DIRECTORY_MODE: u32 = 0o700;
/// Mode of the wrapping key's file; more is refused.
const FILE_MODE: u32 = 0o600;
const NONCE_BYTES: usize = 24;
const SECRET_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// Name of a value, wrapped like a secret, that tells whether the wrapping key is the right one. No secret's name is
/// one byte long.
const CHECK: [u8; 1] = [0];
/// Name of a value, wrapped likewise, that tells up to which event of the log erasures were carried out here: an older
/// keystore put in the place of this one tells that there is more to do.
const CARRIED_OUT: [u8; 1] = [1];

/// A secret: 32 bytes, zeroised when dropped.
type Secret = Zeroizing<[u8; SECRET_BYTES]>;

/// Which secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretName {
    /// The data key of a thing.
    Data(Subject),
    /// The CA key of a tenant: an Ed25519 seed.
    OrgCa(TenantId),
    /// A key that signs tokens or cosignatures: an Ed25519 seed.
    TokenSigning(KeyId),
    /// The private part of an agent's key that is kept for it: a scalar of P-256.
    AgentKey(KeyId),
}

impl SecretName {
    /// The name's bytes: for a data key 1, the code of the thing's kind and its 16 bytes; for a CA key 2 and the
    /// tenant's 16 bytes; for a key that signs tokens 3 and the key's 16 bytes; for an agent's key 4 and the key's 16 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Data(subject) => [&[1, subject.kind.code()], &subject.id.as_bytes()[..]].concat(),
            Self::OrgCa(tenant) => [&[2], &tenant.0.as_bytes()[..]].concat(),
            Self::TokenSigning(key) => [&[3], &key.uuid().as_bytes()[..]].concat(),
            Self::AgentKey(key) => [&[4], &key.uuid().as_bytes()[..]].concat(),
        }
    }
}

impl std::fmt::Display for SecretName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Data(subject) => write!(f, "the data key of {} {}", subject.kind.name(), subject.id),
            Self::OrgCa(tenant) => write!(f, "the CA key of tenant {tenant}"),
            Self::TokenSigning(key) => write!(f, "the token-signing key {key}"),
            Self::AgentKey(key) => write!(f, "the private part of the agent's key {key}"),
        }
    }
}

/// A secret just made.
pub struct NewSecret {
    /// Which.
    pub name: SecretName,
    /// The secret.
    pub secret: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSecret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reading secrets.
pub trait Secrets: Send + Sync {
    /// The secret; `None` when there is none, or it was destroyed.
    ///
    /// # Errors
    /// [`KeystoreError`] when it cannot be told.
    fn secret(&self, name: &SecretName) -> Result<Option<Zeroizing<[u8; 32]>>, KeystoreError>;

    /// Whether there was a secret of this name that was destroyed.
    ///
    /// # Errors
    /// [`KeystoreError`] when it cannot be told.
    fn is_destroyed(&self, name: &SecretName) -> Result<bool, KeystoreError>;

    /// The signing key whose seed the secret is; `None` as for [`secret`](Self::secret).
    ///
    /// # Errors
    /// As [`secret`](Self::secret).
    fn signing_key(&self, name: &SecretName) -> Result<Option<Arc<SigningKey>>, KeystoreError> {
        Ok(self.secret(name)?.map(|seed| Arc::new(SigningKey::from_seed(seed))))
    }
}

/// The keystore failed. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The database failed. After a failed write it takes no more.
    #[error("the keystore's storage failed ({0}): check the disk, then restart the daemon")]
    Storage(#[from] fjall::Error),
    /// Another process, or another part of this one, has the keystore open.
    #[error("the keystore in {path} is open elsewhere: stop the other daemon that uses it", path = path.display())]
    InUse {
        /// The keystore.
        path: PathBuf,
    },
    /// The wrapping key's file, or the directory, cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// There are secrets, but not the key that opens them.
    #[error("{path} is missing, and without it no secret can be read: restore it from a backup", path = path.display())]
    WrappingKeyMissing {
        /// Its file.
        path: PathBuf,
    },
    /// The wrapping key's file does not hold one.
    #[error("{path} has not the {SECRET_BYTES} bytes of a key: restore it from a backup", path = path.display())]
    WrappingKeyMalformed {
        /// Its file.
        path: PathBuf,
    },
    /// The wrapping key is another than the secrets were wrapped with.
    #[error("{path} is not the key of this keystore: restore the two from one backup", path = path.display())]
    WrappingKeyWrong {
        /// Its file.
        path: PathBuf,
    },
    /// A stored secret does not open.
    #[error("{name} is damaged in the keystore: restore the keystore from a backup")]
    Damaged {
        /// Which.
        name: SecretName,
    },
    /// A secret was put under a name that has another. Nothing was written: replacing it would erase.
    #[error("{name} exists and is another; it was not replaced")]
    Exists {
        /// Which.
        name: SecretName,
    },
    /// A secret was put under a name whose secret was destroyed. Nothing was written.
    #[error("{name} was destroyed, for good; it was not put anew")]
    Destroyed {
        /// Which.
        name: SecretName,
    },
    /// The operating system gave no randomness.
    #[error("no randomness for a nonce or key: {0}")]
    Random(getrandom::Error),
}

/// The keystore. All methods can be called from any thread.
pub struct Keystore {
    shelf: Box<dyn Shelf>,
    wrapping: Secret,
    cache: Cache<SecretName, Arc<Secret>>,
    /// Deriving a signing key from its seed costs as much as a signature.
    signing_keys: Cache<SecretName, Arc<SigningKey>>,
    /// Whether anything was put since the last sync.
    unsynced: AtomicBool,
    /// One sync at a time, so that none returns while the one that covers it still runs.
    syncing: Mutex<()>,
    /// Written by what changes secrets, read by what fills the cache: a read that began before a destruction must not
    /// cache its secret after it.
    changing: RwLock<()>,
}

impl std::fmt::Debug for Keystore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keystore").finish_non_exhaustive()
    }
}

impl Keystore {
    /// Opens the keystore in a directory. When there is none it is made, with a new wrapping key.
    ///
    /// # Errors
    /// [`KeystoreError`] says what cannot be used, and why.
    pub fn open(dir: &Path) -> Result<Self, KeystoreError> {
        shelf::finish_purge(dir)?;
        let wrapping = wrapping_key(dir)?;
        Self::over(Box::new(FjallShelf::open(dir)?), wrapping).map_err(|error| match error {
            KeystoreError::WrappingKeyWrong { path } => KeystoreError::WrappingKeyWrong { path: dir.join(path) },
            other => other,
        })
    }

    /// Opens the keystore on a shelf, whose secrets are wrapped under a key.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn over(shelf: Box<dyn Shelf>, wrapping: Zeroizing<[u8; 32]>) -> Result<Self, KeystoreError> {
        match shelf.get(&CHECK)? {
            Some(stored) => {
                let wrong = || KeystoreError::WrappingKeyWrong { path: WRAPPING_KEY.into() };
                unwrap(&wrapping, &CHECK, &stored).ok_or_else(wrong)?;
            }
            None => shelf.put(vec![(CHECK.to_vec(), wrap(&wrapping, &CHECK, &[0; SECRET_BYTES])?)])?,
        }
        // A process that ended may have left secrets that the system has and the disk does not. Here they are as good as
        // any other, and nobody would sync them before an event needs them.
        shelf.sync()?;
        Ok(Self {
            shelf,
            wrapping,
            cache: Cache::new(CACHED_SECRETS),
            signing_keys: Cache::new(CACHED_SIGNING_KEYS),
            unsynced: AtomicBool::new(false),
            syncing: Mutex::new(()),
            changing: RwLock::new(()),
        })
    }

    /// Puts secrets, all or none: visible at once, durable after [`sync`](Self::sync). To put one again changes
    /// nothing.
    ///
    /// # Errors
    /// [`KeystoreError::Exists`] when a name has another secret, [`KeystoreError::Destroyed`] when it had one;
    /// [`KeystoreError::Storage`].
    pub fn put(&self, secrets: &[NewSecret]) -> Result<(), KeystoreError> {
        let _changing = self.changing.write().unwrap_or_else(PoisonError::into_inner);
        let mut entries = Vec::new();
        let mut new: Vec<&NewSecret> = Vec::with_capacity(secrets.len());
        for secret in secrets {
            let name = secret.name;
            let before = match new.iter().find(|other| other.name == name) {
                Some(other) => Some(other.secret.clone()),
                None => self.read(&name)?,
            };
            match before {
                Some(before) if bool::from(before.ct_eq(&*secret.secret)) => {}
                Some(_) => return Err(KeystoreError::Exists { name }),
                None if self.is_destroyed(&name)? => return Err(KeystoreError::Destroyed { name }),
                None => {
                    let key = name.to_bytes();
                    let value = wrap(&self.wrapping, &key, &secret.secret)?;
                    entries.push((key, value));
                    new.push(secret);
                }
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        self.shelf.put(entries)?;
        self.unsynced.store(true, Ordering::Release);
        for secret in new {
            self.cache.insert(secret.name, Arc::new(secret.secret.clone()));
        }
        Ok(())
    }

    /// Makes everything put before durable. Costs nothing when nothing was.
    ///
    /// # Errors
    /// [`KeystoreError::Storage`]; then every later call fails, too, and nothing put since the last sync may be used.
    pub fn sync(&self) -> Result<(), KeystoreError> {
        let _syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.unsynced.swap(false, Ordering::AcqRel) {
            self.shelf.sync().inspect_err(|_| self.unsynced.store(true, Ordering::Release))?;
        }
        Ok(())
    }

    /// Whether what lies here is wrapped under the wrapping key, read from storage anew.
    ///
    /// # Errors
    /// [`KeystoreError::WrappingKeyWrong`] when it is not; [`KeystoreError::Storage`].
    pub fn check_wrapping(&self) -> Result<(), KeystoreError> {
        let wrong = || KeystoreError::WrappingKeyWrong { path: WRAPPING_KEY.into() };
        let stored = self.shelf.get(&CHECK)?.ok_or_else(wrong)?;
        unwrap(&self.wrapping, &CHECK, &stored).map(drop).ok_or_else(wrong)
    }

    /// Destroys secrets, durably, and gives how many of them there were. A name that had none is used up, too.
    ///
    /// # Errors
    /// [`KeystoreError::Storage`]: they may be there again after a restart, and must be destroyed again.
    pub fn destroy(&self, names: &[SecretName]) -> Result<usize, KeystoreError> {
        let _changing = self.changing.write().unwrap_or_else(PoisonError::into_inner);
        let (mut existed, mut entries) = (0, Vec::with_capacity(names.len()));
        for name in names {
            self.cache.remove(name);
            self.signing_keys.remove(name);
            let key = name.to_bytes();
            match self.shelf.get(&key)? {
                Some(stored) if stored.is_empty() => continue,
                Some(_) => existed += 1,
                None => {}
            }
            entries.push((key, Vec::new()));
        }
        if !entries.is_empty() {
            self.shelf.put(entries)?;
            self.shelf.sync()?;
        }
        Ok(existed)
    }

    /// Writes the keystore's files anew, without the encrypted bytes of secrets that were destroyed by now. Takes as long
    /// as reading and writing all secrets; readers and writers go on meanwhile, but for a moment at the end. Waits for a
    /// backup that is being written.
    ///
    /// # Errors
    /// [`KeystoreError`]; then the files are as they were, or the keystore takes nothing more.
    pub fn purge(&self) -> Result<(), KeystoreError> {
        self.shelf.purge()
    }

    /// Up to where erasures were carried out here: every one before this position of the log.
    ///
    /// # Errors
    /// [`KeystoreError::Storage`].
    pub fn carried_out(&self) -> Result<Seq, KeystoreError> {
        let stored = self.shelf.get(&CARRIED_OUT)?;
        let opened = stored.and_then(|stored| unwrap(&self.wrapping, &CARRIED_OUT, &stored));
        Ok(Seq(opened.and_then(|opened| opened.first_chunk().copied()).map_or(0, u64::from_be_bytes)))
    }

    /// Notes, durably, that every erasure before a position was carried out.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub fn note_carried_out(&self, before: Seq) -> Result<(), KeystoreError> {
        let mut value = [0; SECRET_BYTES];
        value[..8].copy_from_slice(&before.0.to_be_bytes());
        self.shelf.put(vec![(CARRIED_OUT.to_vec(), wrap(&self.wrapping, &CARRIED_OUT, &value)?)])?;
        self.shelf.sync()
    }

    /// Writes a backup: every secret as it lies here, wrapped, and nothing that unwraps it ([`backup`]).
    ///
    /// # Errors
    /// [`backup::BackupError`].
    pub fn back_up(&self, out: impl io::Write) -> Result<u64, backup::BackupError> {
        backup::write(&*self.shelf, out)
    }

    fn read(&self, name: &SecretName) -> Result<Option<Secret>, KeystoreError> {
        let key = name.to_bytes();
        let Some(stored) = self.shelf.get(&key)?.filter(|stored| !stored.is_empty()) else { return Ok(None) };
        unwrap(&self.wrapping, &key, &stored).map(Some).ok_or(KeystoreError::Damaged { name: *name })
    }
}

impl Secrets for Keystore {
    fn secret(&self, name: &SecretName) -> Result<Option<Zeroizing<[u8; 32]>>, KeystoreError> {
        if let Some(cached) = self.cache.get(name) {
            return Ok(Some(Secret::clone(&cached)));
        }
        let _unchanged = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        let secret = self.read(name)?;
        if let Some(secret) = &secret {
            self.cache.insert(*name, Arc::new(secret.clone()));
        }
        Ok(secret)
    }

    fn is_destroyed(&self, name: &SecretName) -> Result<bool, KeystoreError> {
        Ok(self.shelf.get(&name.to_bytes())?.is_some_and(|stored| stored.is_empty()))
    }

    fn signing_key(&self, name: &SecretName) -> Result<Option<Arc<SigningKey>>, KeystoreError> {
        if let Some(cached) = self.signing_keys.get(name) {
            return Ok(Some(cached));
        }
        let _unchanged = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        let key = self.read(name)?.map(|seed| Arc::new(SigningKey::from_seed(seed)));
        if let Some(key) = &key {
            self.signing_keys.insert(*name, key.clone());
        }
        Ok(key)
    }
}

/// Encrypts a secret: nonce, ciphertext, tag.
fn wrap(wrapping: &Secret, name: &[u8], secret: &[u8; SECRET_BYTES]) -> Result<Vec<u8>, KeystoreError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(KeystoreError::Random)?;
    let mut out = Vec::with_capacity(NONCE_BYTES + SECRET_BYTES + TAG_BYTES);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(secret);
    let cipher = XChaCha20Poly1305::new((&**wrapping).into());
    let sealed = cipher.encrypt_in_place_detached(&nonce.into(), name, &mut out[NONCE_BYTES..]);
    let Ok(tag) = sealed else { unreachable!("XChaCha20-Poly1305 takes 256 GiB, not only 32 bytes") };
    out.extend_from_slice(&tag);
    Ok(out)
}

/// Decrypts what [`wrap`] made under the same name; `None` when it is anything else.
fn unwrap(wrapping: &Secret, name: &[u8], stored: &[u8]) -> Option<Secret> {
    let (nonce, rest) = stored.split_first_chunk::<NONCE_BYTES>()?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
    let mut secret = Secret::new(ciphertext.try_into().ok()?);
    let cipher = XChaCha20Poly1305::new((&**wrapping).into());
    cipher.decrypt_in_place_detached(nonce.into(), name, &mut *secret, tag.into()).ok()?;
    Some(secret)
}

/// Reads the wrapping key; makes directory and key when there is no keystore yet.
fn wrapping_key(dir: &Path) -> Result<Secret, KeystoreError> {
    let path = dir.join(WRAPPING_KEY);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| KeyFileError::Io { path, source }
    };
    std::fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(dir).map_err(io(dir))?;
    let mode = dir.metadata().map_err(io(dir))?.permissions().mode() & 0o7777;
    refuse_wider(dir, mode, DIRECTORY_MODE)?;
    // Without a database nothing was ever wrapped: what is there of a key is from a first start that was cut short.
    let is_new = !dir.join(shelf::DATABASE).exists();
    match File::open(&path) {
        Ok(file) => match read_wrapping_key(&path, file) {
            Err(KeystoreError::WrappingKeyMalformed { .. }) if is_new => {
                std::fs::remove_file(&path).map_err(io(&path))?
            }
            read => return read,
        },
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(&path)(error).into()),
        Err(_) if !is_new => return Err(KeystoreError::WrappingKeyMissing { path }),
        Err(_) => {}
    }
    let mut key = Secret::default();
    getrandom::fill(&mut *key).map_err(KeystoreError::Random)?;
    let unfinished = dir.join(UNFINISHED_KEY);
    // Whole before it has its name: half a key, or one of zeros, would be taken for one.
    let create = || {
        match std::fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&unfinished)?;
        file.write_all(&*key)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, &path)?;
        File::open(dir)?.sync_all()?;
        File::open(dir.join(".."))?.sync_all()
    };
    create().map_err(io(&path))?;
    Ok(key)
}

fn read_wrapping_key(path: &Path, mut file: File) -> Result<Secret, KeystoreError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    // The mode of what was opened: a path may name another file a moment later.
    let metadata = file.metadata().map_err(io)?;
    refuse_wider(path, metadata.permissions().mode() & 0o7777, FILE_MODE)?;
    if metadata.len() != SECRET_BYTES as u64 {
        return Err(KeystoreError::WrappingKeyMalformed { path: path.to_owned() });
    }
    let mut key = Secret::default();
    file.read_exact(&mut *key).map_err(io)?;
    Ok(key)
}

#[cfg(test)]
mod tests;
