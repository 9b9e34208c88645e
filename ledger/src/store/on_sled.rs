//! The log on sled.

use std::path::Path;

use super::StoreError;

/// The log on sled.
pub struct SledStore;

impl SledStore {
    /// Opens or makes it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(_dir: &Path) -> Result<Self, StoreError> {
        todo!()
    }
}
