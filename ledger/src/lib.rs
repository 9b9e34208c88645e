//! Chancery's ledger: what happened, kept so that nobody has to be trusted.
//!
//! Every state change is an [`event::Envelope`] whose header is hash-linked to the one before it ([`link`]), a leaf
//! of one RFC 6962 tree ([`tree`]), and made durable in a commit that ends in a seal: a C2SP checkpoint signed with
//! Ed25519 ([`tree::seal`]). [`commit`] is the only way in, [`store`] the only place on disk, [`verify`] the one
//! verifier that daemon, tools and tests all call. Every byte is specified in `docs/format.md`.
//!
//! This crate knows no HTTP and no view: what events mean belongs to `chancery-projections`.

pub mod actor;
pub mod body;
pub mod codec;
pub mod commit;
pub mod data_dir;
pub mod event;
pub mod export;
pub mod ids;
pub mod keys;
pub mod keystore;
pub mod last_checkpoint;
pub mod link;
pub mod shred;
pub mod store;
pub mod time;
pub mod tree;
pub mod verify;
