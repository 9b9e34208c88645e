//! The native API: one module for each sort of question, each operation a constant that router and OpenAPI read.

pub mod admin;
pub mod backup;
pub mod batch;
pub mod bundle;
pub mod call;
pub mod command;
pub mod commands;
pub mod difference;
pub mod events;
pub mod export;
pub mod openapi;
pub mod operation;
pub mod proofs;
pub mod receipts;
pub mod result;
pub mod selection;
pub mod stream;
pub mod views;
pub mod witness;
