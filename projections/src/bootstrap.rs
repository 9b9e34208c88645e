//! The first start: genesis, the root tenant, and the credentials that are shown once.

use zeroize::Zeroizing;

/// What a first start made, shown once. The log holds hashes of the keys alone.
#[derive(Debug)]
pub struct FirstStart {
    /// The root tenant's slug.
    pub tenant: String,
    /// A native API key with every scope, for every mount.
    pub admin_key: Zeroizing<String>,
    /// A bearer key for the OrgKernel dialect.
    pub orgkernel_token: Zeroizing<String>,
}
