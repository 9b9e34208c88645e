//! Delivery: who outside is told of which events, and what came of telling them.
//!
//! A destination is an address; a subscription tells events of some kinds to destinations, in the words of one
//! [`rendering`]. Each event that a subscription tells is a delivery from the moment it is in the view, so what is to be
//! sent, and when, stands in rows and is the same after any restart or rebuild. Sending is none of this room's business:
//! whoever sends asks for what is [`due`](view::due) and records what came of it.
//!
//! Deliveries of one subscription are settled one after another, in the order of the log: while one waits to be tried
//! again, those behind it wait too.

pub mod decide;
pub mod evolve;
pub mod rendering;
pub mod retry;
pub mod state;
pub mod view;
