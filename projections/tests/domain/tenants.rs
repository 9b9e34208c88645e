//! Tenants and organisations: DOMAIN sections 2 and 3.1.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Kind;
use chancery_ledger::ids::{OrganisationId, TenantId, uuid_v7};
use chancery_projections::command::*;
use chancery_projections::identity::state::Standing;
use chancery_projections::identity::view;
use chancery_projections::rejection::Rejection;
use chancery_projections::scope::Scope;
use chancery_projections::view::Paging;

use crate::the;
use crate::world::*;

fn create(slug: &str) -> CreateTenant {
    CreateTenant::new(slug, "Acme")
}

#[test]
fn a_tenant_comes_with_its_ca_organisation_and_first_key() {
    let mut w = World::new();
    let outcome = w.when(create("acme"));
    assert!(outcome.shown().starts_with("chy_"));
    let shown = outcome.shown().to_owned();
    let events =
        outcome.then(&[Kind::TenantCreated, Kind::SigningKeyAdded, Kind::OrganisationCreated, Kind::CredentialCreated]);
    let tenant = the!(&events, TenantCreated).tenant;
    assert!(events.iter().all(|event| event.tenant == tenant), "they are the new tenant's events");
    let reading = w.reading();
    let found = view::tenant(&reading, tenant).unwrap().unwrap();
    assert_eq!((found.slug.as_str(), found.root, found.standing), ("acme", false, Standing::Active));
    let organisation = view::organisation_by_slug(&reading, tenant, "acme").unwrap().unwrap();
    assert!(organisation.default);
    assert_eq!(found.default_organisation, Some(organisation.id));
    assert_ne!(
        view::org_ca(&reading, tenant).unwrap(),
        view::org_ca(&reading, w.root).unwrap(),
        "each tenant has a CA of its own"
    );
    let (credential, owner) = view::credential_of_secret(reading.identity, &shown).unwrap().unwrap();
    assert_eq!((credential.principal, owner.tenant), (Principal::Tenant(tenant), tenant));
    assert!(credential.scopes.iter().all(|scope| !Scope::parse(scope).unwrap().is_root_only()));
    assert!(view::credential_of_secret(reading.identity, "chy_0").unwrap().is_none());
}

#[test]
fn slugs_are_never_reused() {
    let mut w = World::new();
    let tenant = the!(&w.when(create("acme")).then_decided(), TenantCreated).tenant;
    w.when(create("acme")).then_rejected(Rejection::SlugTaken);
    w.when(create("root")).then_rejected(Rejection::SlugTaken);
    w.when(DeleteTenant { tenant, reason: None }).then_decided();
    w.when(create("acme")).then_rejected(Rejection::SlugTaken);
    for bad in ["", "a", "Acme", "1acme", "-acme", "ac me", "ac_me", "äcme", &"a".repeat(65)] {
        w.when(create(bad)).then_invalid("slug");
    }
    w.when(CreateTenant::new("other", "")).then_invalid("name");
}

/// Standing by operation, cell by cell.
#[test]
fn the_state_machine_of_tenants() {
    #[derive(Clone, Copy)]
    enum To {
        Event(Kind, Standing),
        Same,
        NotFound,
    }
    use Standing::{Active, Deleted, Suspended};
    let table = [
        (Active, [To::Event(Kind::TenantSuspended, Suspended), To::Same, To::Event(Kind::TenantDeleted, Deleted)]),
        (Suspended, [To::Same, To::Event(Kind::TenantResumed, Active), To::Event(Kind::TenantDeleted, Deleted)]),
        (Deleted, [To::NotFound, To::NotFound, To::Same]),
    ];
    for (from, cells) in table {
        for (operation, cell) in cells.into_iter().enumerate() {
            let mut w = World::new();
            let tenant = w.second;
            match from {
                Active => {}
                Suspended => drop(w.when(SuspendTenant { tenant, reason: Some("unpaid".into()) }).then_decided()),
                Deleted => drop(w.when(DeleteTenant { tenant, reason: None }).then_decided()),
            }
            let command: Command = match operation {
                0 => SuspendTenant { tenant, reason: None }.into(),
                1 => ResumeTenant { tenant }.into(),
                _ => DeleteTenant { tenant, reason: None }.into(),
            };
            let outcome = w.when(command);
            let now = match cell {
                To::Event(kind, to) => {
                    let events = outcome.then(&[kind]);
                    assert_eq!(events[0].tenant, tenant);
                    to
                }
                To::Same => {
                    outcome.then_unchanged();
                    from
                }
                To::NotFound => {
                    outcome.then_rejected(Rejection::NotFound { thing: "tenant" });
                    from
                }
            };
            assert_eq!(view::tenant(&w.reading(), tenant).unwrap().unwrap().standing, now);
        }
    }
}

#[test]
fn only_the_root_tenant_administers_and_never_itself() {
    let mut w = World::new();
    let (root, second) = (w.root, w.second);
    w.when_second(create("acme")).then_rejected(Rejection::NotRoot);
    for tenant in [root, second] {
        w.when_second(SuspendTenant { tenant, reason: None }).then_rejected(Rejection::NotRoot);
        w.when_second(ResumeTenant { tenant }).then_rejected(Rejection::NotRoot);
        w.when_second(DeleteTenant { tenant, reason: None }).then_rejected(Rejection::NotRoot);
    }
    w.when(SuspendTenant { tenant: root, reason: None }).then_rejected(Rejection::RootTenant);
    w.when(DeleteTenant { tenant: root, reason: None }).then_rejected(Rejection::RootTenant);
    let nobody = TenantId(uuid_v7(1, [1; 10]));
    w.when(SuspendTenant { tenant: nobody, reason: None }).then_rejected(Rejection::NotFound { thing: "tenant" });
    let long = Some("x".repeat(501));
    w.when(SuspendTenant { tenant: second, reason: long.clone() }).then_invalid("reason");
    w.when(DeleteTenant { tenant: second, reason: long }).then_invalid("reason");
}

#[test]
fn organisations_are_the_tenant_s_own() {
    let mut w = World::new();
    let create = |slug: &str| CreateOrganisation::new(slug, "Acme");
    let acme = the!(&w.when(create("acme")).then(&[Kind::OrganisationCreated]), OrganisationCreated).organisation;
    w.when(create("acme")).then_rejected(Rejection::SlugTaken);
    w.when(create("root")).then_rejected(Rejection::SlugTaken);
    w.when(create("A")).then_invalid("slug");
    w.when(CreateOrganisation::new("other", &"x".repeat(257))).then_invalid("name");
    w.when_second(create("acme")).then_decided();
    let reading = w.reading();
    assert_eq!(view::organisation(&reading, w.second, acme).unwrap(), None);
    assert_eq!(view::organisation(&reading, w.root, OrganisationId(uuid_v7(1, [1; 10]))).unwrap(), None);
    let listed = view::organisations(&reading, w.root, &Paging::newest(10)).unwrap();
    assert_eq!(listed.items.iter().map(|it| it.slug.as_str()).collect::<Vec<_>>(), ["acme", "root"]);
    let tenants = view::tenants(&reading, &Paging::newest(10)).unwrap();
    assert_eq!(tenants.items.iter().map(|it| it.slug.as_str()).collect::<Vec<_>>(), ["second", "root"]);
    assert_eq!(view::tenant_by_slug(&reading, "second").unwrap().unwrap().id, w.second);
}

#[test]
fn the_first_start_leaves_an_owner() {
    let w = World::new();
    let members = view::members(&w.reading(), w.root, &Paging::newest(10)).unwrap();
    assert_eq!(members.items.len(), 1);
    assert_eq!(
        (members.items[0].state, members.items[0].email.as_deref()),
        (view::MemberState::Active, Some("owner@root.invalid"))
    );
    assert!(view::members(&w.reading(), w.second, &Paging::newest(10)).unwrap().items.is_empty());
    assert_eq!(view::tenant_member(&w.reading(), w.second, members.items[0].id).unwrap(), None);
}
