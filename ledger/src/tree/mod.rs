//! The RFC 6962 tree over all events.

/// A node of the tree: a leaf's or an interior node's SHA-256 hash (RFC 6962 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeHash(pub [u8; 32]);
