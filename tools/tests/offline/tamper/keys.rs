//! Attacks on keys: those that seal, those that encrypt, and who may have them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chancery_ledger::body::Body;
use chancery_ledger::ids::{AgentId, ThingId as _};
use chancery_ledger::keystore::SecretName;
use fjall::{Database, KeyspaceCreateOptions, PersistMode};

use super::attack::{StolenKeys, forged, passes, start, verify, without_last_checkpoint};
use crate::forge::{Forge, foreign_key};
use crate::world::chancery;

attacks! { "keys":
    /// A key that was rotated out, stolen, seals on.
    [Verify: "key"]
    fn a_rotated_out_key_seals_on(world) {
        let keys = StolenKeys::of(&world.data());
        let data = forged(world, |forge| forge.seal_by(world.rotated + 2, |_| keys.first()));
        vec![verify(&data)]
    }

    /// The event that names the next key is made to name another's, which seals from then on.
    [Verify: "signature"]
    fn a_rotation_is_made_to_name_another_key(world) {
        let foreign = foreign_key();
        let data = forged(world, |forge| {
            forge.change_body(world.rotated, |body| {
                let Body::SigningKeyAdded(added) = body else { panic!("no rotation") };
                added.public = foreign.public().as_bytes().to_vec();
            });
            forge.link();
            forge.seal_by(world.rotated + 1, |_| &foreign);
        });
        vec![verify(&data)]
    }

    /// The log is made to name a first key for which anybody can sign: a point of small order.
    [Verify: "key"]
    fn a_key_is_named_for_which_anybody_signs(world) {
        let data = forged(world, |forge| {
            forge.change_body(0, |body| {
                let Body::LedgerCreated(created) = body else { panic!("no ledger") };
                // The curve's neutral element (RFC 8032 §5.1.4), encoded.
                created.public = [0; 32];
                created.public[0] = 1;
            });
            forge.link();
        });
        vec![verify(&data)]
    }

    /// The file of the sealing key is made readable for others.
    [Start: "may be used by others: run `chmod 600"]
    fn a_sealing_key_is_laid_open(world) {
        let data = world.copy("open");
        let file = sealing_key_file(&data, world);
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
        vec![start(&data)]
    }

    /// Another key is put into the file of the sealing key.
    [Start: "not the one in its name"]
    fn a_sealing_key_is_exchanged(world) {
        let data = world.copy("exchanged");
        let file = sealing_key_file(&data, world);
        fs::write(file, foreign_key().to_pkcs8_pem().unwrap().as_bytes()).unwrap();
        vec![start(&data)]
    }

    /// The key that wraps the keystore is exchanged.
    [Start: "is not the key of this keystore"]
    fn the_wrapping_key_is_exchanged(world) {
        let data = world.copy("wrapped");
        fs::write(Path::new(&data).join("keystore/wrapping.key"), [7; 32]).unwrap();
        vec![start(&data)]
    }

    /// An agent's data key is exchanged, within the keystore, for another's.
    [Replay: "is damaged in the keystore"]
    fn a_data_key_is_exchanged(world) {
        let (data, other) = (world.copy("swapped"), registered(world, world.size() - 1));
        let db = Database::builder(Path::new(&data).join("keystore/db")).open().unwrap();
        let secrets = db.keyspace("secrets", KeyspaceCreateOptions::default).unwrap();
        let name = |agent: AgentId| SecretName::Data(agent.subject()).to_bytes();
        let others = secrets.get(name(other)).unwrap().unwrap();
        secrets.insert(name(registered(world, world.registered)), others).unwrap();
        db.persist(PersistMode::SyncAll).unwrap();
        drop((secrets, db));
        vec![replay(&data, world.registered, world)]
    }

    /// An agent's encrypted fields are put into another's event, and everything above is signed with stolen keys.
    [Replay: "the ciphertext was altered or belongs elsewhere"]
    fn encrypted_fields_are_put_elsewhere(world) {
        let (keys, last) = (keys(world), world.size() - 1);
        let data = forged(world, |forge| {
            let Body::AgentRegistered(ada) = forge.body(world.registered) else { panic!("no agent") };
            forge.change_body(last, |body| {
                let Body::AgentRegistered(bob) = body else { panic!("no agent") };
                (bob.personal.nonce, bob.personal.ciphertext) = (ada.personal.nonce, ada.personal.ciphertext);
            });
            forge.link();
            forge.seal_by(last + 1, |size| keys.at(size));
        });
        without_last_checkpoint(&data);
        passes(&data);
        vec![replay(&data, last, world)]
    }
}

fn keys(world: &World) -> StolenKeys {
    StolenKeys::of(&world.data())
}

/// The file of the key that seals next.
fn sealing_key_file(data: &str, world: &World) -> PathBuf {
    let key = keys(world).at(world.size() + 1).public();
    Path::new(data).join("keys").join(format!("seal-{key}.pem"))
}

/// The agent that an event registered.
fn registered(world: &World, seq: u64) -> AgentId {
    match Forge::of(&world.data()).body(seq) {
        Body::AgentRegistered(it) => it.agent,
        other => panic!("{other:?}"),
    }
}

/// Reads the agent that an event registered, with its encrypted fields.
fn replay(data: &str, seq: u64, world: &World) -> Seen {
    let agent = registered(world, seq).to_string();
    Seen(By::Replay, chancery(&["replay", "--data-dir", data, "agent", &agent]).is(2).err)
}
