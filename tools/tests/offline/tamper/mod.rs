//! Attacks on what a ledger keeps and shows. Each is performed, and what detects it must detect it for that reason.
//! `docs/security.md` has them as a table; `CHANCERY_BLESS=1` writes that anew from what stands here.

#[macro_use]
mod attack;

mod archive;
mod bundle;
mod checkpoint;
mod clock;
mod keys;
mod log;
mod proof;
mod receipt;
mod signature;
mod tree;
mod view;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use self::attack::Attack;

/// Every attack, in the order of the page.
const ATTACKS: &[&[Attack]] = &[
    log::ATTACKS,
    tree::ATTACKS,
    checkpoint::ATTACKS,
    proof::ATTACKS,
    bundle::ATTACKS,
    receipt::ATTACKS,
    keys::ATTACKS,
    signature::ATTACKS,
    clock::ATTACKS,
    archive::ATTACKS,
    view::ATTACKS,
];

/// What stands around the table on its page.
const BEGIN: &str = "<!-- attacks: begin -->\n";
const END: &str = "<!-- attacks: end -->\n";

fn table() -> String {
    let mut text = "| # | On | Attack | Detected by | Test |\n|---|---|---|---|---|\n".to_owned();
    for (number, attack) in (1..).zip(ATTACKS.iter().copied().flatten()) {
        let found: Vec<String> = attack.found.iter().map(ToString::to_string).collect();
        let found = found.join("; ");
        text += &format!("| {number} | {} | {} | {found} | `{}` |\n", attack.on, attack.does.trim(), attack.test);
    }
    text
}

#[test]
fn the_page_has_every_attack_and_no_other() {
    let names: BTreeSet<&str> = ATTACKS.iter().copied().flatten().map(|attack| attack.test).collect();
    assert_eq!(names.len(), ATTACKS.iter().map(|attacks| attacks.len()).sum::<usize>(), "each has a name of its own");
    assert!(names.len() >= 25, "{}", names.len());
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    if std::env::var_os("CHANCERY_BLESS").is_some() {
        fs::write(page, [before, BEGIN, &table(), END, after].concat()).unwrap();
    } else {
        assert_eq!(found, table(), "CHANCERY_BLESS=1 writes it anew");
    }
}
