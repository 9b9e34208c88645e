//! Witnesses: others who saw a log grow, and signed that they saw nothing else.
//!
//! A log that is signed by its own key alone can be shown in one form to one reader and in another to the next. A witness
//! keeps, for each log, the newest tree that it saw, cosigns another only if that tree is its beginning, and so never two
//! that contradict each other. What it signs is a [`cosignature`]; which witnesses a reader or a log asks for, and how
//! many of them are enough, is a [`policy`].
//!
//! Out of scope: asking them and being one, which needs a network (`chancery-api`).

pub mod cosignature;
pub mod policy;

#[cfg(test)]
mod tests;
