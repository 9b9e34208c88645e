//! What a name stands for, looked at before anything is sent there. The connection goes to the addresses that this gives
//! and to no others, so there is no second look-up for a name to answer differently.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::address::{is_link_local, is_public};
use super::target::Forbidden;
use crate::limits::EGRESS_LOOKUPS;

type Lookup = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// The system's resolver, and who may be called.
pub(super) struct Guarded {
    allows_private: bool,
    lookup: Lookup,
    /// A look-up holds a thread for as long as the system takes, even if nobody waits for it any more.
    threads: Arc<Semaphore>,
}

impl Guarded {
    pub(super) fn new(allows_private: bool) -> Self {
        let lookup = |host: &str| Ok((host, 0).to_socket_addrs()?.collect());
        Self { allows_private, lookup, threads: Arc::new(Semaphore::new(EGRESS_LOOKUPS)) }
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (allows_private, lookup, threads) = (self.allows_private, self.lookup, self.threads.clone());
        Box::pin(async move {
            let thread = threads.acquire_owned().await?;
            let host = name.as_str().to_owned();
            let found = tokio::task::spawn_blocking(move || {
                let found = lookup(&host);
                drop(thread);
                found
            });
            let addresses = found.await??;
            Ok(Box::new(permitted(name.as_str(), addresses, allows_private)?.into_iter()) as Addrs)
        })
    }
}

/// All of a name's addresses, if every one may be called: a name that stands for both sorts is up to something.
fn permitted(host: &str, addresses: Vec<SocketAddr>, allows_private: bool) -> Result<Vec<SocketAddr>, Forbidden> {
    if addresses.iter().any(|address| is_link_local(address.ip())) {
        return Err(Forbidden::LinkLocal { host: host.to_owned() });
    }
    if allows_private || addresses.iter().all(|address| is_public(address.ip())) {
        Ok(addresses)
    } else {
        Err(Forbidden::Private { host: host.to_owned() })
    }
}

/// The refusal that is the cause of an error, if one is.
pub(super) fn forbidden(error: &dyn Error) -> Option<Forbidden> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(forbidden) = error.downcast_ref::<Forbidden>() {
            return Some(forbidden.clone());
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_private_address_forbids_the_name() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| format!("{text}:0").parse().unwrap()).collect();
        assert!(permitted("a", addresses(&["8.8.8.8", "[2606:4700::1]"]), false).is_ok());
        for private in ["127.0.0.1", "[::1]", "[::ffff:10.0.0.1]"] {
            let both = addresses(&["8.8.8.8", private]);
            let refused = Err(Forbidden::Private { host: "a".to_owned() });
            assert_eq!(permitted("a", both, false), refused, "{private}");
            assert!(permitted("a", addresses(&[private]), true).is_ok(), "{private}");
        }
        for allows_private in [false, true] {
            let both = addresses(&["8.8.8.8", "169.254.169.254"]);
            let refused = Err(Forbidden::LinkLocal { host: "a".to_owned() });
            assert_eq!(permitted("a", both, allows_private), refused, "whatever is allowed");
        }
    }
}
