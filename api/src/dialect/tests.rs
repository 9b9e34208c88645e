//! `docs/dialects.md` is generated from the rooms' tables of contents, and held equal to them here.
//! `CHANCERY_BLESS=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use chancery_projections::command::Command;

use super::orgkernel::{self, Native};

const HEAD: &str = "\
# Dialects

What the routes of each vendor's API become, generated from `ROUTES` in `api/src/dialect/*/mod.rs`; a test of
`chancery-api` holds this page equal to them. Nothing in a dialect decides: every line is a native command or a query of a
view, and what was written through one is the same thing in all.

";

fn page() -> String {
    let mut page = HEAD.to_owned();
    let line = |page: &mut String, name: &str, routes: &[String]| {
        writeln!(page, "| `{name}` | {} |", routes.join(" · ")).unwrap();
    };
    let routes = |wanted: &dyn Fn(Native) -> bool| -> Vec<String> {
        let found = orgkernel::ROUTES.iter().filter(|route| wanted(route.native));
        found.map(|route| format!("{} `{}{}`", route.method, orgkernel::PREFIX, route.path)).collect()
    };
    page.push_str("## Commands\n\n| Native command | OrgKernel |\n|---|---|\n");
    for name in Command::NAMES {
        let found = routes(&|native| matches!(native, Native::Command(command) if command == *name));
        if !found.is_empty() {
            line(&mut page, name, &found);
        }
    }
    page.push_str("\n## Queries\n\n| Of a view | OrgKernel |\n|---|---|\n");
    let mut asked = Vec::new();
    for route in orgkernel::ROUTES {
        let Native::Query(name, _) = route.native else { continue };
        if !asked.contains(&name) {
            asked.push(name);
        }
    }
    for name in asked {
        line(&mut page, name, &routes(&|native| matches!(native, Native::Query(query, _) if query == name)));
    }
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
