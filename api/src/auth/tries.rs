//! Clients' proofs of themselves that did not hold. Each is an event, durable before it is answered: the first ten of a
//! client and address in a minute singly, while its address has not had a hundred; the rest as one count. Who goes on
//! beyond that is asked to wait. A proof that holds is never looked at here, so that nobody can lock out somebody else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use chancery_projections::credential::secret_hash;

use crate::limits::{REFUSALS_SINGLY, REFUSING_CLIENTS_MAX, TRIES_MAX, TRIES_SINGLY};
use crate::rates::Refused;

/// How long tries are counted together.
const WINDOW: Duration = Duration::from_secs(60);

/// What was tried in the current minute.
#[derive(Debug, Default)]
pub struct Tries(Mutex<Minute>);

#[derive(Debug, Default)]
struct Minute {
    number: i64,
    /// Addresses beyond the bound share one count.
    addresses: HashMap<Option<IpAddr>, u32>,
    clients: HashMap<(Option<IpAddr>, Hash), u32>,
}

/// What becomes of a try that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Try {
    /// It is an event of its own.
    Singly,
    /// It is counted with others.
    Counted,
    /// It is counted, and whoever it was is to wait.
    TooOften(Refused),
}

impl Tries {
    /// Counts a try that failed, by whom its sender said to be.
    pub fn failed(&self, address: IpAddr, client: &str, now: Micros) -> Try {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        minute.turn_to(now);
        let address = minute.known(address);
        let of_address = minute.addresses.entry(address).or_default();
        *of_address = of_address.saturating_add(1);
        let of_address = *of_address;
        if of_address > TRIES_MAX {
            let rest = WINDOW.as_micros() as i64 - now.0.rem_euclid(WINDOW.as_micros() as i64);
            let retry_after = Duration::from_micros(u64::try_from(rest).unwrap_or_default());
            return Try::TooOften(Refused { limit: u64::from(TRIES_MAX), window: WINDOW, retry_after });
        }
        if of_address > TRIES_SINGLY {
            return Try::Counted;
        }
        let of_client = minute.clients.entry((address, secret_hash(client))).or_default();
        *of_client += 1;
        if *of_client > REFUSALS_SINGLY { Try::Counted } else { Try::Singly }
    }

    /// Whether the next try of that client would be no event of its own.
    pub fn are_many(&self, address: IpAddr, client: &str, now: Micros) -> bool {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        minute.turn_to(now);
        let address = minute.known(address);
        let of_address = minute.addresses.get(&address).copied().unwrap_or(0);
        if of_address == 0 {
            return false;
        }
        let of_client = minute.clients.get(&(address, secret_hash(client))).copied().unwrap_or(0);
        of_address >= TRIES_SINGLY || of_client >= REFUSALS_SINGLY
    }
}

impl Minute {
    fn turn_to(&mut self, now: Micros) {
        let number = now.0.div_euclid(WINDOW.as_micros() as i64);
        if self.number != number {
            self.number = number;
            self.addresses.clear();
            self.clients.clear();
        }
    }

    fn known(&self, address: IpAddr) -> Option<IpAddr> {
        let known = self.addresses.contains_key(&Some(address)) || self.addresses.len() < REFUSING_CLIENTS_MAX;
        known.then_some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = Micros(600_000_000);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn ten_of_a_client_and_a_hundred_of_an_address_are_events_of_their_own() {
        let tries = Tries::default();
        let singly = (0..25).filter(|_| tries.failed(address(1), "ada", NOW) == Try::Singly).count();
        assert_eq!(singly, REFUSALS_SINGLY as usize);
        assert!(tries.are_many(address(1), "ada", NOW));
        assert!(!tries.are_many(address(1), "bob", NOW));
        assert!(!tries.are_many(address(2), "ada", NOW), "what another address does concerns nobody");
        let singly = (0..200).filter(|n| tries.failed(address(1), &n.to_string(), NOW) == Try::Singly).count();
        assert_eq!(singly, TRIES_SINGLY as usize - 25);
        assert_eq!(tries.failed(address(1), "ada", NOW.plus_secs(60)), Try::Singly, "a new minute begins anew");
    }

    #[test]
    fn who_goes_on_is_asked_to_wait_for_the_rest_of_the_minute() {
        let tries = Tries::default();
        for _ in 0..TRIES_MAX {
            assert!(!matches!(tries.failed(address(1), "ada", NOW), Try::TooOften(_)));
        }
        let Try::TooOften(refused) = tries.failed(address(1), "ada", NOW.plus_secs(20)) else { panic!("let go on") };
        assert_eq!(refused.retry_after, Duration::from_secs(40));
        assert_eq!(tries.failed(address(2), "ada", NOW), Try::Singly);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let tries = Tries::default();
        for client in 0..REFUSING_CLIENTS_MAX as u32 + 100 {
            let [a, b, ..] = client.to_le_bytes();
            tries.failed(IpAddr::from([10, 0, a, b]), "ada", NOW);
        }
        let minute = tries.0.lock().unwrap();
        assert_eq!(minute.addresses.len(), REFUSING_CLIENTS_MAX + 1);
        assert_eq!(minute.addresses[&None], 100);
    }
}
