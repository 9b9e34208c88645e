//! Dialects: what other vendors' SDKs speak, translated to native commands and reads. One room per vendor.
//!
//! A room gets every request below its mount, authenticated or not, and answers in its vendor's words alone.

pub mod orgkernel;

#[cfg(test)]
mod tests;
