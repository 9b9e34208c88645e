//! AgentIdP's audit log: which events it tells of, in the vendor's words, and the vendor's hash chain over them, one for
//! each tenant. A function of the numbered events alone.
//!
//! - `entry`: which entries an event has, and the hash that chains them.
//! - `rows`: what the execution view keeps: for each event with entries one row, with counts up to there, so that any page
//!   of any selection is binary search and arithmetic. Entries themselves are kept nowhere: they are rendered from the log.
//! - `view`: what readers ask: a page, one entry, whether the chain is whole.
//!
//! # Source
//! contracts/agentidp.md section 9.

pub mod entry;
pub mod rows;
pub mod view;
