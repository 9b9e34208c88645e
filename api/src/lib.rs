//! `chanceryd`: the daemon, its native HTTP API and its dialects.
//!
//! A request goes through [`server`] (bounds, request id, metrics), [`router`] (which handler), and a handler in
//! [`native`] or [`dialect`], which authenticates ([`auth`]), parses, asks [`app::App`] and renders. Nothing is
//! decided here: that is `chancery_projections`'s.

pub mod app;
pub mod auth;
pub mod compliance;
pub mod config;
pub mod daemon;
pub mod delivery;
pub mod dialect;
pub mod egress;
pub mod export;
pub mod issuers;
pub mod jose;
pub mod kept;
pub mod limits;
pub mod native;
pub mod notify;
pub mod observability;
pub mod path_table;
pub mod problem;
pub mod publishing;
pub mod rates;
pub mod request;
pub mod response;
pub mod router;
pub mod server;
pub mod shredding;
pub mod siem;
pub mod signature;
pub mod timestamping;
pub mod tls;
pub mod view_roots;
