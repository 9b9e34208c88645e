//! All that deciding may know of the world: the time, randomness, and the keys. Deciders get it; evolve never does.

use std::sync::Arc;

use chancery_ledger::actor::Actor;
use chancery_ledger::body::Kind;
use chancery_ledger::body::field::Signature;
use chancery_ledger::codec::{self, CodecError};
use chancery_ledger::ids::{Subject, TenantId, ThingId, uuid_v7};
use chancery_ledger::keys::SigningKey;
use chancery_ledger::keystore::{KeystoreError, NewSecret, SecretName, Secrets};
use chancery_ledger::link::Hash;
use chancery_ledger::shred::{self, Encrypted, FieldContext};
use chancery_ledger::time::Micros;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::{Zeroize, Zeroizing};

/// Where time comes from. The daemon's is the system's; a simulation has its own.
pub trait Clock: Send + Sync {
    /// Microseconds since the Unix epoch. May run backwards; the sequencer does not.
    fn now(&self) -> Micros;
}

/// Where randomness comes from. The daemon's is the system's; a simulation has a seeded one.
pub trait Random: Send {
    /// Fills a buffer with bytes that nobody can predict.
    ///
    /// # Errors
    /// [`RandomError`] when the system has none to give.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RandomError>;
}

/// The system gave no randomness.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the system gave no randomness")]
pub struct RandomError;

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        Micros(jiff::Timestamp::now().as_microsecond())
    }
}

/// The system's randomness.
#[derive(Debug, Clone, Copy)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(bytes).map_err(|_| RandomError)
    }
}

/// Bytes fetched from the system at a time.
const POOL_BYTES: usize = 1024;

/// The system's randomness, fetched in blocks: most draws are a few bytes, and to ask the system for each would cost more
/// than using them. What was drawn is overwritten here.
pub struct PooledRandom {
    pool: Zeroizing<[u8; POOL_BYTES]>,
    used: usize,
}

impl Default for PooledRandom {
    fn default() -> Self {
        Self { pool: Zeroizing::new([0; POOL_BYTES]), used: POOL_BYTES }
    }
}

impl Random for PooledRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RandomError> {
        if bytes.len() > POOL_BYTES {
            return SystemRandom.fill(bytes);
        }
        if bytes.len() > POOL_BYTES - self.used {
            // A pool that could not be filled again is used up.
            self.used = POOL_BYTES;
            SystemRandom.fill(&mut *self.pool)?;
            self.used = 0;
        }
        let drawn = &mut self.pool[self.used..self.used + bytes.len()];
        bytes.copy_from_slice(drawn);
        drawn.zeroize();
        self.used += bytes.len();
        Ok(())
    }
}

/// Keys or randomness were not to be had. Whoever asked gets 503; nothing was decided.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The system gave no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The keystore failed.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// A value is larger than an event may be: the caller's to mend.
    #[error("a value takes more than the {max} bytes an event may have")]
    TooLarge {
        /// The most an event may have.
        max: usize,
    },
    /// An encrypted field cannot be read or written.
    #[error("an encrypted field is unusable: {0}")]
    Field(String),
}

/// The world as one command sees it.
pub struct Context<'a> {
    now: Micros,
    tenant: TenantId,
    caller: &'a Caller,
    random: &'a mut dyn Random,
    secrets: &'a dyn Secrets,
    made: Vec<NewSecret>,
}

/// Who sends a command, and from which tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The tenant of the caller's own credential.
    pub tenant: TenantId,
    /// Who it is.
    pub actor: Actor,
}

impl<'a> Context<'a> {
    /// The world at one instant, for a command of one tenant.
    pub fn new(
        now: Micros, tenant: TenantId, caller: &'a Caller, random: &'a mut dyn Random, secrets: &'a dyn Secrets,
    ) -> Self {
        Self { now, tenant, caller, random, secrets, made: Vec::new() }
    }

    /// Who asks.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        self.caller
    }

    /// The time of the events being decided.
    #[must_use]
    pub const fn now(&self) -> Micros {
        self.now
    }

    /// The tenant the command is for.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// A new id.
    ///
    /// # Errors
    /// [`ContextError::Random`].
    pub fn id<T: ThingId>(&mut self) -> Result<T, ContextError> {
        Ok(T::from_uuid(uuid_v7(self.now.millis(), self.random()?)))
    }

    /// Random bytes.
    ///
    /// # Errors
    /// [`ContextError::Random`].
    pub fn random<const N: usize>(&mut self) -> Result<[u8; N], ContextError> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// A new 32-byte secret.
    ///
    /// # Errors
    /// [`ContextError::Random`].
    pub fn secret(&mut self) -> Result<Zeroizing<[u8; 32]>, ContextError> {
        let mut bytes = Zeroizing::new([0; 32]);
        self.random.fill(&mut *bytes)?;
        Ok(bytes)
    }

    /// Encrypts a field of an event under the data key of a thing, making the key if the thing has none yet. What is
    /// encrypted for a thing that was erased is erased at once.
    ///
    /// # Errors
    /// [`ContextError`] when randomness or keystore fail, or the value is larger than a field may be.
    pub fn encrypt<T: Serialize>(
        &mut self, kind: Kind, field: &str, owner: Subject, value: &T,
    ) -> Result<Encrypted, ContextError> {
        let plain = codec::encode(value).map_err(|error| match error {
            CodecError::TooLarge { max, .. } => ContextError::TooLarge { max },
            error => ContextError::Field(error.to_string()),
        })?;
        let plain = Zeroizing::new(plain);
        let key = self.data_key(owner)?;
        let nonce = self.random()?;
        let place = FieldContext { tenant: self.tenant, kind: kind.code(), version: kind.version(), field };
        Ok(shred::encrypt(&key, owner, nonce, &place, &plain))
    }

    /// Opens a field that a rule needs; `None` when it was erased.
    ///
    /// # Errors
    /// [`ContextError`] when the keystore fails or the field is not what it should be.
    pub fn open<T: DeserializeOwned>(
        &self, kind: Kind, field: &str, value: &Encrypted,
    ) -> Result<Option<T>, ContextError> {
        let made = self.made.iter().find(|new| new.name == SecretName::Data(value.key)).map(|new| new.secret.clone());
        let place = FieldContext { tenant: self.tenant, kind: kind.code(), version: kind.version(), field };
        open_with(made, self.secrets, &place, value)
    }

    /// Opens fields of what was there before the command.
    #[must_use]
    pub fn opener(&self) -> Opener<'_> {
        Opener::new(self.secrets)
    }

    /// Signs with the tenant's CA; `None` when the tenant has none.
    ///
    /// # Errors
    /// [`ContextError::Keystore`].
    pub fn sign_as_ca(&self, message: &[u8]) -> Result<Option<Signature>, ContextError> {
        let name = SecretName::OrgCa(self.tenant);
        let key = match self.made.iter().find(|new| new.name == name) {
            Some(new) => Some(Arc::new(SigningKey::from_seed(new.secret.clone()))),
            None => self.secrets.signing_key(&name)?,
        };
        Ok(key.map(|key| Signature(key.sign(message))))
    }

    /// Hashes a value for equality look-ups within the tenant, so that the hash tells nobody else the value.
    ///
    /// # Errors
    /// [`ContextError`] when randomness or keystore fail.
    pub fn keyed_hash(&mut self, purpose: &str, value: &str) -> Result<Hash, ContextError> {
        let tenant = self.tenant;
        let key = self.data_key(tenant.subject())?;
        Ok(Hash(shred::keyed_hash(&key, purpose, value.as_bytes())))
    }

    /// Keeps a secret that becomes durable before the events that need it.
    pub fn keep(&mut self, name: SecretName, secret: Zeroizing<[u8; 32]>) {
        self.made.push(NewSecret { name, secret });
    }

    /// The secrets that deciding made.
    #[must_use]
    pub fn into_new_secrets(self) -> Vec<NewSecret> {
        self.made
    }

    fn data_key(&mut self, owner: Subject) -> Result<Zeroizing<[u8; 32]>, ContextError> {
        let name = SecretName::Data(owner);
        if let Some(key) = self.find(&name)? {
            return Ok(key);
        }
        let key = self.secret()?;
        // A destroyed key is never made anew, or what it encrypted would look damaged instead of erased: this one is
        // used once and forgotten.
        if !self.secrets.is_destroyed(&name)? {
            self.keep(name, key.clone());
        }
        Ok(key)
    }

    fn find(&self, name: &SecretName) -> Result<Option<Zeroizing<[u8; 32]>>, ContextError> {
        match self.made.iter().find(|new| new.name == *name) {
            Some(new) => Ok(Some(new.secret.clone())),
            None => Ok(self.secrets.secret(name)?),
        }
    }
}

/// Opens encrypted fields for readers.
#[derive(Clone, Copy)]
pub struct Opener<'a> {
    secrets: &'a dyn Secrets,
}

impl<'a> Opener<'a> {
    /// Opens with these keys.
    #[must_use]
    pub const fn new(secrets: &'a dyn Secrets) -> Self {
        Self { secrets }
    }

    /// Opens a field; `None` when it was erased.
    ///
    /// # Errors
    /// [`ContextError`] when the keystore fails or the field is not what it should be.
    pub fn open<T: DeserializeOwned>(
        &self, tenant: TenantId, kind: Kind, field: &str, value: &Encrypted,
    ) -> Result<Option<T>, ContextError> {
        self.open_at(&FieldContext { tenant, kind: kind.code(), version: kind.version(), field }, value)
    }

    /// Hashes a value as [`Context::keyed_hash`] does; `None` when the tenant's key was never made, or was destroyed.
    ///
    /// # Errors
    /// [`ContextError`] when the keystore fails.
    pub fn keyed_hash(&self, tenant: TenantId, purpose: &str, value: &str) -> Result<Option<Hash>, ContextError> {
        let key = self.secrets.secret(&SecretName::Data(tenant.subject()))?;
        Ok(key.map(|key| Hash(shred::keyed_hash(&key, purpose, value.as_bytes()))))
    }

    /// Opens a field where it stands, in a body of any version.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_at<T: DeserializeOwned>(
        &self, place: &FieldContext<'_>, value: &Encrypted,
    ) -> Result<Option<T>, ContextError> {
        open_with(None, self.secrets, place, value)
    }
}

fn open_with<T: DeserializeOwned>(
    key: Option<Zeroizing<[u8; 32]>>, secrets: &dyn Secrets, place: &FieldContext<'_>, value: &Encrypted,
) -> Result<Option<T>, ContextError> {
    let key = match key {
        Some(key) => Some(key),
        None => secrets.secret(&SecretName::Data(value.key))?,
    };
    let Some(key) = key else { return Ok(None) };
    let plain = shred::decrypt(&key, place, value).map_err(|error| ContextError::Field(error.to_string()))?;
    codec::decode(&plain).map(Some).map_err(|error| ContextError::Field(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooled_randomness_is_never_given_twice() {
        let mut random = PooledRandom::default();
        let mut seen = std::collections::HashSet::new();
        // Lengths that end at, before and behind the end of a pool, and one beyond it.
        for len in [16, 24, POOL_BYTES - 40, 32, POOL_BYTES, POOL_BYTES + 1].into_iter().cycle().take(600) {
            let mut bytes = vec![0; len];
            random.fill(&mut bytes).unwrap();
            for part in bytes.chunks_exact(16) {
                assert!(seen.insert(part.to_vec()), "16 bytes came again");
            }
        }
        assert!(random.pool[..random.used].iter().all(|byte| *byte == 0), "what was drawn is still there");
    }
}
