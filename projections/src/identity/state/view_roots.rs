//! The roots that were published of the views' rows.

use chancery_ledger::body::view_roots::ViewRoot;
use chancery_ledger::ids::TreeSize;
use chancery_ledger::time::Micros;
use serde::{Deserialize, Serialize};

use crate::rows::table::Table;

/// The roots published last, under `()`.
pub const VIEW_ROOTS: Table<ViewRoots> = Table::new(57);

/// Roots of the views' rows. The event that published them is the row's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewRoots {
    /// How many events they reflect.
    pub size: TreeSize,
    /// In which format the rows are.
    pub format: u16,
    /// The root of each view that has one.
    pub roots: Vec<ViewRoot>,
    /// When they were published.
    pub published: Micros,
}
