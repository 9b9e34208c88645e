//! Receipts of a real engine's views: what they prove, to whom, and that nothing else passes for one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::ops::ControlFlow;

use chancery_ledger::actor::Actor;
use chancery_ledger::ids::{AgentId, Seq, TenantId, ThingId as _, TokenId, uuid_v7};
use chancery_ledger::keys::PublicKey;
use chancery_ledger::keystore::{KeystoreError, SecretName, Secrets};
use chancery_ledger::store::LogStore as _;
use chancery_ledger::time::Micros;
use chancery_ledger::tree::verifier_key::VerifierKey;
use chancery_projections::command::{
    GrantScopes, IssueToken, MissionKey, MissionRef, PublishViewRoots, RevokeToken, RotateSigningKey,
};
use chancery_projections::context::Caller;
use chancery_projections::identity::state::{SEALING_KEY, VIEW_ROOTS};
use chancery_projections::output::Output;
use chancery_projections::replay::Replay;
use chancery_projections::sequencer::Request;
use chancery_projections::view_receipt::receipt::{MakeError, Proven, Receipt, ReceiptError};
use chancery_projections::view_receipt::roots::{ROOTED, RootsError, Trees};
use chancery_projections::view_receipt::thing::{Sort, Thing};
use chancery_projections::views::View;
use serde_json::{Value, json};
use support::{HandClock, MemoryLog, START, World, agent};
use zeroize::Zeroizing;

struct Setting {
    world: World,
    trees: Trees,
    dir: tempfile::TempDir,
}

impl Setting {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = World::open(dir.path(), &MemoryLog::new(), &HandClock::new());
        Self { world, trees: Trees::new(dir.path().join("receipts")), dir }
    }

    fn publish(&self) {
        let (world, size) = (&self.world, self.world.log.size());
        let views = ROOTED.map(|view| (view, world.view(view)));
        let roots = self.trees.build(size, views, &mut || ControlFlow::Continue(())).unwrap();
        assert!(self.trees.hold(size, &roots).unwrap());
        let system = Caller { tenant: world.root, actor: Actor::system() };
        let receipt = world.ask(Request::new(world.root, system, PublishViewRoots { size, roots }));
        assert_eq!((receipt.events.len(), receipt.answer.is_ok()), (1, true));
    }

    fn receipt(&self, tenant: TenantId, thing: Thing) -> Result<Receipt, MakeError> {
        let published = VIEW_ROOTS.get_versioned(&self.world.view(View::Identity), ()).unwrap().unwrap();
        let view = self.world.view(thing.sort.view());
        Receipt::make(tenant, thing, &published, &self.trees, view, &*self.world.log)
    }

    /// What the receipt of a thing of the root tenant's proves.
    fn proven(&self, sort: Sort, id: uuid::Uuid) -> Proven {
        self.receipt(self.world.root, Thing { sort, id }).unwrap().verify(&self.key()).unwrap()
    }

    fn key(&self) -> VerifierKey {
        let row = SEALING_KEY.get(&self.world.view(View::Identity), ()).unwrap().unwrap();
        let key = PublicKey::from_slice(&row.public).unwrap();
        VerifierKey { origin: self.world.engine.origin().to_owned(), key }
    }

    fn agent(&self) -> AgentId {
        let Output::Registered(registered) = self.world.accepted(agent("ada")) else { panic!("no agent") };
        registered.agent.agent
    }

    fn token(&self, agent: AgentId) -> TokenId {
        let mission = MissionRef::Key(MissionKey { namespace: "native".to_owned(), text: "sweep".to_owned() });
        let issued = self.world.accepted(IssueToken {
            agent,
            mission,
            scopes: vec!["sweep".to_owned()],
            expires: Micros(START + 600_000_000),
            immutable: chancery_ledger::body::field::JsonText::object(),
            bounds: Vec::new(),
            snapshot: None,
        });
        let Output::Token(token) = issued else { panic!("no token") };
        token.token
    }
}

fn unknown(n: u8) -> uuid::Uuid {
    uuid_v7(START as u64 / 1000, [n; 10])
}

#[test]
fn a_receipt_says_what_the_view_said_when_its_root_was_published() {
    let it = Setting::new();
    let agent = it.agent();
    let token = it.token(agent);
    it.publish();
    let size = it.world.log.size().0 - 1;

    let not_revoked = it.proven(Sort::Token, token.uuid());
    let (_, row) = not_revoked.row.clone().unwrap();
    assert_eq!((row["token"].clone(), row["revoked"].clone()), (json!(token), Value::Null));
    assert_eq!((not_revoked.view, not_revoked.size.0, not_revoked.published.0), ("token", size, size));
    assert_eq!(it.proven(Sort::Grants, agent.uuid()).row, None, "nothing was ever granted");
    assert_eq!(it.proven(Sort::Agent, unknown(1)).row, None, "nobody knows that agent");
    assert_eq!(it.proven(Sort::Dispute, unknown(1)).row, None, "the trust view holds no dispute");

    // What happens later is in later roots.
    it.world.accepted(RevokeToken { token, reason: None });
    it.world.accepted(GrantScopes { agent, scopes: vec!["admin:orgs".to_owned()], administrator: false });
    assert_eq!(it.proven(Sort::Token, token.uuid()), not_revoked);
    it.publish();
    let (seq, row) = it.proven(Sort::Token, token.uuid()).row.unwrap();
    assert!(seq.0 >= size && row["revoked"].is_object(), "{row}");
    assert_eq!(it.proven(Sort::Grants, agent.uuid()).row.unwrap().1["scopes"], json!(["admin:orgs"]));

    // By the key then in force, and by no other.
    it.world.accepted(RotateSigningKey::seal(it.world.engine.new_sealing_key().unwrap().as_bytes()));
    let receipt = it.receipt(it.world.root, Thing { sort: Sort::Agent, id: agent.uuid() }).unwrap();
    assert!(matches!(receipt.verify(&it.key()), Err(ReceiptError::Proof(_))));
}

#[test]
fn another_tenants_thing_is_as_one_that_does_not_exist() {
    let it = Setting::new();
    let agent = it.agent();
    it.publish();
    let stranger = it.world.second;
    let receipt = it.receipt(stranger, Thing { sort: Sort::Agent, id: agent.uuid() }).unwrap();
    assert_eq!(receipt.verify(&it.key()).unwrap().row, None);
    // And a receipt of the one does not become one of the other.
    let mut own = it.receipt(it.world.root, Thing { sort: Sort::Agent, id: agent.uuid() }).unwrap();
    own.tenant = stranger;
    assert!(matches!(own.verify(&it.key()), Err(ReceiptError::Row)));
    let mut none = receipt;
    none.tenant = it.world.root;
    assert!(matches!(none.verify(&it.key()), Err(ReceiptError::Gap)));
}

/// Every place in a JSON value.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| places(value, &format!("{at}/{name}"), into));
        }
        Value::Array(items) => {
            (0..).zip(items).for_each(|(n, value): (usize, _)| places(value, &format!("{at}/{n}"), into));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => into.push(at.to_owned()),
    }
}

/// The same, but for one character or one.
fn altered(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => {
            let other = |at: usize| {
                let mut chars: Vec<char> = text.chars().collect();
                chars[at] = if chars[at] == 'b' { 'c' } else { 'b' };
                Value::String(chars.into_iter().collect())
            };
            let count = text.chars().count();
            (0..count).step_by(1 + count / 40).map(other).collect()
        }
        Value::Number(number) => {
            let number = number.as_u64().unwrap();
            vec![json!(number + 1), json!(number.wrapping_sub(1)), json!(0)]
        }
        Value::Null => vec![json!("AAAA")],
        _ => Vec::new(),
    }
}

#[test]
fn whatever_is_altered_in_a_receipt_it_proves_nothing_more() {
    let it = Setting::new();
    let agent = it.agent();
    let token = it.token(agent);
    it.publish();
    let (key, root) = (it.key(), it.world.root);
    for thing in [
        Thing { sort: Sort::Token, id: token.uuid() },
        Thing { sort: Sort::Agent, id: agent.uuid() },
        Thing { sort: Sort::Grants, id: agent.uuid() },
        Thing { sort: Sort::Token, id: unknown(3) },
    ] {
        let receipt = it.receipt(root, thing).unwrap();
        let proven = receipt.verify(&key).unwrap();
        let json = serde_json::to_value(&receipt).unwrap();
        let mut all = Vec::new();
        places(&json, "", &mut all);
        for place in &all {
            for other in altered(json.pointer(place).unwrap()) {
                let mut forged = json.clone();
                if forged.pointer(place) == Some(&other) {
                    continue;
                }
                *forged.pointer_mut(place).unwrap() = other.clone();
                let read = Receipt::parse(forged.to_string().as_bytes()).and_then(|read| read.verify(&key));
                // Between the same leaves nothing else stands either: what it then proves is another truth.
                let is_true = |found: &Proven| {
                    let is_other = (found.tenant, &found.thing) != (proven.tenant, &proven.thing);
                    let thing = found.thing.parse().unwrap();
                    is_other && found.row.is_none() && it.receipt(found.tenant, thing).unwrap().row.is_none()
                };
                assert!(!read.as_ref().is_ok_and(|found| !is_true(found)), "{place} {other} {read:?}");
            }
        }
        // Without a leaf, with one too many, in another order.
        for leaves in [
            receipt.leaves[1..].to_vec(),
            [receipt.leaves.clone(), receipt.leaves.clone()].concat(),
            receipt.leaves.iter().rev().cloned().collect(),
        ] {
            let forged = Receipt { leaves, ..receipt.clone() };
            assert!(forged == receipt || forged.verify(&key).is_err(), "{forged:?}");
        }
        let forged = Receipt { row: None, ..receipt.clone() };
        assert!(forged == receipt || forged.verify(&key).is_err());
    }
}

#[test]
fn trees_that_were_lost_or_damaged_are_made_anew_with_the_same_roots() {
    let it = Setting::new();
    let agent = it.agent();
    it.publish();
    let thing = Thing { sort: Sort::Agent, id: agent.uuid() };
    let first = it.receipt(it.world.root, thing).unwrap();
    // The views have gone on; the tree of then is a function of them all the same.
    it.token(agent);
    let published = VIEW_ROOTS.get(&it.world.view(View::Identity), ()).unwrap().unwrap();
    let leaves = it.dir.path().join("receipts").join(published.size.to_string()).join("identity.leaves");
    let mut bytes = std::fs::read(&leaves).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&leaves, bytes).unwrap();
    assert!(!it.trees.hold(published.size, &published.roots).unwrap());
    assert!(matches!(it.receipt(it.world.root, thing), Ok(_) | Err(MakeError::Unlike)));
    std::fs::remove_file(&leaves).unwrap();
    assert!(!it.trees.hold(published.size, &published.roots).unwrap());
    assert!(matches!(it.receipt(it.world.root, thing), Err(MakeError::NoTree { .. })));

    let views = || ROOTED.map(|view| (view, it.world.view(view)));
    let rebuilt = it.trees.build(published.size, views(), &mut || ControlFlow::Continue(())).unwrap();
    assert_eq!(rebuilt, published.roots);
    assert_eq!(it.receipt(it.world.root, thing).unwrap(), first);
    let stopped = it.trees.build(published.size, views(), &mut || ControlFlow::Break(()));
    // So few rows ask nobody.
    assert!(matches!(stopped, Ok(_) | Err(RootsError::Stopped)));
}

#[test]
fn the_trees_of_the_last_two_publications_are_kept() {
    let it = Setting::new();
    let mut sizes = Vec::new();
    for _ in 0..4 {
        it.agent();
        sizes.push(it.world.log.size());
        it.publish();
        it.trees.prune().unwrap();
    }
    let kept: Vec<bool> = sizes.iter().map(|size| it.trees.open(*size, View::Identity).unwrap().is_some()).collect();
    assert_eq!(kept, [false, false, true, true]);
}

#[test]
fn roots_of_no_more_events_are_not_published_again() {
    let it = Setting::new();
    it.publish();
    let published = VIEW_ROOTS.get(&it.world.view(View::Identity), ()).unwrap().unwrap();
    let system = Caller { tenant: it.world.root, actor: Actor::system() };
    let again = PublishViewRoots { size: published.size, roots: published.roots };
    let receipt = it.world.ask(Request::new(it.world.root, system, again));
    assert_eq!((receipt.events.len(), receipt.answer.is_ok()), (0, true));
}

/// Nobody's keys: roots are of rows whose encrypted fields stay so.
struct NoKeys;

impl Secrets for NoKeys {
    fn secret(&self, _: &SecretName) -> Result<Option<Zeroizing<[u8; 32]>>, KeystoreError> {
        Ok(None)
    }

    fn is_destroyed(&self, _: &SecretName) -> Result<bool, KeystoreError> {
        Ok(false)
    }
}

#[test]
fn replaying_the_log_names_the_first_root_that_is_not_what_the_events_come_to() {
    let it = Setting::new();
    let agent = it.agent();
    it.publish();
    it.token(agent);
    // A daemon that stands for a trust view which its events do not come to.
    let size = it.world.log.size();
    let go_on = &mut || ControlFlow::Continue(());
    let mut roots = it.trees.build(size, ROOTED.map(|view| (view, it.world.view(view))), go_on).unwrap();
    let said = roots.iter_mut().find(|root| root.view == "trust").unwrap();
    said.root[31] ^= 1;
    let said = said.clone();
    let system = Caller { tenant: it.world.root, actor: Actor::system() };
    it.world.ask(Request::new(it.world.root, system, PublishViewRoots { size, roots }));
    it.agent();
    it.publish();

    let (dir, log) = (tempfile::tempdir().unwrap(), it.world.log.clone());
    let replay = Replay::build(log.clone(), Box::new(NoKeys), dir.path(), log.size(), |_| {}).unwrap();
    let mut compared = Vec::new();
    let visit = |roots| {
        compared.push(roots);
        ControlFlow::Continue(())
    };
    replay.compare_roots(Seq(0), dir.path(), visit).unwrap();
    assert_eq!(compared.iter().map(|roots| roots.equal).collect::<Vec<_>>(), [Some(true), Some(false), Some(true)]);
    let [differing] = &*compared[1].differing else { panic!("{compared:?}") };
    assert_eq!((&differing.published, compared[1].size), (&said, size));
    assert_ne!(differing.replayed.as_ref(), Some(&said));
}

#[test]
fn things_are_named_by_sort_and_id() {
    let thing: Thing = "token:01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b".parse().unwrap();
    assert_eq!((thing.sort, thing.to_string()), (Sort::Token, "token:01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b".to_owned()));
    assert_eq!("grants:aid_01jcp0e84wfgx9y7jvdnz8z6gb".parse::<Thing>().unwrap().sort, Sort::Grants);
    for bad in
        ["", "token", "token:", "robot:01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b", "token:aid_01jcp0e84wfgx9y7jvdnz8z6gb"]
    {
        assert!(bad.parse::<Thing>().is_err(), "{bad}");
    }
}
