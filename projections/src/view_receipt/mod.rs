//! View receipts: what a view says of one thing, or that it knows no such thing, provable to somebody who has neither view
//! nor log.
//!
//! Now and then the daemon publishes, as an event, the root of a Merkle tree over each view's rows ([`roots`]). A leaf
//! ([`leaf`]) is a row's place, the event that wrote it, and a hash of what it says. Leaves stand in the order of their
//! places, so two neighbours prove that nothing stands between them; and a place is a hash, so that what a neighbour is
//! stays hidden from whoever is shown it. Trees lie in files ([`tree`]), in which a leaf is found by halving. A receipt
//! ([`receipt`]) leads from the row, or from the gap where it would be, by the root and the event to a signed checkpoint.
//! Which things have receipts is said in [`thing`].
//!
//! A receipt proves what the daemon said of its view. That the view is what the events come to, only replaying them
//! proves: `chancery replay roots`.

pub mod leaf;
pub mod receipt;
pub mod roots;
mod sorter;
pub mod thing;
pub mod tree;

#[cfg(test)]
mod tests;
