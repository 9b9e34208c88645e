//! Inclusion and consistency proofs; the C2SP `tlog-proof`.
