//! The contract's test vectors, made by running OrgKernel itself: contracts/orgkernel.md, section 9.

use chancery_ledger::time::Micros;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use super::canonical_json::canonical;
use super::certificate::{CertificatePreimage, ca_fingerprint};
use super::entry::{
    ChainFault, ChainFaultKind, EntryPreimage, GENESIS, NO_HASH, StoredEntry, TERMINAL, genesis_data, terminal_data,
    verify_chain,
};
use super::time::parse_timestamp;
use super::token_preimage::TokenPreimage;
use crate::b64u;
use crate::json::{Json, Members};
use crate::token::scope::Bound;

/// A signed text: the preimage, its SHA-256, its signature.
struct Signed {
    preimage: &'static str,
    sha256: &'static str,
    signature: &'static str,
}

const V2: Signed = Signed {
    preimage: r#"{"agent_id":"aid_0123456789ab","agent_name":"invoice-processor","ca_fingerprint":"56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c","certificate_id":"aid_0123456789ab","issued_at":"2026-01-02T03:04:05.678901+00:00","issued_by":"finance_team","org_id":"acme-corp","public_key":"Kay64UG8yvCyLhqU000LxzYeUm0L_hLIl5S8kyKWbdc","valid_until":null}"#,
    sha256: "570c48a4fbcea079e3d7df8be1c509454ece5805db23ed183f52e281154376c3",
    signature: "d3nONhCaApXi-cAH3r265EN6gX8TSQzstPKUflAKmNaLtphXUMC8GA-0OEoHIKfKzs7DHz3mjNf_QJr9bJ5LAg",
};

const V3: Signed = Signed {
    preimage: r#"{"agent_id":"aid_0123456789ab","agent_name":"invoice-processor","ca_fingerprint":"56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c","certificate_id":"aid_0123456789ab","issued_at":"2026-01-02T03:04:05+00:00","issued_by":"K\u00f6ln-\u7d4c\u7406","org_id":"acme-corp","public_key":"Kay64UG8yvCyLhqU000LxzYeUm0L_hLIl5S8kyKWbdc","valid_until":"2027-01-02T03:04:05+00:00"}"#,
    sha256: "00a4961fccc0951834c79aff068ebfb396c86236efaf3f86b989ada11d0dab48",
    signature: "XIsQu7kdbyHSgIDV_7nVAtoYLFWaNNMKCasf7-Hq1zvFGDn4P1A1hOFB-JjK3kE0nYWnFgaS_pPn5EeGe2ySBA",
};

const V5: Signed = Signed {
    preimage: r#"{"agent_id":"aid_0123456789ab","boundary_snapshot_id":null,"bounded_params":[{"lower_bound":null,"param_name":"amount","unit":null,"upper_bound":50000.0},{"lower_bound":1e-05,"param_name":"ratio","unit":"pct","upper_bound":1e+16}],"execution_scope":["read_invoice","write_payment_draft"],"expires_at":"2026-01-02T07:04:05+00:00","immutable_params":{"currency":"USD","f":1.0,"n":1,"note":"caf\u00e9 \ud83d\ude00"},"issued_at":"2026-01-02T03:04:05.678901+00:00","mission_id":"msn_invoice01","token_id":"tok_001122334455"}"#,
    sha256: "9aa22df9d9a5a5b1f378b64e3c7330d72eb84cf019d3bc4c52bae77c413324e6",
    signature: "aPQRuHPbNVDOgu-NpMRO9sYRXGdLJZHeA7ee2L-HNxJke_kCQRX1SWc-umv-wv64My25HRin4ByRh0gJ0cGQAA",
};

const V6: Signed = Signed {
    preimage: r#"{"agent_id":"aid_0123456789ab","boundary_snapshot_id":null,"bounded_params":[],"execution_scope":["read_invoice"],"expires_at":"2026-01-02T07:04:05+00:00","immutable_params":{},"issued_at":"2026-01-02T03:04:05.678901+00:00","mission_id":"msn_invoice01","token_id":"tok_001122334455"}"#,
    sha256: "163bf1f8e7210519b473b7fb125dd06ef434d51540d4f292e74578ac85ab6204",
    signature: "RRbxjsWnnsRceTrGSFiyfAn5Ptfcrp7vtMmkfSq2IkHAv65KnCsKdYHZz2XEO3z1Ynbd_RQHAwygb8Xcn52vAg",
};

/// The chain of V7: each preimage with its hash.
const V7: [(&str, &str); 5] = [
    (
        r#"{"agent_id":"aid_0123456789ab","chain_id":"ac_0123456789ab","data":{"initialized_at":"2026-01-02T03:04:05.678901+00:00"},"entry_id":"aue_000000000000","event":"IDENTITY_chain_initialized","layer":"IDENTITY","mission_id":"msn_invoice01","prev_hash":"0000000000000000000000000000000000000000000000000000000000000000","sequence":0,"timestamp":"2026-01-02T03:04:05.678950Z","token_id":null}"#,
        "cee5962113ed93816238df616789b07b07433fe746fe408f97c1b21b87becb36",
    ),
    (
        r#"{"agent_id":"aid_0123456789ab","chain_id":"ac_0123456789ab","data":{"invoice_id":"INV-4521","result":"success","tool":"read_invoice"},"entry_id":"aue_000000000001","event":"EXECUTION_tool_call","layer":"EXECUTION","mission_id":"msn_invoice01","prev_hash":"cee5962113ed93816238df616789b07b07433fe746fe408f97c1b21b87becb36","sequence":1,"timestamp":"2026-01-02T03:04:06Z","token_id":"tok_001122334455"}"#,
        "36abd35916257486af25e817530293eeb8b1b7f582e84d71a42d6d2629ce72ec",
    ),
    (
        r#"{"agent_id":"aid_0123456789ab","chain_id":"ac_0123456789ab","data":{"B":"\ud800\udf48","b":{"a":[1.0,-0.0,1e+16,1e-05,0.0001,1.2345678901234568e+17,5e-324,9007199254740993,18446744073709551615,true,null,{}],"z":1},"\uffff":[],"\ud83d\ude00":"a\"\\/\b\f\n\r\t\u0000\u001f\u007f\u00e9\u2028"},"entry_id":"aue_000000000002","event":"COMPLIANCE_scope_violation","layer":"COMPLIANCE","mission_id":"msn_invoice01","prev_hash":"36abd35916257486af25e817530293eeb8b1b7f582e84d71a42d6d2629ce72ec","sequence":2,"timestamp":"2026-01-02T03:04:07.000100Z","token_id":null}"#,
        "13dc4b699248f67f6cd3ab4a3b211b8c4bee7df92e9368a7dfd8db77cf204921",
    ),
    (
        r#"{"agent_id":"aid_0123456789ab","chain_id":"ac_0123456789ab","data":{},"entry_id":"aue_000000000003","event":"GOVERNANCE_note","layer":"GOVERNANCE","mission_id":"msn_invoice01","prev_hash":"13dc4b699248f67f6cd3ab4a3b211b8c4bee7df92e9368a7dfd8db77cf204921","sequence":3,"timestamp":"2026-01-02T03:04:08.999999Z","token_id":null}"#,
        "9a4b222cbb27bacace1c250f275157e8b4ae15738c70ba2df89098d9e7462b2b",
    ),
    (
        r#"{"agent_id":"aid_0123456789ab","chain_id":"ac_0123456789ab","data":{"chain_id":"ac_0123456789ab"},"entry_id":"aue_000000000004","event":"EXECUTION_chain_closed","layer":"EXECUTION","mission_id":"msn_invoice01","prev_hash":"9a4b222cbb27bacace1c250f275157e8b4ae15738c70ba2df89098d9e7462b2b","sequence":4,"timestamp":"2026-01-02T03:04:09.000001Z","token_id":null}"#,
        "06bb8c5769fbd63497412ba192407b9eaed1decb932c1870de62b73d083e1c47",
    ),
];

fn seed(first: u8) -> SigningKey {
    SigningKey::from_bytes(&std::array::from_fn(|index| first + index as u8))
}

fn ca() -> SigningKey {
    seed(0)
}

fn agent() -> SigningKey {
    seed(0x20)
}

fn at(text: &str) -> Micros {
    parse_timestamp(text).unwrap()
}

fn issued_at() -> Micros {
    at("2026-01-02T03:04:05.678901Z")
}

fn assert_signed(preimage: &str, expected: &Signed) {
    assert_eq!(preimage, expected.preimage);
    assert_eq!(hex::encode(Sha256::digest(preimage)), expected.sha256);
    let signature = ca().sign(preimage.as_bytes());
    assert_eq!(b64u::render(&signature.to_bytes()), expected.signature);
    let read = b64u::parse::<64>(expected.signature).unwrap();
    assert!(ca().verifying_key().verify_strict(preimage.as_bytes(), &read.into()).is_ok());
}

#[test]
fn v1_keys() {
    let public = ca().verifying_key().to_bytes();
    assert_eq!(hex::encode(public), "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
    assert_eq!(b64u::render(&public), "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg");
    assert_eq!(ca_fingerprint(&public), "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c");
    let agent = b64u::render(agent().verifying_key().as_bytes());
    assert_eq!(agent, "Kay64UG8yvCyLhqU000LxzYeUm0L_hLIl5S8kyKWbdc");
}

fn certificate(issued_by: &str, issued_at: Micros, valid_until: Option<Micros>) -> String {
    CertificatePreimage {
        agent_id: "aid_0123456789ab",
        agent_name: "invoice-processor",
        org_id: "acme-corp",
        issued_by,
        public_key: agent().verifying_key().as_bytes(),
        ca_fingerprint: &ca_fingerprint(ca().verifying_key().as_bytes()),
        issued_at,
        valid_until,
    }
    .canonical()
}

#[test]
fn v2_certificate() {
    assert_signed(&certificate("finance_team", issued_at(), None), &V2);
}

#[test]
fn v3_certificate_non_ascii_and_whole_seconds() {
    let (from, until) = (at("2026-01-02T03:04:05Z"), at("2027-01-02T03:04:05Z"));
    assert_signed(&certificate("Köln-経理", from, Some(until)), &V3);
}

#[test]
fn v4_challenge() {
    let nonce = b64u::render(&std::array::from_fn::<u8, 32, _>(|index| 0x40 + index as u8));
    assert_eq!(nonce, "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8");
    let signature = b64u::render(&agent().sign(nonce.as_bytes()).to_bytes());
    assert_eq!(signature, "bX-reLuS0yPgBLdI3uoQ6nxtHytlFup5wmBtUak4bdWsRnLoctn8WgsND3uT6Uyt2_EnWpJWyXqzxxsWCXDCDQ");
}

fn token(scope: &[&str], immutable_params: &str, bounded_params: &[Bound<'_>]) -> String {
    TokenPreimage {
        token_id: "tok_001122334455",
        agent_id: "aid_0123456789ab",
        mission_id: "msn_invoice01",
        execution_scope: &scope.iter().map(ToString::to_string).collect::<Vec<_>>(),
        immutable_params: &Json::parse_members(immutable_params).unwrap(),
        bounded_params,
        issued_at: issued_at(),
        expires_at: at("2026-01-02T07:04:05Z"),
        boundary_snapshot_id: None,
    }
    .canonical()
}

#[test]
fn v5_token() {
    let bounds = [
        Bound { name: "amount", lower: None, upper: Some(50_000.0), unit: None },
        Bound { name: "ratio", lower: Some(0.00001), upper: Some(1e16), unit: Some("pct") },
    ];
    let params = r#"{"currency":"USD","note":"café 😀","n":1,"f":1.0}"#;
    assert_signed(&token(&["write_payment_draft", "read_invoice"], params, &bounds), &V5);
}

#[test]
fn v6_token_minimal() {
    assert_signed(&token(&["read_invoice"], "{}", &[]), &V6);
}

/// An entry with owned fields, so that tests can edit it.
#[derive(Clone)]
struct Entry {
    entry_id: String,
    sequence: u64,
    layer: &'static str,
    event: &'static str,
    token_id: Option<&'static str>,
    timestamp: Micros,
    data: Members,
    prev_hash: [u8; 32],
    entry_hash: [u8; 32],
}

impl Entry {
    fn stored(&self) -> StoredEntry<'_> {
        let preimage = EntryPreimage {
            entry_id: &self.entry_id,
            chain_id: "ac_0123456789ab",
            sequence: self.sequence,
            layer: self.layer,
            event: self.event,
            agent_id: "aid_0123456789ab",
            mission_id: "msn_invoice01",
            token_id: self.token_id,
            timestamp: self.timestamp,
            data: &self.data,
            prev_hash: &self.prev_hash,
        };
        StoredEntry { preimage, entry_hash: &self.entry_hash }
    }
}

/// The chain of V7 from what its callers sent.
fn chain() -> Vec<Entry> {
    let data = |text: &str| Json::parse_members(text).unwrap();
    // As sent: unsorted, in other spellings, with a raw U+007F, é and U+2028.
    let nasty = "{\"😀\":\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001F\u{7f}é\u{2028}\",\"\\uffff\":[ ],\"B\":\"\u{10348}\",\
        \"b\":{\"z\":1,\"a\":[1.0,-0.0,1e16,0.00001,1e-4,123456789012345678.0,5e-324,9007199254740993,\
        18446744073709551615,true,null,{ }]}}";
    let appended = [
        (
            "EXECUTION",
            "EXECUTION_tool_call",
            Some("tok_001122334455"),
            "2026-01-02T03:04:06Z",
            data(r#"{"tool":"read_invoice","invoice_id":"INV-4521","result":"success"}"#),
        ),
        ("COMPLIANCE", "COMPLIANCE_scope_violation", None, "2026-01-02T03:04:07.0001Z", data(nasty)),
        ("GOVERNANCE", "GOVERNANCE_note", None, "2026-01-02T03:04:08.999999Z", data("{}")),
        (TERMINAL.0, TERMINAL.1, None, "2026-01-02T03:04:09.000001Z", terminal_data("ac_0123456789ab")),
    ];
    let genesis = (GENESIS.0, GENESIS.1, None, "2026-01-02T03:04:05.678950Z", genesis_data(issued_at()));
    let mut prev_hash = NO_HASH;
    let entries = std::iter::once(genesis).chain(appended).zip(0..);
    entries
        .map(|((layer, event, token_id, timestamp, data), sequence)| {
            let entry_id = format!("aue_{sequence:012}");
            let timestamp = at(timestamp);
            let mut entry =
                Entry { entry_id, sequence, layer, event, token_id, timestamp, data, prev_hash, entry_hash: NO_HASH };
            entry.entry_hash = entry.stored().preimage.hash();
            prev_hash = entry.entry_hash;
            entry
        })
        .collect()
}

fn verify(chain: &[Entry], head_hash: &[u8; 32]) -> Result<(), ChainFault> {
    verify_chain(chain.iter().map(Entry::stored), head_hash)
}

#[test]
fn v7_audit_chain() {
    let chain = chain();
    for (entry, (preimage, hash)) in chain.iter().zip(V7) {
        assert_eq!(entry.stored().preimage.canonical(), preimage);
        assert_eq!(hex::encode(entry.entry_hash), hash);
        // What OrgKernel wrote is canonical to us.
        assert_eq!(canonical(&Json::parse(preimage).unwrap()), preimage);
    }
    assert_eq!(verify(&chain, &chain[4].entry_hash), Ok(()));
}

/// The contract's table, and beside it what each single edit of an entry does. An empty chain differs on purpose.
#[test]
fn integrity_table() {
    let whole = chain();
    let head = whole[4].entry_hash;
    let faulty = |edit: &dyn Fn(&mut Vec<Entry>)| {
        let mut edited = whole.clone();
        edit(&mut edited);
        verify(&edited, &head).map_err(|fault| (fault.index, fault.why))
    };
    use ChainFaultKind::{Empty, Hash, Head, Prev, Sequence};
    assert_eq!(faulty(&|_| ()), Ok(()), "intact");
    assert_eq!(faulty(&|chain| chain[1].data = Members::new()), Err((1, Hash)), "entry 1 edited");
    assert_eq!(faulty(&|chain| chain.swap(1, 2)), Err((1, Sequence)), "entries 1 and 2 swapped");
    assert_eq!(faulty(&|chain| drop(chain.pop())), Err((4, Head)), "last entry removed");
    assert_eq!(verify(&whole[..4], &whole[3].entry_hash), Ok(()), "last removed and head moved back");
    assert_eq!(faulty(&Vec::clear), Err((0, Empty)), "no entries");

    assert_eq!(faulty(&|chain| drop(chain.remove(2))), Err((2, Sequence)), "one removed");
    assert_eq!(faulty(&|chain| chain.insert(2, chain[1].clone())), Err((2, Sequence)), "one inserted");
    assert_eq!(verify(&whole, &NO_HASH).map_err(|fault| fault.why), Err(Head), "head moved");
    let renumbered = |chain: &mut Vec<Entry>| {
        chain.remove(1);
        (0..).zip(chain).for_each(|(sequence, entry)| entry.sequence = sequence);
    };
    assert_eq!(faulty(&renumbered), Err((1, Prev)), "one removed, the rest renumbered");
    let rehashed = |chain: &mut Vec<Entry>| {
        chain[1].event = "EXECUTION_other";
        chain[1].entry_hash = chain[1].stored().preimage.hash();
    };
    assert_eq!(faulty(&rehashed), Err((2, Prev)), "entry 1 edited and hashed anew");
    for edit in [
        (|entry| entry.entry_id.push('0')) as fn(&mut Entry),
        |entry| entry.layer = "GOVERNANCE",
        |entry| entry.token_id = None,
        |entry| entry.timestamp = Micros(entry.timestamp.0 + 1),
        |entry| entry.entry_hash[31] ^= 1,
    ] {
        assert_eq!(faulty(&|chain| edit(&mut chain[1])), Err((1, Hash)));
    }
}

#[test]
fn a_number_spelled_otherwise_is_another_entry() {
    let mut chain = chain();
    chain[3].data = Json::parse_members(r#"{"n":1}"#).unwrap();
    let integer = chain[3].stored().preimage.hash();
    chain[3].data = Json::parse_members(r#"{"n":1.0}"#).unwrap();
    assert_ne!(integer, chain[3].stored().preimage.hash());
}
