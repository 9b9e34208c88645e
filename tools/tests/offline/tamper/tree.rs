//! Attacks on the tree over the events, as it lies on the disk.

use super::attack::{forged, verify};
use super::log::{at, flip};
use crate::damage::parts;
use crate::forge::{Forge, event_key, sled_of};

attacks! { "tree":
    /// A node of the tree is changed.
    [Verify: "tree"]
    fn a_node_is_changed(world) {
        let data = world.copy("node");
        Forge::spread(&data);
        let (nodes, end) = (parts(&data, 7).nodes, parts(&data, 7).end);
        overwrite(&data, 7, |bytes| bytes[nodes..end][31] ^= 1);
        vec![verify(&data)]
    }

    /// Nodes of two subtrees change places.
    [Verify: "tree"]
    fn nodes_change_places(world) {
        let data = world.copy("nodes");
        Forge::spread(&data);
        let nodes = parts(&data, 7).nodes;
        overwrite(&data, 7, |bytes| {
            let (one, other) = bytes[nodes..nodes + 64].split_at_mut(32);
            one.swap_with_slice(other);
        });
        vec![verify(&data)]
    }

    /// The last event of a commit is changed, and every node of the tree above.
    [Verify: "checkpoint"]
    fn a_commit_s_last_event_is_changed(world) {
        let data = forged(world, |forge| flip(&mut forge.events[at(world.suspended)].0, 20));
        vec![verify(&data)]
    }
}

/// Changes what lies in an event's place.
fn overwrite(data: &str, seq: u64, change: impl FnOnce(&mut [u8])) {
    let db = sled_of(data);
    let mut bytes = db.get(event_key(seq)).unwrap().unwrap().to_vec();
    change(&mut bytes);
    db.insert(event_key(seq), bytes).unwrap();
    db.flush().unwrap();
}
