//! Secrets that were looked up before, and what they stand for: so that a request costs no reading of a view.

use chancery_ledger::ids::TreeSize;
use chancery_ledger::link::Hash;
use quick_cache::sync::Cache;

use super::Holder;
use crate::limits::KNOWN_SECRETS_MAX;

/// What secrets stand for, by their hashes, each as of the last change of who is let in.
///
/// A secret that stands for nobody is not kept, so that guesses push out nothing.
#[derive(Debug)]
pub struct KnownSecrets(Cache<Hash, (TreeSize, Holder)>);

impl Default for KnownSecrets {
    fn default() -> Self {
        Self(Cache::new(KNOWN_SECRETS_MAX))
    }
}

impl KnownSecrets {
    /// Whom a secret stands for, when that was found out since the log had `access` events, with which who is let in
    /// last changed.
    #[must_use]
    pub fn get(&self, secret: &Hash, access: TreeSize) -> Option<Holder> {
        self.0.get(secret).filter(|(as_of, _)| *as_of == access).map(|(_, holder)| holder)
    }

    /// Keeps what was read from a view that reflects at least `access` events.
    pub fn keep(&self, secret: Hash, access: TreeSize, holder: Holder) {
        self.0.insert(secret, (access, holder));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::holder;

    #[test]
    fn what_is_known_holds_until_access_changes() {
        let (known, secret) = (KnownSecrets::default(), Hash([1; 32]));
        known.keep(secret, TreeSize(5), holder());
        assert!(known.get(&secret, TreeSize(5)).is_some());
        assert!(known.get(&secret, TreeSize(6)).is_none(), "a revocation may lie between");
        assert!(known.get(&Hash([2; 32]), TreeSize(5)).is_none());
    }

    #[test]
    fn what_is_known_is_bounded() {
        let known = KnownSecrets::default();
        for secret in 0..2 * KNOWN_SECRETS_MAX as u64 {
            let mut hash = Hash::ZERO;
            hash.0[..8].copy_from_slice(&secret.to_le_bytes());
            known.keep(hash, TreeSize(5), holder());
        }
        assert!(known.0.len() <= KNOWN_SECRETS_MAX);
    }
}
