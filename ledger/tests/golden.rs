//! Stored bytes never change. `golden/bodies.txt` holds one encoded body of every event kind and version ever written;
//! this test writes them again and compares. On purpose, and only for a kind or version that is new:
//! `CHANCERY_BLESS=1 cargo test -p chancery-ledger --test golden`, and read the difference.

#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests may fail as tests do.

use std::collections::BTreeMap;
use std::path::Path;

use chancery_ledger::actor::{Actor, Method, Principal};
use chancery_ledger::body::delivery::*;
use chancery_ledger::body::erasure::*;
use chancery_ledger::body::evidence::*;
use chancery_ledger::body::execution::*;
use chancery_ledger::body::field::{Decimal, JsonText, Signature};
use chancery_ledger::body::identity::*;
use chancery_ledger::body::issuer::*;
use chancery_ledger::body::ledger::*;
use chancery_ledger::body::signature::*;
use chancery_ledger::body::timestamp::*;
use chancery_ledger::body::token::*;
use chancery_ledger::body::transaction::*;
use chancery_ledger::body::trust::*;
use chancery_ledger::body::view_roots::*;
use chancery_ledger::body::witness::*;
use chancery_ledger::body::{Body, Kind, Prelude};
use chancery_ledger::event::{Envelope, Idempotency};
use chancery_ledger::ids::*;
use chancery_ledger::link::{Hash, body_hash, header_hash};
use chancery_ledger::shred::Encrypted;
use chancery_ledger::time::Micros;
use uuid::Uuid;

const TIME: Micros = Micros(1_767_323_045_678_901);

fn id<T: ThingId>(n: u8) -> T {
    T::from_uuid(uuid_v7(1_767_323_045_678, [n; 10]))
}

fn enc(owner: Subject) -> Encrypted {
    Encrypted { key: owner, nonce: std::array::from_fn(|at| at as u8), ciphertext: vec![0, 1, 127, 128, 250, 251, 255] }
}

fn agent() -> AgentId {
    id(1)
}

fn amount() -> Decimal {
    "1234.56".parse().unwrap()
}

fn mission() -> MissionId {
    id(2)
}

fn destination() -> DestinationId {
    id(25)
}

fn subscription() -> SubscriptionId {
    id(27)
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn accountability() -> Accountability {
    Accountability {
        on_warning: Some("log".into()),
        on_critical: Some("block".into()),
        llm: texts(&["no_images"]),
        ..Accountability::default()
    }
}

/// One body of each kind, in its newest version, with everything that is optional present.
fn sample(kind: Kind) -> Body {
    let key = || KeyId::from_uuid(id::<KeyId>(3).uuid());
    match kind {
        Kind::LedgerCreated => LedgerCreated {
            ledger: id(4),
            origin: "chancery.example/log".into(),
            format: FORMAT,
            key: key(),
            algorithm: Algorithm::Ed25519,
            public: [7; 32],
        }
        .into(),
        Kind::SigningKeyAdded => SigningKeyAdded {
            key: key(),
            purpose: Purpose::OrgCa,
            algorithm: Algorithm::Ed25519,
            public: vec![8; 32],
            tenant: Some(id(5)),
        }
        .into(),
        Kind::SigningKeyRetired => SigningKeyRetired {
            key: key(),
            purpose: Purpose::JwtRs256,
            algorithm: Algorithm::Rsa,
            public: vec![9; 270],
            tenant: None,
        }
        .into(),
        Kind::TailLost => TailLost {
            ledger: id(4),
            found: 1_000,
            signed: 1_007,
            checkpoint: "chancery.example/log\n1007\n…\n".into(),
            reason: "the disk and the newest archive segment were lost".into(),
        }
        .into(),
        Kind::SubjectErased => SubjectErased {
            subject: agent().subject(),
            reason: "asked for by the person concerned".into(),
            policy: Some(3),
        }
        .into(),
        Kind::HoldPlaced => HoldPlaced {
            subject: mission().subject(),
            matter: "2026-017".into(),
            reason: "a claim is to be expected".into(),
        }
        .into(),
        Kind::HoldLifted => {
            HoldLifted { subject: mission().subject(), matter: "2026-017".into(), reason: "it was settled".into() }
                .into()
        }
        Kind::KeyDestroyed => KeyDestroyed { key: agent().subject(), cause: Seq(4_711) }.into(),
        Kind::EvidenceExported => EvidenceExported {
            first: Seq(300),
            end: Seq(70_000),
            from: Some(TIME),
            to: None,
            of: Some(id(5)),
            things: vec![id::<AgentId>(7).subject()],
            bodies: true,
            headers: false,
        }
        .into(),
        Kind::ViewRootsPublished => ViewRootsPublished {
            ledger: id(4),
            size: 1_000_000,
            format: 3,
            roots: vec![
                ViewRoot { view: "identity".into(), rows: 4_711, root: [10; 32] },
                ViewRoot { view: "trust".into(), rows: 0, root: [11; 32] },
            ],
        }
        .into(),
        Kind::CommandSigned => CommandSigned {
            agent: agent(),
            key: key(),
            base: "\"@method\": POST\n\"@signature-params\": (\"@method\");created=1767323045".into(),
            signature: Signature([0xab; 64]),
            nonce: "a8Hw2kq0Zt5yBv1s".into(),
            created: Micros(1_767_323_045_000_000),
            expires: Some(Micros(1_767_323_105_000_000)),
            content: enc(agent().subject()),
        }
        .into(),
        Kind::CheckpointTimestamped => CheckpointTimestamped {
            ledger: id(4),
            size: 1_007,
            root: Hash([0x2d; 32]),
            at: Micros(1_767_323_046_000_000),
            token: vec![0x30, 0x82, 0x04, 0x00],
        }
        .into(),
        Kind::TenantCreated => TenantCreated {
            tenant: id(5),
            slug: "acme".into(),
            name: "Acme Köln".into(),
            tier: "enterprise".into(),
            limits: BTreeMap::from([("agents".into(), 250), ("tokens".into(), 1 << 40)]),
            root: true,
            parent: Some(id(6)),
        }
        .into(),
        Kind::TenantUpdated => TenantUpdated {
            tenant: id(5),
            changes: BTreeMap::from([("limits".into(), JsonText::object()), ("name".into(), JsonText("\"é\"".into()))]),
        }
        .into(),
        Kind::TenantSuspended => TenantSuspended { tenant: id(5), reason: Some("unpaid".into()) }.into(),
        Kind::TenantResumed => TenantResumed { tenant: id(5) }.into(),
        Kind::TenantDeleted => TenantDeleted { tenant: id(5), reason: None }.into(),
        Kind::OrganisationCreated => OrganisationCreated {
            organisation: id(7),
            slug: "acme-corp".into(),
            name: "Acme".into(),
            tier: Some("pro".into()),
            limits: BTreeMap::from([("agents".into(), 10)]),
            default: true,
        }
        .into(),
        Kind::OrganisationUpdated => OrganisationUpdated {
            organisation: id(7),
            changes: BTreeMap::from([("standing".into(), JsonText("\"suspended\"".into()))]),
        }
        .into(),
        Kind::OrganisationDeleted => OrganisationDeleted { organisation: id(7) }.into(),
        Kind::OrganisationMemberAdded => OrganisationMemberAdded {
            membership: id(21),
            organisation: id(7),
            agent: agent(),
            role: OrganisationRole::Admin,
        }
        .into(),
        Kind::OrganisationVerified => OrganisationVerified { organisation: id(7), verified: true }.into(),
        Kind::MemberInvited => MemberInvited {
            member: id(8),
            email_hash: Hash([1; 32]),
            personal: enc(id::<MemberId>(8).subject()),
            role: MemberRole::Readonly,
            expires: Some(TIME),
        }
        .into(),
        Kind::MemberJoined => MemberJoined { member: id(8) }.into(),
        Kind::AgentRegistered => AgentRegistered {
            agent: agent(),
            organisation: id(7),
            owner: Principal::Member(id(8)),
            via: "orgkernel".into(),
            name: "invoice-processor".into(),
            handles: vec![Handle { namespace: "orgkernel/acme-corp".into(), value: "invoice-processor".into() }],
            kind: Some("worker".into()),
            semver: Some("1.2.3".into()),
            capabilities: texts(&["read", "write"]),
            environment: Environment::Development,
            owner_hash: Some(Hash([2; 32])),
            actions: texts(&["pay"]),
            limit: Some(SpendingLimit { amount: Decimal { mantissa: -12_345, scale: 2 }, currency: "EUR".into() }),
            accountability: accountability(),
            valid_until: Some(TIME),
            visibility: Visibility::Everyone,
            disclosure: Disclosure::Listed,
            personal: enc(agent().subject()),
        }
        .into(),
        Kind::AgentUpdated => AgentUpdated {
            agent: agent(),
            changes: BTreeMap::from([("name".into(), JsonText("\"n\"".into()))]),
            personal: Some(enc(agent().subject())),
        }
        .into(),
        Kind::AgentSuspended => {
            AgentSuspended { agent: agent(), cause: Some(id(9)), reason: Some(enc(agent().subject())) }.into()
        }
        Kind::AgentResumed => {
            AgentResumed { agent: agent(), cause: Some(id(9)), reason: Some(enc(agent().subject())) }.into()
        }
        Kind::AgentDecommissioned => {
            AgentDecommissioned { agent: agent(), cause: EndCause::Deleted, personal: enc(agent().subject()) }.into()
        }
        Kind::AgentReachChanged => AgentReachChanged {
            agent: agent(),
            visibility: Some(Visibility::Everyone),
            disclosure: Some(Disclosure::Listed),
        }
        .into(),
        Kind::HandleClaimed => {
            HandleClaimed { agent: agent(), namespace: "agentidp".into(), value: "0a".repeat(32) }.into()
        }
        Kind::HandleReleased => {
            HandleReleased { agent: agent(), namespace: "native".into(), value: "sweeper".into() }.into()
        }
        Kind::AgentKeyAdded => AgentKeyAdded {
            agent: agent(),
            key: key(),
            purpose: AgentKeyPurpose::Identity,
            algorithm: Algorithm::Ed25519,
            public: vec![10; 32],
        }
        .into(),
        Kind::AgentKeyRevoked => AgentKeyRevoked {
            agent: agent(),
            key: key(),
            purpose: AgentKeyPurpose::Did,
            algorithm: Algorithm::P256,
            public: vec![11; 65],
        }
        .into(),
        Kind::CertificateIssued => CertificateIssued {
            agent: agent(),
            key: key(),
            ca_key: id(12),
            agent_name: "invoice-processor".into(),
            organisation_slug: "acme-corp".into(),
            issued_by: enc(agent().subject()),
            issued: TIME,
            valid_until: Some(TIME.plus_secs(86_400)),
            signature: Signature([12; 64]),
        }
        .into(),
        Kind::CredentialCreated => CredentialCreated {
            credential: id(13),
            principal: Principal::Subject("https://issuer.example\nsub".into()),
            kind: CredentialKind::ClientSecret,
            name: Some("ci".into()),
            hash: Hash([3; 32]),
            scopes: texts(&["agents:read"]),
            audience: texts(&["native", "orgkernel"]),
            expires: Some(TIME),
        }
        .into(),
        Kind::CredentialRevoked => {
            CredentialRevoked { credential: id(13), principal: Principal::Tenant(id(5)), cause: "requested".into() }
                .into()
        }
        Kind::CredentialRotated => CredentialRotated {
            credential: id(13),
            principal: Principal::Agent(agent()),
            hash: Hash([4; 32]),
            expires: Some(TIME),
        }
        .into(),
        Kind::ScopesGranted => ScopesGranted {
            principal: Principal::Agent(agent()),
            scopes: texts(&["admin:orgs", "webhooks:write"]),
            administrator: true,
        }
        .into(),
        Kind::CredentialsUsed => {
            CredentialsUsed { items: vec![CredentialUse { credential: id(13), count: 70_000, last: TIME }] }.into()
        }
        Kind::AuthenticationFailed => AuthenticationFailed {
            mount: "native".into(),
            claimed: Some("client".into()),
            principal: Some(Principal::Client(id(14))),
            why: "revoked".into(),
            count: 10,
        }
        .into(),
        Kind::ChallengeIssued => ChallengeIssued {
            challenge: id(15),
            purpose: ChallengePurpose::Enrol,
            about: agent(),
            nonce: "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8".into(),
            issued_by: "finance".into(),
            expires: TIME,
            tries: 1,
        }
        .into(),
        Kind::ChallengeAnswered => ChallengeAnswered {
            challenge: id(15),
            about: agent(),
            passed: false,
            why: Some("nonce_mismatch".into()),
            evidence: Some(vec![13; 64]),
        }
        .into(),
        Kind::IssuerTrusted => IssuerTrusted {
            issuer: id(30),
            name: "Partner".into(),
            iss: "https://partner.example".into(),
            jwks_uri: "https://partner.example/jwks.json".into(),
            organisations: texts(&["org_partner"]),
            expires: Some(TIME),
        }
        .into(),
        Kind::IssuerUpdated => {
            IssuerUpdated { issuer: id(30), changes: BTreeMap::from([("suspended".into(), JsonText("true".into()))]) }
                .into()
        }
        Kind::IssuerRemoved => IssuerRemoved { issuer: id(30) }.into(),
        Kind::IssuerRuleAdded => IssuerRuleAdded {
            rule: id(31),
            provider: "github".into(),
            repository: "acme/rocket".into(),
            branch: Some("main".into()),
            agent: agent(),
        }
        .into(),
        Kind::IssuerRuleRemoved => IssuerRuleRemoved { rule: id(31), agent: agent() }.into(),
        Kind::TokenIssued => TokenIssued {
            token: id(16),
            profile: Profile::Workload,
            grant: Grant::Exchange,
            principal: Principal::Agent(agent()),
            agent: Some(agent()),
            mission: Some(mission()),
            execution: Some(id(17)),
            session: Some(id(18)),
            parent: Some(id(19)),
            root: id(20),
            depth: 4,
            replaces: Some(id(21)),
            audience: texts(&["stack:passport"]),
            scopes: texts(&["write_payment_draft", "read_invoice"]),
            services: vec![ServiceGrant {
                service: "mail".into(),
                connection: Some("c".into()),
                scopes: texts(&["send"]),
                constraints: JsonText("{\"n\":1.0}".into()),
            }],
            terms: Some(enc(mission().subject())),
            interval: Some(60),
            accountability: Some(accountability()),
            expires: TIME.plus_secs(900),
            max_uses: Some(1),
            hash: Some(Hash([4; 32])),
            cnf: Some(Hash([5; 32])),
            key: Some(id(12)),
            signature: Some(Signature([14; 64])),
            snapshot: Some("snap_1".into()),
        }
        .into(),
        Kind::TokenRefused => TokenRefused {
            profile: Profile::Execution,
            agent: Some(agent()),
            mission: Some(mission()),
            parent: Some(id(19)),
            why: "agent_not_usable".into(),
        }
        .into(),
        Kind::TokenUsed => TokenUsed { token: id(16) }.into(),
        Kind::TokenRevoked => TokenRevoked {
            token: id(16),
            agent: Some(agent()),
            cause: RevocationCause::Mission,
            first: id(20),
            reason: Some(enc(agent().subject())),
        }
        .into(),
        Kind::ScopeChecked => ScopeChecked {
            token: id(16),
            agent: Some(agent()),
            mission: Some(mission()),
            tool: "read_invoice".into(),
            passed: false,
            violations: texts(&["tool_not_in_scope: read_invoice"]),
            params: Some(enc(mission().subject())),
            params_hash: Hash([6; 32]),
        }
        .into(),
        Kind::TokensIntrospected => TokensIntrospected {
            items: vec![
                Introspection { token: Some(id(16)), caller: Principal::Agent(agent()), active: true },
                Introspection { token: None, caller: Principal::Tenant(id(2)), active: false },
            ],
        }
        .into(),
        Kind::MissionOpened => MissionOpened {
            mission: mission(),
            agent: Some(agent()),
            implicit: true,
            key: Some(ExternalKey { namespace: "orgkernel".into(), text: "msn_invoice01".into() }),
            terms: Some(enc(mission().subject())),
            services: texts(&["mail"]),
            limits: BTreeMap::from([("calls".into(), 251), ("cents".into(), 65_536)]),
            expires: Some(TIME),
        }
        .into(),
        Kind::MissionCompleted => {
            MissionCompleted { mission: mission(), agent: Some(agent()), end: Some(enc(mission().subject())) }.into()
        }
        Kind::MissionRevoked => MissionRevoked {
            mission: mission(),
            agent: Some(agent()),
            cause: Some(id(9)),
            end: Some(enc(mission().subject())),
        }
        .into(),
        Kind::AuditChainOpened => AuditChainOpened {
            chain: id(22),
            mission: mission(),
            agent_text: "aid_0123456789ab".into(),
            mission_text: "msn_invoice01".into(),
            opened: TIME,
        }
        .into(),
        Kind::AuditEntryAppended => AuditEntryAppended {
            entry: id(23),
            chain: id(22),
            mission: mission(),
            sequence: 1,
            layer: AuditLayer::Compliance,
            event: "EXECUTION_tool_call".into(),
            agent_text: "aid_0123456789ab".into(),
            mission_text: "msn_invoice01".into(),
            token_text: Some("tok_001122334455".into()),
            at: TIME,
            data: enc(mission().subject()),
            prev: Hash([15; 32]),
            entry_hash: Hash([16; 32]),
        }
        .into(),
        Kind::TrustEvaluated => TrustEvaluated {
            agent: agent(),
            action: Some("pay".into()),
            amount: Some(amount()),
            currency: Some("EUR".into()),
            allowed: false,
            reason: "spending_limit_exceeded".into(),
            score: 500,
            policy: 3,
        }
        .into(),
        Kind::DisputeFiled => DisputeFiled {
            dispute: id(24),
            agent: agent(),
            transaction: Some(id(25)),
            reporter: Principal::Member(id(8)),
            texts: enc(agent().subject()),
        }
        .into(),
        Kind::DisputeResolved => {
            DisputeResolved { dispute: id(24), agent: agent(), outcome: DisputeOutcome::Dismissed }.into()
        }
        Kind::PolicyChanged => PolicyChanged {
            kind: "spending".into(),
            key: "default".into(),
            policy: id(26),
            version: 2,
            document: JsonText(r#"{"windows":[]}"#.into()),
        }
        .into(),
        Kind::PolicyReset => PolicyReset { kind: "scoring".into(), key: "default".into(), policy: id(26) }.into(),
        Kind::TransactionCompleted => TransactionCompleted {
            transaction: id(25),
            agent: agent(),
            agent_name: "payer".into(),
            counterparty: Counterparty::Agent(id(27)),
            amount: amount(),
            currency: "EUR".into(),
            action: "pay".into(),
            notes: Some(enc(agent().subject())),
            key: Some("order-4711".into()),
        }
        .into(),
        Kind::TransactionFailed => TransactionFailed {
            transaction: id(25),
            agent: agent(),
            agent_name: "payer".into(),
            counterparty: Counterparty::External("somebody outside".into()),
            amount: amount(),
            currency: "EUR".into(),
            action: "pay".into(),
            notes: Some(enc(agent().subject())),
            key: Some("order-4711".into()),
            failure: "agent_not_usable".into(),
        }
        .into(),
        Kind::TransactionReversed => TransactionReversed {
            transaction: id(25),
            reversal: id(28),
            agent: agent(),
            counterparty: Some(id(27)),
            reason: Some(enc(agent().subject())),
        }
        .into(),
        Kind::AuditChainClosed => AuditChainClosed { chain: id(22), entries: 300, head: Hash([17; 32]) }.into(),
        Kind::DestinationAdded => DestinationAdded {
            destination: destination(),
            channel: Channel::Webhook,
            address_hash: Hash([18; 32]),
            address: enc(destination().subject()),
            secret: enc(destination().subject()),
            code: Some(enc(destination().subject())),
            verified: true,
        }
        .into(),
        Kind::DestinationVerified => DestinationVerified { destination: destination() }.into(),
        Kind::DestinationSecretRotated => {
            DestinationSecretRotated { destination: destination(), secret: enc(destination().subject()) }.into()
        }
        Kind::DestinationRemoved => DestinationRemoved { destination: destination() }.into(),
        Kind::SubscriptionCreated => SubscriptionCreated {
            subscription: subscription(),
            name: Some("ops".into()),
            destinations: vec![destination(), id(26)],
            own: true,
            kinds: texts(&["agent.created", "token.revoked"]),
            rendering: "agentidp".into(),
            severity: Some("high".into()),
            disabled: true,
        }
        .into(),
        Kind::SubscriptionChanged => SubscriptionChanged {
            subscription: subscription(),
            changes: BTreeMap::from([("disabled".into(), JsonText("false".into()))]),
        }
        .into(),
        Kind::SubscriptionEnded => SubscriptionEnded { subscription: subscription() }.into(),
        Kind::DeliveriesRecorded => DeliveriesRecorded {
            subscription: subscription(),
            items: vec![
                DeliveryItem {
                    event: Some(Seq(70_000)),
                    attempt: 1,
                    outcome: DeliveryOutcome::Delivered,
                    status: Some(204),
                    ms: 12,
                    at: TIME,
                    next: None,
                },
                DeliveryItem {
                    event: None,
                    attempt: 10,
                    outcome: DeliveryOutcome::Failed,
                    status: None,
                    ms: 10_000,
                    at: TIME,
                    next: Some(TIME.plus_secs(512)),
                },
            ],
            excerpt: Some(enc(subscription().subject())),
        }
        .into(),
        Kind::CheckpointCosigned => CheckpointCosigned {
            ledger: id(4),
            size: 70_000,
            root: Hash([0xc1; 32]),
            witness: "witness.example/w1+70e5b2d0+BNB3…".into(),
            cosignature: (0..72).collect(),
        }
        .into(),
        Kind::WitnessedCheckpoint => WitnessedCheckpoint {
            key: key(),
            log: "log.example/other".into(),
            size: 1 << 40,
            root: Hash([0xc2; 32]),
            checkpoint: "log.example/other\n1099511627776\n…\n".into(),
            cosignature: (0..72).rev().collect(),
        }
        .into(),
    }
}

fn prelude() -> Prelude {
    Prelude { origin: Some(enc(id::<MemberId>(8).subject())), due: Some(TIME) }
}

fn line(kind: Kind, body: &[u8]) -> String {
    format!("{} {} {} {}", kind.code(), kind.version(), kind.name(), hex::encode(body))
}

#[test]
fn every_kind_and_version_keeps_its_bytes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/bodies.txt");
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let mut lines: BTreeMap<(u16, u16), String> = kept.lines().map(|line| (numbers(line), line.to_owned())).collect();
    let rewrite = std::env::var_os("CHANCERY_BLESS").is_some();
    for kind in Kind::ALL {
        let body = sample(*kind);
        let bytes = body.encode(&prelude()).unwrap();
        let written = line(*kind, &bytes);
        if rewrite {
            lines.insert((kind.code(), kind.version()), written);
        } else {
            let kept = lines.get(&(kind.code(), kind.version()));
            assert_eq!(kept, Some(&written), "{} changed its bytes, or has no golden line", kind.name());
        }
        assert_eq!(Body::decode(kind.code(), kind.version(), &bytes), Ok((prelude(), body)), "{}", kind.name());
    }
    if rewrite {
        std::fs::write(&path, lines.into_values().map(|line| line + "\n").collect::<String>()).unwrap();
        return;
    }
    // Versions that are written no more must still be read.
    for line in lines.values() {
        let ((kind, version), bytes) = (numbers(line), hex::decode(line.rsplit(' ').next().unwrap()).unwrap());
        Body::decode(kind, version, &bytes).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

fn numbers(line: &str) -> (u16, u16) {
    let mut fields = line.split(' ').map(|field| field.parse().unwrap());
    (fields.next().unwrap(), fields.next().unwrap())
}

/// `docs/format.md` sections 2 and 3: one header with everything present, one with everything absent.
#[test]
fn headers_keep_their_bytes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/headers.txt");
    let full = Envelope {
        seq: Seq(0x0102_0304_0506_0708),
        time: TIME,
        tenant: id(5),
        kind: Kind::TokenUsed.code(),
        version: 1,
        prev: Hash([0xaa; 32]),
        body_hash: body_hash(b"body"),
        actor: Actor {
            principal: Principal::Subject("https://issuer.example\nsub".into()),
            method: Method::Token,
            credential: Some(id(13)),
            acting_in: Some(id(5)),
        },
        subjects: vec![id::<TokenId>(16).subject(), agent().subject()],
        correlation: Some(id::<MissionId>(24).uuid()),
        causation: Some(Seq(3)),
        idempotency: Some(Idempotency { key: "once".into(), command: Hash([0xbb; 32]) }),
    };
    let bare = Envelope {
        seq: Seq(0),
        time: Micros(-1),
        tenant: TenantId(Uuid::nil()),
        kind: 1,
        version: 1,
        prev: Hash::ZERO,
        body_hash: Hash::ZERO,
        actor: Actor::system(),
        subjects: Vec::new(),
        correlation: None,
        causation: None,
        idempotency: None,
    };
    let mut written = String::new();
    for envelope in [full, bare] {
        let header = envelope.render();
        assert_eq!(Envelope::parse(&header), Ok(envelope));
        written += &format!("{} {}\n", header_hash(&header), hex::encode(&header));
    }
    if std::env::var_os("CHANCERY_BLESS").is_some() {
        std::fs::write(&path, written).unwrap();
    } else {
        assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), written);
    }
}
