use proptest::prelude::*;

use super::*;

/// Any tree a caller could send, numbers in any spelling.
pub fn any_json() -> impl Strategy<Value = Json> {
    let number = prop_oneof![
        "-?(0|[1-9][0-9]{0,30})",
        "-?(0|[1-9][0-9]{0,20})\\.[0-9]{1,20}",
        "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,5})?[eE][+-]?[0-9]{1,2}",
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        number.prop_map(|token| Json::Number(Number::of_token(&token).unwrap())),
        any::<String>().prop_map(Json::Text),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(Json::Object),
        ]
    })
}

#[test]
fn spelling_is_kept_and_spaces_are_not() {
    let text = " { \"b\" : [ 1 , 1.0 , 1E2 , -0, 1e-5 ] , \"a\" : { } , \"c\" : [ null , true , false ] } ";
    assert_eq!(Json::parse(text).unwrap().render(), r#"{"a":{},"b":[1,1.0,1E2,-0,1e-5],"c":[null,true,false]}"#);
}

#[test]
fn of_members_with_one_key_the_last_counts() {
    assert_eq!(Json::parse(r#"{"a":1,"b":2,"\u0061":3}"#).unwrap().render(), r#"{"a":3,"b":2}"#);
}

#[test]
fn no_key_has_a_meaning_of_its_own() {
    let text = r#"{"$serde_json::private::Number":"1","$serde_json::private::RawValue":"[}"}"#;
    assert_eq!(Json::parse(text).unwrap().render(), text);
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(Json::parse(&nested(DEPTH_MAX)).is_ok());
    assert!(matches!(Json::parse(&nested(DEPTH_MAX + 1)), Err(JsonError::TooDeep)));
    assert!(matches!(Json::parse(&nested(1_000_000)), Err(JsonError::TooDeep)));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(65), "}".repeat(65));
    assert!(matches!(Json::parse(&objects), Err(JsonError::TooDeep)));
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "01",
        "-",
        "1.",
        ".5",
        "+1",
        "0x1",
        "1e",
        "NaN",
        "Infinity",
        "-Infinity",
        "nul",
        "'a'",
        "{a:1}",
        "1 2",
        "\"\t\"",
        "\"\\x\"",
        "\u{feff}1",
        "// 1",
        "[1 2]",
        "{\"a\" 1}",
        "{1:2}",
    ] {
        assert!(matches!(Json::parse(text), Err(JsonError::Syntax(_))), "{text:?}");
    }
    for text in [r#""\ud800""#, r#""\udc00""#, r#""\ud800a""#, r#"["\udc00\ud800"]"#, r#"{"\udbff":1}"#] {
        assert!(matches!(Json::parse(text), Err(JsonError::UnpairedSurrogate)), "{text}");
    }
    assert!(matches!(Json::parse("[1e400]"), Err(JsonError::NotFinite)));
    assert!(matches!(Json::parse_members("[]"), Err(JsonError::NotAnObject)));
}

#[test]
fn values_compare_at_every_level() {
    let same = |a: &str, b: &str| Json::parse(a).unwrap().same_value(&Json::parse(b).unwrap());
    assert!(same(r#"{"a":[1,{"b":2.0}],"c":"x"}"#, r#"{"c":"x","a":[1.0,{"b":2}]}"#));
    for (a, b) in [("1", "true"), ("0", "false"), ("0", "null"), ("\"1\"", "1"), ("[1,2]", "[2,1]"), ("[1]", "[1,1]")] {
        assert!(!same(a, b), "{a} and {b}");
    }
    assert!(!same(r#"{"a":1}"#, r#"{"b":1}"#));
    assert!(!same(r#"{"a":null}"#, "{}"));
}

proptest! {
    #[test]
    fn what_is_rendered_reads_back(json in any_json()) {
        let text = json.render();
        let read = Json::parse(&text).unwrap();
        prop_assert_eq!(&read, &json);
        prop_assert!(read.same_value(&json));
        // Another reader sees JSON too.
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = Json::parse(&text);
    }

    #[test]
    fn strings_are_written_as_serde_json_writes_them(text in any::<String>()) {
        prop_assert_eq!(Json::from(text.as_str()).render(), serde_json::to_string(&text).unwrap());
    }
}
