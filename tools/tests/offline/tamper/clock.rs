//! Attacks on time: what events say of it, and the machine's clock.

use std::sync::Arc;

use chancery_ledger::event::Envelope;
use chancery_ledger::time::Micros;
use chancery_projections::command::RegisterAgent;
use chancery_projections::context::Clock;
use chancery_projections::engine::EngineConfig;

use super::attack::{StolenKeys, forged, kept_head, passes, retell, verify, verify_head, without_last_checkpoint};
use super::log::at;
use crate::forge::Forge;
use crate::world::{START, send};

attacks! { "clock":
    /// An event is dated back.
    [Verify: "time"]
    fn an_event_is_dated_back(world) {
        let data = forged(world, |forge| redate(forge, world.suspended, -3_600_000_000));
        vec![verify(&data)]
    }

    /// An event is dated a moment later.
    [Verify: "checkpoint"]
    fn an_event_is_dated_later(world) {
        let data = forged(world, |forge| redate(forge, world.suspended, 1));
        vec![verify(&data)]
    }

    /// Whoever has stolen the signing keys dates an event anew.
    [VerifyHead: "diverged"]
    fn an_event_is_dated_anew_with_stolen_keys(world) {
        let (head, keys) = (kept_head(world), StolenKeys::of(&world.data()));
        let data = forged(world, |forge| {
            retell(forge, world.suspended);
            forge.seal_by(world.suspended + 1, |size| keys.at(size));
        });
        without_last_checkpoint(&data);
        passes(&data);
        vec![verify_head(&data, &head)]
    }

    /// The machine's clock is set back by a year, so that what happens now seems to have happened then.
    [Sequencer: "at the time of the event before"]
    fn the_clock_is_set_back(world) {
        let data = world.copy("set-back");
        let before = last_time(&data);
        let mut config = EngineConfig::new(&data);
        config.clock = Arc::new(Standing(Micros(START - 365 * 86_400_000_000)));
        send(config, [RegisterAgent::named("late".to_owned()).into()]);
        passes(&data);
        assert!(Forge::of(&data).events.len() > at(world.size()));
        let said = if last_time(&data) == before { "it happened at the time of the event before" } else { "it happened then" };
        vec![Seen(By::Sequencer, said.to_owned())]
    }
}

/// A clock that stands.
struct Standing(Micros);

impl Clock for Standing {
    fn now(&self) -> Micros {
        self.0
    }
}

/// Has an event tell another time.
fn redate(forge: &mut Forge, seq: u64, by_micros: i64) {
    let (header, _) = &mut forge.events[at(seq)];
    let mut envelope = Envelope::parse(header).unwrap();
    envelope.time = Micros(envelope.time.0 + by_micros);
    *header = envelope.render();
}

/// When the last event happened.
fn last_time(data: &str) -> Micros {
    Envelope::parse(&Forge::of(data).events.last().unwrap().0).unwrap().time
}
