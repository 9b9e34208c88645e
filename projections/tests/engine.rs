//! The engine as a whole: opened, asked, stopped, opened again.

mod support;

use chancery_projections::output::Output;
use support::{HandClock, MemoryLog, World, agent_with_key};

#[test]
fn a_command_is_answered_with_what_it_made() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let world = World::open(dir.path(), &log, &clock);
    let receipt = world.send(agent_with_key("ada"));
    assert_eq!(receipt.events.len(), 3);
    let Ok(Output::Registered(registered)) = receipt.answer else { panic!("{:?}", receipt.answer) };
    assert_eq!(registered.agent.name, "ada");
    assert!(registered.private_key_pem.is_some() && registered.certificate.is_some());
}
