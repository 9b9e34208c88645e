//! Challenge and response: contracts/orgkernel.md section 5.

use chancery_ledger::body::Kind;
use chancery_ledger::body::identity::{ChallengeAnswered, ChallengeIssued};
use chancery_ledger::ids::{AgentId, ChallengeId, uuid_v7};
use chancery_ledger::keys::SigningKey;
use chancery_ledger::time::Micros;
use chancery_projections::b64u;
use chancery_projections::command::*;
use chancery_projections::identity::view;
use chancery_projections::rejection::Rejection;
use zeroize::Zeroizing;

use crate::the;
use crate::world::*;

/// A world in which ada, whose key is known, was asked to prove herself.
fn asked() -> (World, AgentId, SigningKey, ChallengeIssued) {
    let mut w = World::new();
    let (ada, key) = w.agent_with_key("ada", 7);
    let issued = the!(&w.when(challenge(ada)).then(&[Kind::ChallengeIssued]), ChallengeIssued);
    (w, ada, key, issued)
}

#[test]
fn a_nonce_is_drawn_or_brought() {
    let (mut w, ada, _, issued) = asked();
    assert_eq!(b64u::parse::<32>(&issued.nonce).map(|bytes| b64u::render(&bytes)), Some(issued.nonce.clone()));
    let again = the!(&w.when(challenge(ada)).then_decided(), ChallengeIssued);
    assert_ne!(again.nonce, issued.nonce);
    for good in ["abcdefghij-_ABC=", &"x".repeat(64)] {
        let command = IssueChallenge { nonce: Some(good.to_owned()), ..challenge(ada) };
        assert_eq!(the!(&w.when(command).then_decided(), ChallengeIssued).nonce, good);
    }
    for bad in ["short", "abcdefghij-_ABC!", "abcdefghij-_ABé", &"x".repeat(65)] {
        w.when(IssueChallenge { nonce: Some(bad.to_owned()), ..challenge(ada) }).then_invalid("nonce");
    }
}

#[test]
fn a_challenge_s_terms_are_checked() {
    let (mut w, ada, ..) = asked();
    for ttl_secs in [0, 3601] {
        w.when(IssueChallenge { ttl_secs, ..challenge(ada) }).then_invalid("ttl_secs");
    }
    for issued_by in [String::new(), "x".repeat(65)] {
        w.when(IssueChallenge { issued_by, ..challenge(ada) }).then_invalid("issued_by");
    }
    let nobody = AgentId(uuid_v7(1, [1; 10]));
    w.when(challenge(nobody)).then_rejected(Rejection::NotFound { thing: "agent" });
    // Only existence is checked: who is suspended or gone can be asked too.
    w.when(suspend(ada)).then_decided();
    w.when(challenge(ada)).then(&[Kind::ChallengeIssued]);
    w.when(revoke(ada)).then_decided();
    w.when(challenge(ada)).then(&[Kind::ChallengeIssued]);
}

/// The rows of section 5's table that have an event, in their order: what is wrong, and what the event says of it.
#[test]
fn the_table_of_answers() {
    let other = SigningKey::from_seed(Zeroizing::new([8; 32]));
    type Change = fn(&mut World, &mut AnswerChallenge, &SigningKey);
    let rows: [(&str, Change, Option<&str>); 11] = [
        ("good", |_, _, _| {}, None),
        ("named its own certificate", |_, answer, _| answer.certificate = Some(answer.agent), None),
        ("agent is another", |w, answer, _| answer.agent = w.agent("bob"), Some("agent_mismatch")),
        ("nonce is another", |_, answer, _| answer.nonce.push('x'), Some("nonce_mismatch")),
        ("signature is of another text", |_, answer, _| answer.signature = "00".repeat(64), Some("signature_wrong")),
        ("signature is cut off", |_, answer, _| drop(answer.signature.split_off(126)), Some("signature_wrong")),
        ("signature is no hexadecimal", |_, answer, _| answer.signature = "xy".repeat(64), Some("signature_wrong")),
        (
            "key is another, signature by it",
            |_, answer, other| {
                answer.public_key = hex::encode(other.public().as_bytes());
                answer.signature = hex::encode(other.sign(answer.nonce.as_bytes()));
            },
            Some("key_mismatch"),
        ),
        ("key is no key", |_, answer, _| answer.public_key = "00".into(), Some("signature_wrong")),
        (
            "certificate is another's",
            |w, answer, _| answer.certificate = Some(w.agent("bob")),
            Some("certificate_mismatch"),
        ),
        (
            "agent is suspended",
            |w, answer, _| drop(w.when(suspend(answer.agent)).then_decided()),
            Some("agent_not_usable"),
        ),
    ];
    for (what, change, why) in rows {
        let (mut w, ada, key, issued) = asked();
        let mut command = answer(issued.challenge, ada, &key, &issued.nonce);
        change(&mut w, &mut command, &other);
        let answered = the!(&w.when(command.clone()).then(&[Kind::ChallengeAnswered]), ChallengeAnswered);
        assert_eq!((answered.passed, answered.why.as_deref()), (why.is_none(), why), "{what}");
        assert_eq!(answered.about, ada, "{what}");
        // The first answer uses the challenge up, right or wrong.
        w.when(answer(issued.challenge, ada, &key, &issued.nonce)).then_rejected(Rejection::ChallengeDead);
        assert!(!view::challenge(&w.reading(), w.root, issued.challenge).unwrap().unwrap().open);
    }
}

#[test]
fn an_expired_or_ended_agent_passes_no_challenge() {
    for end in [false, true] {
        let mut w = World::new();
        let key = SigningKey::from_seed(Zeroizing::new([7; 32]));
        let command = RegisterAgent {
            key: KeyChoice::Bring(hex::encode(key.public().as_bytes())),
            valid_until: Some(START.plus_secs(10)),
            ..register("ada")
        };
        let ada = registered(&w.when(command).then_decided());
        let issued = the!(&w.when(challenge(ada)).then_decided(), ChallengeIssued);
        if end {
            w.when(revoke(ada)).then_decided();
        } else {
            w.advance_secs(11);
        }
        let events = w.when(answer(issued.challenge, ada, &key, &issued.nonce)).then_decided();
        let ChallengeAnswered { passed, why, .. } = the!(&events, ChallengeAnswered);
        assert_eq!((passed, why.as_deref()), (false, Some("agent_not_usable")));
    }
}

#[test]
fn a_dead_challenge_is_one_and_the_same_failure() {
    let (mut w, ada, key, issued) = asked();
    let unknown = ChallengeId(uuid_v7(1, [1; 10]));
    w.when(answer(unknown, ada, &key, &issued.nonce)).then_rejected(Rejection::ChallengeDead);
    w.when_second(answer(issued.challenge, ada, &key, &issued.nonce)).then_rejected(Rejection::ChallengeDead);
    w.now = Micros(issued.expires.0 + 1);
    w.when(answer(issued.challenge, ada, &key, &issued.nonce)).then_rejected(Rejection::ChallengeDead);
    w.now = issued.expires;
    assert!(view::challenge(&w.reading(), w.root, issued.challenge).unwrap().unwrap().open);
    w.when(answer(issued.challenge, ada, &key, &issued.nonce)).then_decided();
    w.when(answer(issued.challenge, ada, &key, &issued.nonce)).then_rejected(Rejection::ChallengeDead);
}

#[test]
fn an_old_signature_answers_no_new_challenge() {
    let (mut w, ada, key, first) = asked();
    let second = the!(&w.when(challenge(ada)).then_decided(), ChallengeIssued);
    let replayed = answer(second.challenge, ada, &key, &first.nonce);
    let answered = the!(&w.when(replayed).then_decided(), ChallengeAnswered);
    assert_eq!(answered.why.as_deref(), Some("nonce_mismatch"));
    // The first is untouched by that.
    let answered = the!(&w.when(answer(first.challenge, ada, &key, &first.nonce)).then_decided(), ChallengeAnswered);
    assert!(answered.passed);
    assert_eq!(answered.evidence, Some(key.sign(first.nonce.as_bytes()).to_vec()));
}

#[test]
fn an_agent_without_a_key_passes_no_challenge() {
    let mut w = World::new();
    let ada = registered(&w.when(RegisterAgent { key: KeyChoice::None, ..register("ada") }).then_decided());
    let issued = the!(&w.when(challenge(ada)).then_decided(), ChallengeIssued);
    let key = SigningKey::from_seed(Zeroizing::new([7; 32]));
    let answered = the!(&w.when(answer(issued.challenge, ada, &key, &issued.nonce)).then_decided(), ChallengeAnswered);
    assert_eq!(answered.why.as_deref(), Some("key_mismatch"));
}
