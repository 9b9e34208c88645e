//! `docs/dialects.md` is generated from the rooms' tables of contents, and held equal to them here.
//! `CHANCERY_BLESS=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use chancery_projections::command::Command;

use super::{Line, Native, agentidp, alsorn, orgkernel};

const HEAD: &str = "\
# Dialects

What the routes of each vendor's API become, generated from `ROUTES` in `api/src/dialect/*/mod.rs`; a test of
`chancery-api` holds this page equal to them. Nothing in a dialect decides: every line is a native command or a query of a
view, and what was written through one is the same thing in all.

";

/// The rooms, by the vendor's name.
fn rooms() -> [(&'static str, Vec<Line>); 3] {
    [
        ("OrgKernel", orgkernel::contents().collect()),
        ("AgentIdP", agentidp::contents().collect()),
        ("Alsorn", alsorn::contents().collect()),
    ]
}

fn page() -> String {
    let rooms = rooms();
    let mut page = HEAD.to_owned();
    let table = |page: &mut String, head: &str, names: &[&str], is: &dyn Fn(Native, &str) -> bool| {
        let vendors: Vec<_> = rooms.iter().map(|(vendor, _)| *vendor).collect();
        writeln!(page, "| {head} | {} |\n|---|{}", vendors.join(" | "), "---|".repeat(vendors.len())).unwrap();
        for name in names {
            let cell = |lines: &[Line]| -> String {
                let lines = lines.iter().filter(|line| is(line.native, name));
                let lines = lines.map(|line| format!("{} `{}{}`", line.method, line.path.0, line.path.1));
                lines.collect::<Vec<_>>().join(" · ")
            };
            let cells: Vec<_> = rooms.iter().map(|(_, lines)| cell(lines)).collect();
            if cells.iter().any(|cell| !cell.is_empty()) {
                writeln!(page, "| `{name}` | {} |", cells.join(" | ")).unwrap();
            }
        }
    };
    page.push_str("## Commands\n\n");
    table(
        &mut page,
        "Native command",
        Command::NAMES,
        &|native, name| matches!(native, Native::Command(command) if command == name),
    );
    page.push_str("\n## Queries\n\n");
    let mut asked = Vec::new();
    for line in rooms.iter().flat_map(|(_, lines)| lines) {
        let (Native::Query(name, _) | Native::Public(name)) = line.native else { continue };
        if !asked.contains(&name) {
            asked.push(name);
        }
    }
    table(
        &mut page,
        "Of a view",
        &asked,
        &|native, name| matches!(native, Native::Query(query, _) | Native::Public(query) if query == name),
    );
    page
}

#[test]
fn the_page_of_dialects_is_the_rooms_tables() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dialects.md");
    if std::env::var_os("CHANCERY_BLESS").is_some() {
        std::fs::write(&file, page()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), page(), "CHANCERY_BLESS=1 writes it anew");
}
