//! Policies.

use proptest::prelude::*;

use super::{key, witness};
use crate::tree::verifier_key::{CosignerKey, VerifierKey};
use crate::witness::policy::{POLICY_BYTES_MAX, WitnessPolicy, WitnessPolicyError};

/// The example of C2SP `tlog-policy`, with keys, addresses and a comment.
fn example() -> String {
    let log = VerifierKey { origin: "log.example".to_owned(), key: key(1).public() };
    let line = |name: &str, seed| format!("witness {name} {} https://{name}.example\n", witness(name, seed));
    [
        "# who signs\n\n",
        &format!("\tlog {log}\n"),
        &line("X1", 11),
        &line("X2", 12),
        &line("X3", 13),
        "group X-witnesses 2 X1 X2 X3\n",
        &line("Y1", 21),
        &line("Y2", 22),
        &line("Y3", 23),
        "group  Y-witnesses any Y1 Y2\tY3 \n",
        "group X-and-Y all X-witnesses Y-witnesses\n",
        "quorum X-and-Y\n",
    ]
    .concat()
}

fn met(policy: &WitnessPolicy, by: &[&str]) -> bool {
    policy.is_met_by(|key: &CosignerKey| by.contains(&key.name.as_str()))
}

#[test]
fn the_example_is_met_as_c2sp_says() {
    let policy = WitnessPolicy::parse(example().as_bytes()).unwrap();
    assert_eq!(policy.logs()[0].key.origin, "log.example");
    let urls: Vec<_> = policy.witnesses().iter().map(|it| it.url.clone().unwrap()).collect();
    assert_eq!(urls[0], "https://X1.example");
    assert_eq!(urls.len(), 6);
    assert!(policy.asks_for_witnesses());
    for enough in [&["X1", "X3", "Y2"][..], &["X1", "X2", "X3", "Y1", "Y2", "Y3"]] {
        assert!(met(&policy, enough), "{enough:?}");
    }
    for few in [&[][..], &["X1", "X2", "X3"], &["X1", "Y1", "Y2", "Y3"], &["Y1"]] {
        assert!(!met(&policy, few), "{few:?}");
    }
}

#[test]
fn none_is_met_by_nobody_and_one_witness_can_be_the_quorum() {
    let none = WitnessPolicy::parse(b"quorum none").unwrap();
    assert!(met(&none, &[]) && !none.asks_for_witnesses());
    assert_eq!(none, WitnessPolicy::default());
    let one = format!("witness w {}\nquorum w\n", witness("W", 1));
    let one = WitnessPolicy::parse(one.as_bytes()).unwrap();
    assert!(met(&one, &["W"]) && !met(&one, &["w"]));
    let any = WitnessPolicy::any_of(vec![witness("A", 1), witness("B", 2)]);
    assert!(met(&any, &["B"]) && !met(&any, &["C"]));
}

#[test]
fn a_wrong_line_is_named() {
    let w = |n: u8| format!("witness w{n} {}\n", witness("W", n));
    let cases: Vec<(String, usize)> = vec![
        ("quorum w1\n".to_owned(), 1),
        (format!("{}{}quorum w1\nquorum w2\n", w(1), w(2)), 4),
        (format!("{}{}quorum w1\n", w(1), w(1)), 2),
        (format!("{}witness w2 {}\nquorum none", w(1), witness("other", 1)), 2),
        (format!("{}group g 0 w1\nquorum g\n", w(1)), 2),
        (format!("{}group g 2 w1\nquorum g\n", w(1)), 2),
        (format!("{}group g 01 w1\nquorum g\n", w(1)), 2),
        (format!("{}group g most w1\nquorum g\n", w(1)), 2),
        (format!("{}group g all\nquorum g\n", w(1)), 2),
        (format!("{}group g any w2\nquorum g\n", w(1)), 2),
        (format!("{}group g any w1 w1\nquorum g\n", w(1)), 2),
        (format!("{}group g any w1\ngroup h any w1\nquorum g\n", w(1)), 3),
        (format!("{}group none any w1\nquorum none\n", w(1)), 2),
        (format!("{}group w1 any w1\nquorum none\n", w(1)), 2),
        (format!("{}group g any none\nquorum g\n", w(1)), 2),
        ("log nobody\nquorum none\n".to_owned(), 1),
        ("witness w nobody\nquorum none\n".to_owned(), 1),
        ("wtiness x y\nquorum none\n".to_owned(), 1),
        ("quorum none\r\n".to_owned(), 1),
        ("quorum\n".to_owned(), 1),
    ];
    for (text, at) in cases {
        match WitnessPolicy::parse(text.as_bytes()) {
            Err(WitnessPolicyError::Line { line, .. }) => assert_eq!(line, at, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    assert_eq!(WitnessPolicy::parse(b"# nothing\n"), Err(WitnessPolicyError::Quorum));
    assert_eq!(WitnessPolicy::parse(&vec![b'#'; POLICY_BYTES_MAX + 1]), Err(WitnessPolicyError::TooLong));
}

#[test]
fn names_are_any_bytes() {
    let mut text = b"witness \xe2\x84\xaa\xff ".to_vec();
    text.extend(witness("W", 1).to_string().bytes());
    text.extend(b"\nquorum \xe2\x84\xaa\xff\n");
    assert!(met(&WitnessPolicy::parse(&text).unwrap(), &["W"]));
    let other = [&text[..text.len() - 2], b"\xfe\n"].concat();
    assert!(WitnessPolicy::parse(&other).is_err());
}

proptest! {
    #[test]
    fn nothing_is_read_that_is_no_policy(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = WitnessPolicy::parse(&bytes);
        let text = [&bytes[..], b"\n", example().as_bytes()].concat();
        let _ = WitnessPolicy::parse(&text);
    }

    #[test]
    fn more_witnesses_never_make_a_met_policy_unmet(has in any::<[bool; 6]>(), more in 0..6_usize) {
        let policy = WitnessPolicy::parse(example().as_bytes()).unwrap();
        let names = ["X1", "X2", "X3", "Y1", "Y2", "Y3"];
        let by = |has: [bool; 6]| names.iter().zip(has).filter(|(_, has)| *has).map(|(name, _)| *name).collect::<Vec<_>>();
        let mut with_one_more = has;
        with_one_more[more] = true;
        prop_assert!(!met(&policy, &by(has)) || met(&policy, &by(with_one_more)));
    }
}
