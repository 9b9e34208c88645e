//! Dialects: what other vendors' SDKs speak, translated to native commands and reads. One room per vendor.
//!
//! A room gets every request below its mount, authenticated or not, and answers in its vendor's words alone.

pub mod agentidp;
pub mod alsorn;
pub mod orgkernel;

use chancery_projections::scope::Scope;

#[cfg(test)]
mod tests;

/// What a route becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Native {
    /// A command, by its name.
    Command(&'static str),
    /// A query of a view, by what is asked for, and the scope it needs.
    Query(&'static str, Scope),
    /// A query of what everybody may know.
    Public(&'static str),
}

/// One line of a room's table of contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The method.
    pub method: &'static str,
    /// The whole path, in two parts: the mount's, and the rest; `{…}` stands for one segment.
    pub path: (&'static str, &'static str),
    /// What it becomes.
    pub native: Native,
}
