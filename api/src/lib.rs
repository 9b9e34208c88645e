//! chanceryd: Chancery's daemon.
