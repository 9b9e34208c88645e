//! Where the log lies. (in progress)
