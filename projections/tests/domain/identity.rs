//! Agents: DOMAIN section 3.1 and contracts/orgkernel.md section 4.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Kind;
use chancery_ledger::body::identity::{AgentKeyPurpose, EndCause, Environment, SpendingLimit};
use chancery_ledger::keys::{PublicKey, SigningKey};
use chancery_ledger::time::Micros;
use chancery_projections::command::*;
use chancery_projections::identity::state::AgentStatus;
use chancery_projections::identity::view;
use chancery_projections::lane::orgkernel;
use chancery_projections::lane::orgkernel::certificate::{CertificatePreimage, ca_fingerprint};
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use zeroize::Zeroizing;

use crate::the;
use crate::world::*;

const DECOMMISSIONED: Rejection = Rejection::AgentDecommissioned;

/// The state table of contracts/orgkernel.md section 4, cell by cell.
#[test]
fn the_state_machine_of_agents() {
    #[derive(Debug, Clone, Copy)]
    enum To {
        Event(Kind, AgentStatus),
        Same,
        Refused,
    }
    use AgentStatus::{Active, Decommissioned, Suspended};
    let ended = To::Event(Kind::AgentDecommissioned, Decommissioned);
    let table = [
        (Active, [To::Event(Kind::AgentSuspended, Suspended), To::Same, ended]),
        (Suspended, [To::Same, To::Event(Kind::AgentResumed, Active), ended]),
        (Decommissioned, [To::Refused, To::Refused, To::Refused]),
    ];
    for (from, cells) in table {
        for (operation, cell) in cells.into_iter().enumerate() {
            let mut w = World::new();
            let ada = w.agent("ada");
            match from {
                Active => {}
                Suspended => drop(w.when(suspend(ada)).then_decided()),
                Decommissioned => drop(w.when(revoke(ada)).then_decided()),
            }
            let command: Command = match operation {
                0 => suspend(ada).into(),
                1 => resume(ada).into(),
                _ => revoke(ada).into(),
            };
            let outcome = w.when(command);
            let now = match cell {
                To::Event(kind, to) => {
                    outcome.then(&[kind]);
                    to
                }
                To::Same => {
                    assert!(matches!(outcome.then_unchanged(), Output::Agent(agent) if agent.status == from));
                    from
                }
                To::Refused => {
                    outcome.then_rejected(DECOMMISSIONED);
                    from
                }
            };
            assert_eq!(w.agent_view(ada).status, now, "{from:?}, operation {operation}");
        }
    }
}

#[test]
fn an_agent_s_end_is_told_once_and_for_good() {
    let mut w = World::new();
    let ada = w.agent("ada");
    w.advance_secs(5);
    w.when(revoke(ada)).then(&[Kind::AgentDecommissioned]);
    let end = w.agent_view(ada).end.unwrap();
    assert_eq!((end.cause, end.at), (EndCause::Revoked, w.now));
    assert_eq!((end.by.as_deref(), end.reason.as_deref()), (Some("ops"), Some("gone")));
    w.advance_secs(5);
    w.when(DecommissionAgent { agent: ada, cause: EndCause::Deleted, by: None, reason: None })
        .then_rejected(DECOMMISSIONED);
    assert_eq!(w.agent_view(ada).end.unwrap(), end);
    w.when(UpdateAgent { name: Some("bob".into()), ..UpdateAgent::of(ada) }).then_rejected(DECOMMISSIONED);
}

#[test]
fn expiry_is_derived_from_the_time_and_stored_nowhere() {
    let mut w = World::new();
    let ada = registered(&w.when(RegisterAgent { valid_days: Some(1), ..register("ada") }).then_decided());
    assert_eq!(w.agent_view(ada).valid_until, Some(START.plus_secs(86_400)));
    w.now = START.plus_secs(86_400);
    assert!(w.agent_view(ada).usable, "the last instant is inclusive");
    w.now = Micros(w.now.0 + 1);
    let expired = w.agent_view(ada);
    assert_eq!((expired.status, expired.unusable_because), (AgentStatus::Active, Some("expired")));
    // The operations go by the stored status.
    w.when(resume(ada)).then_unchanged();
    w.when(suspend(ada)).then(&[Kind::AgentSuspended]);
    assert_eq!(w.agent_view(ada).unusable_because, Some("suspended"));
}

#[test]
fn a_made_key_is_shown_once_and_certified() {
    let mut w = World::new();
    let command = RegisterAgent {
        organisation: Some(OrganisationRef::Slug("acme-corp".into())),
        profile: AgentProfile { issued_by: Some("Köln-経理".into()), ..AgentProfile::default() },
        valid_days: Some(365),
        via: Via::OrgKernel,
        ..register("invoice-processor")
    };
    let outcome = w.when(command);
    let pem = outcome.shown().to_owned();
    let events =
        outcome.then(&[Kind::OrganisationCreated, Kind::AgentRegistered, Kind::AgentKeyAdded, Kind::CertificateIssued]);
    let (added, issued) = (the!(&events, AgentKeyAdded), the!(&events, CertificateIssued));
    assert_eq!((added.purpose, the!(&events, AgentRegistered).via.as_str()), (AgentKeyPurpose::Identity, "orgkernel"));
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"), "{pem}");
    let stored: Vec<Vec<u8>> = events.iter().map(|event| event.body.encode(&event.prelude).unwrap()).collect();
    assert!(stored.iter().all(|body| !body.windows(11).any(|window| window == b"PRIVATE KEY")));

    // The signature is the CA's, over exactly what section 4 says.
    let reading = w.reading();
    let certificate = view::certificate(&reading, w.root, issued.agent).unwrap().unwrap();
    let ca = view::org_ca(&reading, w.root).unwrap().unwrap();
    assert_eq!(certificate.issued_by.as_deref(), Some("Köln-経理"));
    assert_eq!(certificate.ca_fingerprint.as_deref(), Some(ca.fingerprint.as_str()));
    let preimage = CertificatePreimage {
        agent_id: &orgkernel::ids::render_agent(certificate.agent),
        agent_name: "invoice-processor",
        org_id: "acme-corp",
        issued_by: "Köln-経理",
        public_key: certificate.public.as_ref().unwrap().0.as_slice().try_into().unwrap(),
        ca_fingerprint: &ca_fingerprint(ca.public.0.as_slice().try_into().unwrap()),
        issued_at: START,
        valid_until: Some(START.plus_secs(365 * 86_400)),
    };
    let public = PublicKey::from_slice(&ca.public.0).unwrap();
    assert!(public.verify(preimage.canonical().as_bytes(), &certificate.signature.0));
    let other = CertificatePreimage { agent_name: "invoice-processor2", ..preimage };
    assert!(!public.verify(other.canonical().as_bytes(), &certificate.signature.0));
}

#[test]
fn a_brought_key_is_certified_and_no_key_needs_no_certificate() {
    let mut w = World::new();
    let (ada, key) = w.agent_with_key("ada", 7);
    assert_eq!(w.agent_view(ada).identity_key.unwrap().public.0, key.public().as_bytes());
    let outcome = w.when(RegisterAgent { key: KeyChoice::None, ..register("bob") });
    let bob = registered(&outcome.then(&[Kind::AgentRegistered]));
    assert_eq!(w.agent_view(bob).identity_key, None);
    assert_eq!(view::certificate(&w.reading(), w.root, bob).unwrap(), None);
    for bad in ["", "zz", &"00".repeat(31), &"00".repeat(33)] {
        w.when(RegisterAgent { key: KeyChoice::Bring(bad.to_owned()), ..register("eve") }).then_invalid("key");
    }
}

#[test]
fn issued_by_defaults_to_the_organisation() {
    let mut w = World::new();
    let ada = w.agent("ada");
    let certificate = view::certificate(&w.reading(), w.root, ada).unwrap().unwrap();
    assert_eq!(certificate.issued_by.as_deref(), Some("root"));
}

#[test]
fn a_handle_is_held_alone_in_every_status_and_by_tenant() {
    let mut w = World::new();
    let named = || RegisterAgent {
        handles: vec![HandleClaim { namespace: "orgkernel/acme".into(), value: "bot".into() }],
        ..register("bot")
    };
    let ada = registered(&w.when(named()).then_decided());
    let taken = Rejection::HandleTaken { namespace: "orgkernel/acme".into() };
    w.when(named()).then_rejected(taken.clone());
    w.when(suspend(ada)).then_decided();
    w.when(named()).then_rejected(taken.clone());
    w.when(revoke(ada)).then_decided();
    w.when(named()).then_rejected(taken);
    let other = HandleClaim { namespace: "orgkernel/other".into(), value: "bot".into() };
    w.when(RegisterAgent { handles: vec![other], ..register("bot") }).then_decided();
    w.when_second(named()).then_decided();
    let found = view::agent_by_handle(&w.reading(), w.root, "orgkernel/acme", "bot").unwrap().unwrap();
    assert_eq!(found.id, ada);
}

#[test]
fn a_name_alone_need_not_be_unique() {
    let mut w = World::new();
    assert_ne!(w.agent("ada"), w.agent("ada"));
}

#[test]
fn an_organisation_is_found_by_id_or_slug_or_made() {
    let mut w = World::new();
    let by_slug = |slug: &str| RegisterAgent {
        organisation: Some(OrganisationRef::Slug(slug.into())),
        key: KeyChoice::None,
        ..register("ada")
    };
    let events = w.when(by_slug("acme")).then(&[Kind::OrganisationCreated, Kind::AgentRegistered]);
    let acme = the!(&events, OrganisationCreated).organisation;
    let events = w.when(by_slug("acme")).then(&[Kind::AgentRegistered]);
    assert_eq!(the!(&events, AgentRegistered).organisation, acme);
    let by_id =
        RegisterAgent { organisation: Some(OrganisationRef::Id(acme)), key: KeyChoice::None, ..register("ada") };
    w.when(by_id.clone()).then(&[Kind::AgentRegistered]);
    // Another tenant's organisation is as one that does not exist.
    w.when_second(by_id).then_rejected(Rejection::NotFound { thing: "organisation" });
    w.when(by_slug("Acme")).then_invalid("organisation");
    w.when(by_slug("a")).then_invalid("organisation");
}

#[test]
fn registration_checks_every_field() {
    let mut w = World::new();
    let long = |n: usize| "x".repeat(n);
    let profile = |profile: AgentProfile| RegisterAgent { profile, ..register("ada") };
    let cases: Vec<(&str, RegisterAgent)> = vec![
        ("name", register("")),
        ("name", register(&long(257))),
        ("kind", RegisterAgent { kind: Some(long(65)), ..register("ada") }),
        ("semver", RegisterAgent { semver: Some(long(65)), ..register("ada") }),
        ("capabilities", RegisterAgent { capabilities: vec!["x".into(); 65], ..register("ada") }),
        ("capabilities", RegisterAgent { capabilities: vec![String::new()], ..register("ada") }),
        (
            "handles",
            RegisterAgent {
                handles: vec![HandleClaim { namespace: "n".into(), value: "v".into() }; 9],
                ..register("ada")
            },
        ),
        (
            "handles.namespace",
            RegisterAgent {
                handles: vec![HandleClaim { namespace: String::new(), value: "v".into() }],
                ..register("ada")
            },
        ),
        (
            "handles.value",
            RegisterAgent {
                handles: vec![HandleClaim { namespace: "n".into(), value: String::new() }],
                ..register("ada")
            },
        ),
        ("valid_days", RegisterAgent { valid_days: Some(0), ..register("ada") }),
        ("valid_days", RegisterAgent { valid_days: Some(3651), ..register("ada") }),
        ("valid_days", RegisterAgent { valid_days: Some(1), valid_until: Some(START.plus_secs(1)), ..register("ada") }),
        ("valid_until", RegisterAgent { valid_until: Some(START), ..register("ada") }),
        ("profile.email", profile(AgentProfile { email: Some(long(321)), ..AgentProfile::default() })),
        ("profile.owner", profile(AgentProfile { owner: Some(long(257)), ..AgentProfile::default() })),
        ("profile.issued_by", profile(AgentProfile { issued_by: Some(long(65)), ..AgentProfile::default() })),
        ("profile.purpose", profile(AgentProfile { purpose: Some(long(257)), ..AgentProfile::default() })),
        ("profile.description", profile(AgentProfile { description: Some(long(4097)), ..AgentProfile::default() })),
        (
            "profile.metadata",
            profile(AgentProfile { metadata: [(long(8192), long(8193))].into(), ..AgentProfile::default() }),
        ),
        (
            "profile.labels",
            profile(AgentProfile { labels: [(long(8192), long(8193))].into(), ..AgentProfile::default() }),
        ),
        (
            "profile.annotations",
            profile(AgentProfile { annotations: [(long(8192), long(8193))].into(), ..AgentProfile::default() }),
        ),
    ];
    for (field, command) in cases {
        w.when(command).then_invalid(field);
    }
}

#[test]
fn a_profile_too_large_for_an_event_is_the_caller_s_to_mend() {
    let mut w = World::new();
    let map = || [("k".into(), "ä".repeat(8_190))].into();
    let profile = AgentProfile {
        owner: Some("x".repeat(256)),
        description: Some("😀".repeat(4_096)),
        metadata: map(),
        labels: map(),
        annotations: map(),
        ..AgentProfile::default()
    };
    let limit = Rejection::LimitReached { limit: "bytes in one event", max: 65_536 };
    w.when(RegisterAgent { profile, ..register("ada") }).then_rejected(limit);
}

#[test]
fn personal_fields_are_encrypted_and_erased_with_their_key() {
    use chancery_ledger::ids::ThingId as _;
    use chancery_ledger::keystore::SecretName;

    let mut w = World::new();
    let profile = AgentProfile {
        email: Some("ada@example.org".into()),
        owner: Some("Ada L.".into()),
        metadata: [("team".into(), "engines".into())].into(),
        ..AgentProfile::default()
    };
    let events = w.when(RegisterAgent { profile, ..register("ada") }).then_decided();
    for event in &events {
        let stored = event.body.encode(&event.prelude).unwrap();
        for personal in ["ada@example.org", "Ada L.", "engines"] {
            assert!(!stored.windows(personal.len()).any(|window| window == personal.as_bytes()), "{personal}");
        }
    }
    let ada = registered(&events);
    assert_eq!(w.agent_view(ada).profile.unwrap().email.as_deref(), Some("ada@example.org"));
    w.keys.destroy(SecretName::Data(ada.subject()));
    let erased = w.agent_view(ada);
    assert_eq!((erased.profile, erased.name.as_str(), erased.usable), (None, "ada", true));
    let certificate = view::certificate(&w.reading(), w.root, ada).unwrap().unwrap();
    assert_eq!(certificate.issued_by, None);
}

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    let mut w = World::new();
    let first = RegisterAgent { semver: Some("1.0.0".into()), capabilities: vec!["read".into()], ..register("ada") };
    let ada = registered(&w.when(first).then_decided());
    w.when(UpdateAgent::of(ada)).then_unchanged();
    w.when(UpdateAgent { name: Some("ada".into()), ..UpdateAgent::of(ada) }).then_unchanged();
    w.advance_secs(1);
    let change = UpdateAgent {
        name: Some("Ada \"2\"".into()),
        semver: Some(None),
        capabilities: Some(vec!["read".into(), "write".into()]),
        environment: Some(Environment::Staging),
        profile: Some(AgentProfile { purpose: Some("engines".into()), ..AgentProfile::default() }),
        actions: Some(vec!["pay".into(), "read".into(), "pay".into()]),
        limit: Some(SpendingLimit { amount: "100.50".parse().unwrap(), currency: "USD".into() }),
        ..UpdateAgent::of(ada)
    };
    w.when(change.clone()).then(&[Kind::AgentUpdated]);
    w.when(change).then_unchanged();
    let agent = w.agent_view(ada);
    assert_eq!((agent.name.as_str(), agent.semver), ("Ada \"2\"", None));
    assert_eq!((agent.capabilities.len(), agent.environment), (2, Environment::Staging));
    assert_eq!(agent.profile.unwrap().purpose.as_deref(), Some("engines"));
    assert_eq!(agent.actions, ["pay", "read"], "each once, in the order given");
    assert_eq!(agent.limit.unwrap().amount.to_string(), "100.5");
    assert_eq!((agent.created, agent.updated), (START, START.plus_secs(1)));
    assert_eq!(agent.status, AgentStatus::Active);
    for (amount, currency, field) in [
        ("-0.01", "USD", "limit.amount"),
        ("1000000000000000.01", "USD", "limit.amount"),
        ("1", "usd", "limit.currency"),
        ("1", "USDT", "limit.currency"),
    ] {
        let limit = Some(SpendingLimit { amount: amount.parse().unwrap(), currency: currency.into() });
        w.when(UpdateAgent { limit, ..UpdateAgent::of(ada) }).then_invalid(field);
    }
    w.when(UpdateAgent { actions: Some(vec![String::new()]), ..UpdateAgent::of(ada) }).then_invalid("actions");
    w.when(UpdateAgent { name: Some(String::new()), ..UpdateAgent::of(ada) }).then_invalid("name");
}

#[test]
fn an_absent_member_of_an_update_is_not_a_null_one() {
    let read = |params: &str| match Command::parse("UpdateAgent", params).unwrap().unwrap() {
        Command::UpdateAgent(update) => update.semver,
        _ => unreachable!(),
    };
    let id = "01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b";
    assert_eq!(read(&format!(r#"{{"agent":"{id}"}}"#)), None);
    assert_eq!(read(&format!(r#"{{"agent":"{id}","semver":null}}"#)), Some(None));
    assert_eq!(read(&format!(r#"{{"agent":"{id}","semver":"2"}}"#)), Some(Some("2".into())));
}

#[test]
fn another_tenant_s_agent_does_not_exist() {
    let mut w = World::new();
    let ada = w.agent("ada");
    let missing = || Rejection::NotFound { thing: "agent" };
    w.when_second(suspend(ada)).then_rejected(missing());
    w.when_second(resume(ada)).then_rejected(missing());
    w.when_second(revoke(ada)).then_rejected(missing());
    w.when_second(UpdateAgent::of(ada)).then_rejected(missing());
    w.when_second(challenge(ada)).then_rejected(missing());
    let mut command = issue(ada, w.now);
    w.when_second(command.clone()).then_rejected(missing());
    command.agent = chancery_ledger::ids::AgentId(chancery_ledger::ids::uuid_v7(1, [1; 10]));
    w.when(command).then_rejected(missing());
    assert_eq!(view::agent(&w.reading(), w.second, ada).unwrap(), None);
}

#[test]
fn reasons_are_bounded() {
    let mut w = World::new();
    let ada = w.agent("ada");
    let long = Some("x".repeat(501));
    w.when(SuspendAgent { agent: ada, reason: long.clone() }).then_invalid("reason");
    w.when(ResumeAgent { agent: ada, reason: long.clone() }).then_invalid("reason");
    w.when(DecommissionAgent { agent: ada, cause: EndCause::Revoked, by: None, reason: long }).then_invalid("reason");
    let by = Some("x".repeat(65));
    w.when(DecommissionAgent { agent: ada, cause: EndCause::Revoked, by, reason: None }).then_invalid("by");
    w.when(SuspendAgent { agent: ada, reason: Some("é".repeat(500)) }).then(&[Kind::AgentSuspended]);
    w.when(ResumeAgent { agent: ada, reason: Some(String::new()) }).then(&[Kind::AgentResumed]);
}

#[test]
fn the_owner_is_who_registered_it() {
    let mut w = World::new();
    let ada = w.agent("ada");
    assert_eq!(w.agent_view(ada).owner, w.owner.actor.principal);
    assert!(matches!(w.agent_view(ada).owner, Principal::Member(_)));
}

#[test]
fn the_sealing_key_is_the_root_tenant_s_to_rotate() {
    let mut w = World::new();
    let key = |seed: u8| RotateSigningKey::seal(SigningKey::from_seed(Zeroizing::new([seed; 32])).public().as_bytes());
    w.when_second(key(1)).then_rejected(Rejection::NotRoot);
    w.when(key(9)).then_rejected(Rejection::KeyInUse);
    w.when(RotateSigningKey::seal(&[0; 32])).then_invalid("public");
    w.advance_secs(1);
    // The new key's event is the last of its commit.
    w.when(key(1)).then(&[Kind::SigningKeyRetired, Kind::SigningKeyAdded]);
    w.when(key(1)).then_rejected(Rejection::KeyInUse);
    let reading = w.reading();
    let ledger = view::ledger(&reading).unwrap().unwrap();
    assert_eq!(ledger.sealing_key.unwrap().public.0, key(1).public);
    let own = chancery_ledger::ids::TenantId::LEDGER;
    let keys = view::public_keys(&reading, own, &chancery_projections::view::Paging::newest(10)).unwrap().items;
    assert_eq!(keys.iter().map(|key| key.retired).collect::<Vec<_>>(), [None, Some(w.now)]);
}
