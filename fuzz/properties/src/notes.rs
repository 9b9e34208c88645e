//! What is signed as text: seals, proofs, cosignatures, verifier keys, what agents sign, and view receipts; and what witnesses
//! and their logs send, with policies. Nothing that its key did not sign is ever believed.

use chancery_ledger::ids::Seq;
use chancery_ledger::signature_base::SignatureBase;
use chancery_ledger::tree::consistency_proof::ConsistencyProof;
use chancery_ledger::tree::leaf_hash;
use chancery_ledger::tree::proof::{PROOF_HASHES_MAX, verify_consistency, verify_inclusion};
use chancery_ledger::tree::seal::{SEAL_BYTES_MAX, Seal};
use chancery_ledger::tree::tlog_proof::TlogProof;
use chancery_ledger::tree::verifier_key::{CosignerKey, VerifierKey};
use chancery_ledger::witness::cosignature::Cosignature;
use chancery_ledger::witness::policy::WitnessPolicy;
use chancery_projections::view_receipt::receipt::Receipt;

use crate::genuine::{LOG, ORIGIN, key, verifier_key, witness};

/// `signed` or `proven` when it is a seal or proof of the genuine log, `seal`, `proof` and `key` when it is some other, `base`
/// when it is what an agent can sign, and `receipt` when it is a view receipt: there is none of the genuine log, whose views were
/// never published. `cosigned` when the genuine log's witness cosigned it, `foreign` when it is what some log sends to a witness,
/// `cosigner` when it is a witness's key, and `policy`.
///
/// # Panics
/// When a property does not hold.
pub fn hold(input: &[u8]) -> &'static str {
    let mut found = "nothing";
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(verifier) = text.parse::<VerifierKey>()
    {
        assert_eq!(verifier.to_string(), text, "a verifier key has one spelling");
        found = "key";
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(base) = SignatureBase::parse(text)
    {
        assert_eq!(base.text(), text, "a base is kept as it came");
        assert!(base.covers("@method") && base.covers("content-digest") && !base.covers("authorization"));
        let parameters = base.parameters();
        assert!(parameters.check_time(parameters.created).is_ok() && parameters.until() >= parameters.created);
        assert!(!base.is_signed(&key(1).public(), &[0; 64]));
        found = "base";
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(cosigner) = text.parse::<CosignerKey>()
    {
        assert_eq!(cosigner.to_string(), text, "a witness's key has one spelling");
        found = "cosigner";
    }
    if let Ok(policy) = WitnessPolicy::parse(input) {
        assert!(policy.is_met_by(|_| true), "a policy is met when everybody cosigned");
        assert_eq!(policy.asks_for_witnesses(), !policy.is_met_by(|_| false), "and by nobody if it asks for nobody");
        found = "policy";
    }
    if let Ok(request) = ConsistencyProof::parse_foreign(input) {
        assert_eq!(request.render().as_bytes(), input, "a request has one spelling");
        assert!(request.path.len() <= PROOF_HASHES_MAX);
        found = if cosigned(&request.seal) { "cosigned" } else { "foreign" };
    }
    if let Ok(seal) = Seal::parse(input) {
        found = if seal_holds(&seal, input) { "signed" } else { "seal" };
        found = if cosigned(&seal) { "cosigned" } else { found };
    }
    if let Ok(proof) = TlogProof::parse(input) {
        found = if proof_holds(&proof, input) { "proven" } else { "proof" };
    }
    if let Ok(receipt) = Receipt::parse(input) {
        for seed in [1, 2, 4] {
            assert!(receipt.verify(&verifier_key(seed)).is_err(), "a receipt was forged: {receipt:?}");
        }
        let written = serde_json::to_vec(&receipt).unwrap();
        assert_eq!(Receipt::parse(&written).unwrap(), receipt);
        found = "receipt";
    }
    found
}

/// Whether the genuine log's witness cosigned it, which it did of the newest checkpoint alone.
fn cosigned(seal: &Seal) -> bool {
    let is_cosigned = matches!(Cosignature::of(seal, &witness()), Ok(Some(_)));
    let newest = LOG.seals.last().map(Seal::text);
    assert!(!is_cosigned || Some(seal.text()) == newest, "a cosignature was forged: {:?}", seal.checkpoint());
    is_cosigned
}

fn seal_holds(seal: &Seal, input: &[u8]) -> bool {
    assert_eq!(seal.bytes(), input, "a seal is kept as it came");
    assert!(input.len() <= SEAL_BYTES_MAX);
    let signed = [1, 2].into_iter().any(|seed| seal.verify(&key(seed).public()).is_ok());
    assert!(!signed || LOG.signed(seal.checkpoint()), "a checkpoint was forged: {:?}", seal.checkpoint());
    assert!(seal.verify(&key(4).public()).is_err(), "a key that never signed has signed");
    signed
}

fn proof_holds(proof: &TlogProof, input: &[u8]) -> bool {
    assert_eq!(proof.render().as_bytes(), input, "a proof has one spelling");
    assert!(proof.path.len() <= PROOF_HASHES_MAX);
    seal_holds(&proof.seal, proof.seal.bytes());
    let checkpoint = proof.seal.checkpoint();
    let mut proven = false;
    for (seq, header) in (0..).map(Seq).zip(&LOG.headers) {
        let leads = verify_inclusion(leaf_hash(header), proof.index, checkpoint.size, &proof.path, checkpoint.root);
        for seed in [1, 2] {
            let verified = proof.verify(header, &key(seed).public(), ORIGIN).is_ok();
            assert!(!verified || (leads && seq == proof.index), "event {seq} was proven to be at {}", proof.index);
            proven |= verified;
        }
        assert!(proof.verify(header, &key(1).public(), "chancery.test/another").is_err());
    }
    for seal in &LOG.seals {
        let old = seal.checkpoint();
        let consistent = verify_consistency(old.size, old.root, checkpoint.size, checkpoint.root, &proof.path);
        assert!(!consistent || old.size <= checkpoint.size);
        assert!(
            old.size != checkpoint.size || consistent == (proof.path.is_empty() && old.root == checkpoint.root),
            "a tree is consistent with itself alone"
        );
    }
    proven
}
