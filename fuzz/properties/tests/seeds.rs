//! Every seed of every fuzz target, through the target's body. `fuzz/seeds/<target>/<name>.<word>` holds an input, and
//! the word that `hold` must give for it.
//!
//! `CHANCERY_BLESS=1 cargo test -p chancery-fuzz-properties` makes seeds and dictionaries anew, from the golden files of
//! ledger and dialects and from the routes; then read the difference.
//!
//! `CHANCERY_CORPUS=<dir>` has what libFuzzer gathered in `<dir>/<target>` played too.

#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests may fail as tests do.

mod made;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chancery_api::router::{ROUTES, Route};
use chancery_fuzz_properties::{command, envelope, export, http, notes};
use chancery_ledger::body::Kind;
use chancery_projections::command::Command;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn is_blessing() -> bool {
    std::env::var_os("CHANCERY_BLESS").is_some()
}

/// Runs a target over its seeds, and gives which became what. When blessing, makes them first.
fn play(
    target: &str, made: impl FnOnce() -> Vec<(String, Vec<u8>)>, begin_anew: impl Fn(), hold: impl Fn(&[u8]) -> String,
) -> BTreeMap<String, Vec<String>> {
    let dir = fuzz().join("seeds").join(target);
    if is_blessing() {
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let mut made = made();
        made.sort();
        begin_anew();
        for (name, input) in made {
            std::fs::write(dir.join(format!("{name}.{}", hold(&input))), input).unwrap();
        }
    }
    let mut counts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut inputs = Vec::new();
    begin_anew();
    for (file, input) in read(&dir) {
        let (name, word) = file.rsplit_once('.').unwrap();
        let became = hold(&input);
        assert_eq!(became, word, "{target}/{file}; see the top of this test if the difference is wanted");
        counts.entry(became).or_default().push(name.to_owned());
        inputs.push(input);
    }
    assert!(inputs.len() > 5, "{target} has too few seeds");
    damage(&inputs, &hold);
    if let Some(corpus) = std::env::var_os("CHANCERY_CORPUS") {
        let found = read(&Path::new(&corpus).join(target));
        found.iter().for_each(|(_, input)| drop(hold(input)));
        println!("{target}: {} inputs of the corpus", found.len());
    }
    counts
}

fn read(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort_by_key(|path| path.with_extension(""));
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

/// Each seed once more, cut short, with a byte changed, and with the end of another: the properties hold for those too.
fn damage(inputs: &[Vec<u8>], hold: impl Fn(&[u8]) -> String) {
    let mut numbers = blake3::Hasher::new().update(b"damage").finalize_xof();
    let mut below = |end: usize| {
        let mut bytes = [0; 8];
        numbers.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % end.max(1) as u64).unwrap()
    };
    for input in inputs {
        let cut = &input[..below(input.len())];
        hold(cut);
        let mut changed = input.clone();
        let at = below(input.len());
        if let Some(byte) = changed.get_mut(at) {
            *byte ^= 1 << below(8);
        }
        hold(&changed);
        let other = &inputs[below(inputs.len())];
        hold(&[cut, &other[below(other.len())..]].concat());
    }
}

#[test]
fn envelopes() {
    play("envelope", made::envelopes, || (), |input| envelope::hold(input).to_owned());
    // What would be made now counts here: a new kind is held to this from its first golden body on.
    let made = made::envelopes();
    for kind in Kind::ALL {
        let inputs: Vec<_> = made.iter().filter(|(name, _)| name.ends_with(kind.name())).collect();
        assert!(!inputs.is_empty(), "no {} is among the seeds", kind.name());
        inputs.iter().for_each(|(name, input)| assert_eq!(envelope::hold(input), "event", "{name}"));
    }
}

#[test]
fn exports() {
    let counts = play("export", made::exports, || (), |input| export::hold(input).to_owned());
    for word in ["whole", "consistent", "broken", "damaged"] {
        assert!(counts.contains_key(word), "{counts:?}");
    }
}

#[test]
fn texts() {
    let counts = play("notes", made::texts, || (), |input| notes::hold(input).to_owned());
    for word in ["signed", "proven", "seal", "proof", "key", "base", "cosigned", "foreign", "cosigner", "policy"] {
        assert!(counts.contains_key(word), "{counts:?}");
    }
}

#[test]
fn commands() {
    let counts = play("command", made::commands, || (), |input| command::hold(input).to_owned());
    for command in Command::NAMES.iter().filter(|name| !Command::is_internal(name)) {
        assert!(counts["decided"].iter().any(|name| name.ends_with(command)), "no seed has {command} decided");
    }
    dictionary("command", &made::command_words());
}

#[test]
fn requests() {
    let counts = play("http", made::requests, http::begin_anew, http::hold);
    // As with envelopes: a route that is new is asked by the seed that would be made for it.
    let made = made::requests();
    for Route(.., operation) in ROUTES {
        let wanted = format!("native-{}", operation.id);
        if !counts["200"].contains(&wanted) {
            let (_, input) = made.iter().find(|(name, _)| *name == wanted).unwrap();
            http::begin_anew();
            assert_eq!(http::hold(input), "200", "{wanted}");
        }
    }
    dictionary("http", &made::request_words());
}

/// A dictionary as libFuzzer reads it: printable ASCII, and everything else by its number.
fn dictionary(target: &str, words: &[String]) {
    let path = fuzz().join(format!("dictionaries/{target}.dict"));
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02X}"),
    };
    let line = |word: &String| format!("\"{}\"\n", word.bytes().map(escaped).collect::<String>());
    let text: String = words.iter().map(line).collect();
    if is_blessing() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        let word = line.strip_prefix('"').and_then(|line| line.strip_suffix('"'));
        assert!(word.is_some_and(|word| !word.is_empty() && word.is_ascii()), "{line} is no word of a dictionary");
    }
}
