//! Chancery's ledger: what happened, kept so that nobody has to be trusted.
//!
//! Every state change is an [`event::Envelope`] whose header is hash-linked to the one before it ([`link`]), a leaf
//! of one RFC 6962 tree ([`tree`]), and made durable in a commit that ends in a seal: a C2SP checkpoint signed with
//! Ed25519 ([`tree::seal`]). [`commit`] is the only way in, [`store`] the only place on disk, [`verify`] the one
//! verifier that daemon, tools and tests all call. Every byte is specified in `docs/format.md`.
//!
//! Whoever holds an export, the ledger's public key and this crate needs nothing else:
//!
//! ```no_run
//! use std::fs::File;
//!
//! use chancery_ledger::export::ExportReader;
//! use chancery_ledger::verify::{Known, Trust, verify};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = std::env::args().nth(1).unwrap_or_default().parse()?;
//! let known = Known { key: Some((key, Trust::Given)), ..Known::default() };
//! let report = verify(ExportReader::new(File::open("ledger.export")?), &known, |_| {})?;
//! if let Some(broken) = &report.first_broken {
//!     println!("{broken}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! This crate knows no HTTP and no view: what events mean belongs to `chancery-projections`.

pub mod accepted_loss;
pub mod actor;
pub mod archive;
pub mod block_file;
pub mod body;
pub mod bundle;
pub mod codec;
pub mod commit;
pub mod data_dir;
pub mod event;
pub mod event_ref;
pub mod export;
pub mod ids;
pub mod keys;
pub mod keystore;
pub mod last_checkpoint;
pub mod link;
pub mod shred;
pub mod signature_base;
pub mod store;
pub mod time;
pub mod timestamp;
pub mod tree;
pub mod verify;
pub mod witness;
