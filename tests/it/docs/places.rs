//! The names in ARCHITECTURE.md, the glossary and the list of commands exist in the code.

use std::collections::BTreeSet;

use super::{files_in, quoted, rows, section};
use crate::run::{Test, repository};

/// The file of a module, and the rest of its path: `rules::fitness::Fitness` is `Fitness` in `src/rules/fitness.rs`.
fn module(path: &str) -> Option<(String, Option<&str>)> {
    let (modules, item) = match path.rsplit_once("::") {
        Some((modules, item)) if item.starts_with(char::is_uppercase) => (modules, Some(item)),
        _ => (path, None),
    };
    let file = repository("src").join(modules.replace("::", "/")).with_extension("rs");
    Some((std::fs::read_to_string(file).ok()?, item))
}

#[test]
fn the_glossary_names_types_that_exist() {
    let table = section("glossary");
    let rows = rows(&table);
    assert!((35..=50).contains(&rows.len()), "{} words", rows.len());
    let mut words: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), rows.len(), "one thing for one word");
    for row in &rows {
        for path in quoted(row[3]) {
            let (source, item) = module(path).unwrap_or_else(|| panic!("{}: no module {path}", row[0]));
            let declared = |kind: &str, item: &str| source.contains(&format!("{kind} {item}"));
            let is_there =
                item.is_none_or(|item| ["struct", "enum", "trait", "const"].iter().any(|kind| declared(kind, item)));
            assert!(is_there, "{}: nothing is called {path}", row[0]);
        }
    }
}

/// A path like `rules/steps.rs` is one below `src`, and is there.
#[test]
fn the_architecture_names_files_that_exist() {
    let text = std::fs::read_to_string(repository("ARCHITECTURE.md")).unwrap();
    let contributing = std::fs::read_to_string(repository("CONTRIBUTING.md")).unwrap();
    let all: Vec<String> =
        files_in(&repository("src")).iter().map(|file| file.to_string_lossy().into_owned()).collect();
    let names = |text: &str| quoted(text).map(str::to_owned).collect::<Vec<_>>();
    let files = names(&text).into_iter().chain(names(&contributing)).filter(|name| !name.contains([' ', '*']));
    let mut seen = 0;
    for name in files.filter(|name| name.ends_with(".rs") || name.ends_with('/')) {
        if name.contains("NAME") {
            continue;
        }
        seen += 1;
        let places = [repository(&name), repository("src").join(&name), repository("tests/it").join(&name)];
        let is_inner = !name.contains('/') && all.iter().any(|file| file.ends_with(&format!("/{name}")));
        assert!(is_inner || places.iter().any(|place| place.exists()), "{name}");
    }
    assert!(seen > 50, "{seen}");
}

/// The list of commands is that of `pgsqlms --help`.
#[test]
fn every_command_is_listed() {
    let help = Test::new(["--help"]).without("OCF_RESOURCE_INSTANCE").run().stdout;
    let list = help.split_once("Commands for an operator").unwrap().1;
    let in_help: BTreeSet<&str> =
        list.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()).collect();
    let table = section("commands");
    let listed: BTreeSet<&str> = rows(&table).into_iter().flat_map(|row| quoted(row[0])).collect();
    assert_eq!(listed, in_help, "docs/commands/README.md and pgsqlms --help");
}
