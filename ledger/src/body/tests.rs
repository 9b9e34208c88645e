use std::collections::HashSet;

use super::*;

#[test]
fn codes_and_names_are_unique_and_two_way() {
    let codes: HashSet<_> = Kind::ALL.iter().map(|k| k.code()).collect();
    assert_eq!(codes.len(), Kind::ALL.len());
    for kind in Kind::ALL {
        assert_eq!(Kind::from_code(kind.code()), Some(*kind));
        assert_eq!(Kind::from_name(kind.name()), Some(*kind));
    }
}

#[test]
fn unknown_kinds_and_versions_say_so() {
    assert_eq!(Body::decode(9999, 1, &[]), Err(BodyError::Unknown { kind: 9999, version: 1 }));
    assert_eq!(Body::decode(1, 7, &[]), Err(BodyError::Unknown { kind: 1, version: 7 }));
}
