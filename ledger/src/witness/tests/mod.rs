//! Cosignatures and policies against what others published, and against every change of a byte.

mod cosignature;
mod policy;

use zeroize::Zeroizing;

use crate::ids::TreeSize;
use crate::keys::SigningKey;
use crate::tree::NodeHash;
use crate::tree::seal::{Checkpoint, Seal};
use crate::tree::verifier_key::CosignerKey;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([seed; 32]))
}

fn witness(name: &str, seed: u8) -> CosignerKey {
    CosignerKey { name: name.to_owned(), key: key(seed).public() }
}

fn seal() -> Seal {
    let checkpoint = Checkpoint { origin: "example.org/ledger".to_owned(), size: TreeSize(3), root: NodeHash([7; 32]) };
    Seal::sign(&checkpoint, &key(1)).unwrap()
}
