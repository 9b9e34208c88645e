//! Attacks on view receipts: files that say what a view said of a thing, or that it knew none.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use chancery_ledger::actor::Actor;
use chancery_ledger::ids::{AgentId, ThingId as _};
use chancery_projections::command::PublishViewRoots;
use chancery_projections::context::Caller;
use chancery_projections::engine::{Engine, EngineConfig};
use chancery_projections::identity::state::VIEW_ROOTS;
use chancery_projections::sequencer::Request;
use chancery_projections::view_receipt::receipt::Receipt;
use chancery_projections::view_receipt::roots::{ROOTED, Trees};
use chancery_projections::view_receipt::thing::{Sort, Thing};
use chancery_projections::views::View;
use serde_json::Value;

use super::attack::verifier_keys;
use crate::world::{administrator, chancery};

attacks! { "receipt":
    /// A row that a receipt shows is changed.
    [VerifyReceipt: "the leaf is not that of this row of this thing"]
    fn the_row_of_a_receipt_is_changed(world) {
        vec![shown(world, |receipt| {
            let row = receipt["row"].as_str().unwrap().to_owned();
            let changed = if row.starts_with('A') { "B" } else { "A" };
            receipt["row"] = format!("{changed}{}", &row[1..]).into();
        })]
    }

    /// The receipt of one thing is shown for another.
    [VerifyReceipt: "the leaf is not that of this row of this thing"]
    fn a_receipt_is_shown_for_another_thing(world) {
        vec![shown(world, |receipt| receipt["thing"] = "agent:01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b".into())]
    }

    /// A thing that a view knew is said to have been unknown to it.
    [VerifyReceipt: "the leaves do not stand next to each other on both sides of where the row would be"]
    fn a_known_thing_is_said_to_be_unknown(world) {
        vec![shown(world, |receipt| receipt["row"] = Value::Null)]
    }

    /// A leaf of the tree over a view is said to have been written by another event.
    [VerifyReceipt: "does not lead to the root that was published"]
    fn a_leaf_of_a_receipt_is_changed(world) {
        vec![shown(world, |receipt| receipt["leaves"][0]["seq"] = 1.into())]
    }

    /// The root that was published is exchanged in a receipt.
    [VerifyReceipt: "the body is not that of the event"]
    fn the_published_root_of_a_receipt_is_exchanged(world) {
        vec![shown(world, |receipt| {
            // Within the last root of the event's body.
            let body = receipt["body"].as_str().unwrap().to_owned();
            let (before, after) = body.split_at(body.len() - 8);
            let changed = if after.starts_with('A') { "B" } else { "A" };
            receipt["body"] = format!("{before}{changed}{}", &after[1..]).into();
        })]
    }
}

/// What the verifier says of the receipt of an agent that somebody changed.
fn shown(world: &World, change: impl FnOnce(&mut Value)) -> Seen {
    let data = world.copy("receipts");
    let mut receipt = serde_json::to_value(receipt(world, &data)).unwrap();
    let (file, key) = (world.path("receipt"), verifier_keys(&data).pop().unwrap().1.to_string());
    fs::write(&file, receipt.to_string()).unwrap();
    chancery(&["verify", "--receipt", &file, "--key", &key]).is(0);
    change(&mut receipt);
    fs::write(&file, receipt.to_string()).unwrap();
    Seen(By::VerifyReceipt, chancery(&["verify", "--receipt", &file, "--key", &key]).is(1).out)
}

/// The genuine receipt of an agent.
fn receipt(world: &World, data: &str) -> Receipt {
    let agent: AgentId = world.agent.parse().unwrap();
    let trees = Trees::new(Path::new(data).join("trees"));
    // A start brings the views up to the log.
    let open = || Engine::open(EngineConfig::new(data)).unwrap().0;
    let snapshot = |engine: &Engine, view| engine.views().get(view).store.snapshot();

    let engine = open();
    let (size, (root, _)) = (engine.log().size(), administrator(&engine));
    let views = ROOTED.map(|view| (view, snapshot(&engine, view)));
    let roots = trees.build(size, views, &mut || ControlFlow::Continue(())).unwrap();
    assert!(trees.hold(size, &roots).unwrap());
    let publish = Request::new(root, Caller { tenant: root, actor: Actor::system() }, PublishViewRoots { size, roots });
    engine.sequencer().submit(publish).unwrap().wait().unwrap().answer.unwrap();
    engine.stop();
    drop(engine);

    let engine = open();
    let published = VIEW_ROOTS.get_versioned(&snapshot(&engine, View::Identity), ()).unwrap().unwrap();
    let thing = Thing { sort: Sort::Agent, id: agent.uuid() };
    let made = Receipt::make(root, thing, &published, &trees, snapshot(&engine, View::Identity), &*engine.log());
    engine.stop();
    made.unwrap()
}
