//! (stub until merged)
use serde::{Deserialize, Serialize};
use crate::ids::Subject;
/// x
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encrypted {
    /// x
    pub key: Subject,
    /// x
    pub nonce: [u8; 24],
    /// x
    pub ciphertext: Vec<u8>,
}
