//! The daemon from outside: a real process, a real socket, a data directory of its own.

mod answers;
mod auth;
mod batches;
mod bounds;
mod commands;
mod crash;
mod events;
mod process;
mod reads;
mod support;
