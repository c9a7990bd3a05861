//! docs/state.md names each thing that the agent persists, and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pgsqlms::node::NodeName;
use pgsqlms::pacemaker::{Attribute, left_of};

use super::{files_in, quoted, rows, section};
use crate::run::repository;

type Names = BTreeSet<String>;

/// The names in the first cells of the table `state KIND`.
fn documented(kind: &str) -> Names {
    let table = section(&format!("state {kind}"));
    rows(&table).iter().flat_map(|row| quoted(row[0])).map(str::to_owned).collect()
}

/// The code of a file, without its tests.
fn code(path: &Path) -> String {
    let source = std::fs::read_to_string(path).unwrap();
    source.split("#[cfg(test)]\nmod ").next().unwrap().to_owned()
}

/// The names that constants of a file stand for: `const FILE: &str = "pgsqlms.conf";`.
fn constants(file: &str) -> Names {
    let code = code(&repository(file));
    let values = code.lines().filter_map(|line| line.split_once(": &str = \"")?.1.strip_suffix("\";"));
    let is_name = |value: &&str| value.chars().all(|c| c.is_ascii_lowercase() || "_.-".contains(c));
    values.filter(is_name).map(str::to_owned).collect()
}

/// The names of the variants of `kind`: `Property::Order => "promote-anyway"`.
fn named_by(file: &str, kind: &str) -> Vec<String> {
    let code = code(&repository(file));
    let arms = code.lines().map(str::trim).filter(|line| line.starts_with(kind));
    arms.filter_map(|line| Some(line.split_once(" => \"")?.1.split('"').next()?.to_owned())).collect()
}

#[test]
fn attributes() {
    let names: Names = Attribute::ALL.iter().map(|attribute| attribute.of("RESOURCE")).collect();
    assert_eq!(documented("attributes"), names);
}

#[test]
fn attributes_of_people() {
    let names = constants("src/pacemaker.rs").into_iter().filter(|name| name.starts_with("pgsqlms-"));
    assert_eq!(documented("people"), names.collect());
}

#[test]
fn properties() {
    let mut names: Names = named_by("src/pacemaker.rs", "Property::").into_iter().collect();
    assert!(names.len() > 3, "{names:?}");
    names = names.into_iter().map(|name| format!("pgsqlms-RESOURCE-{name}")).collect();
    names.insert(left_of("RESOURCE", &NodeName::new("NODE")));
    assert_eq!(documented("properties"), names);
}

#[test]
fn files_of_evidence() {
    assert_eq!(documented("evidence"), constants("src/postgres/evidence.rs"));
    let parts = ["keep", "dropped", "own"].map(|part| constants(&format!("src/postgres/rewind/{part}.rs")));
    let mut names: Names = parts.into_iter().flatten().collect();
    // It is one of those that a rewind leaves as they are.
    names.remove("pgsqlms.conf");
    assert_eq!(documented("kept"), names);
}

#[test]
fn passing_notes() {
    let mut names: Names = named_by("src/postgres/passing_note.rs", "About::").into_iter().collect();
    assert!(names.len() > 10, "{names:?}");
    names.insert("account".to_owned());
    assert_eq!(documented("notes"), names);
}

/// The page names each file and attribute with the agent's name in the code.
#[test]
fn each_file_and_attribute_with_our_name_is_documented() {
    let text = std::fs::read_to_string(repository("docs/state.md")).unwrap();
    let mut missing = Names::new();
    let is_test = |file: &PathBuf| file.iter().any(|part| part == "tests" || part == "tests.rs");
    for file in files_in(&repository("src")).into_iter().filter(|file| !is_test(file)) {
        let code = code(&file);
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let literals = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
        let is_ours = |literal: &&str| {
            let name = literal.trim_start_matches('.');
            let rest = name.strip_prefix("pgsqlms").filter(|rest| rest.starts_with(['-', '.']));
            rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_lowercase() || "-.".contains(c)))
        };
        missing.extend(literals.filter(is_ours).filter(|name| !text.contains(name)).map(str::to_owned));
    }
    assert_eq!(missing, Names::new());
}

#[test]
fn files_in_the_data_directory_exist_in_the_code() {
    let sources: String = files_in(&repository("src")).iter().map(|file| code(file)).collect();
    for name in documented("data") {
        assert!(sources.contains(&format!("\"{name}\"")), "{name}");
    }
}
