//! What readers ask of missions and audit chains, now and as of a past event. Another tenant's thing is as one that does
//! not exist.

mod audit;
mod missions;
mod transactions;

pub use audit::*;
pub use missions::*;
pub use transactions::*;
