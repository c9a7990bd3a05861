//! The rules stay pure, facts in, verdict out, and no file grows beyond what a reader takes in.

use std::path::{Path, PathBuf};

use crate::run::repository;

/// Paths that a pure function must not use. `clippy.toml` restricts the rest of the crate.
const IMPURE: [&str; 20] = [
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::sync",
    "std::cell",
    "Instant",
    "SystemTime",
    "tokio",
    "nix::",
    "log::",
    "println!",
    "async ",
    "static mut",
    "include_str!",
    "crate::actions",
    "crate::command",
];

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

/// The lines of code that name something impure, comments and the tests at the end left out.
fn impure_lines(source: &str) -> Vec<&str> {
    let code = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.filter(|line| named(line).is_some()).collect()
}

/// The first impure thing that a line names, also as part of a group: `use std::{env, fs}`.
fn named(line: &str) -> Option<&'static str> {
    let group = line.trim_start().strip_prefix("use std::{").unwrap_or_default();
    let words: Vec<&str> = group.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    IMPURE.into_iter().find(|impure| {
        line.contains(impure) || impure.strip_prefix("std::").is_some_and(|module| words.contains(&module))
    })
}

/// The longest file that a reader takes in.
const LONGEST: usize = 350;

#[test]
fn no_file_is_longer_than_a_reader_takes_in() {
    let trees = ["src", "tests", "lab/src", "lab/tests", "fuzz/fuzz_targets"].map(repository);
    let files = trees.iter().filter(|tree| tree.exists()).flat_map(|tree| files_in(tree));
    let sources: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|end| end == "rs")).collect();
    assert!(sources.len() > 300, "{}", sources.len());
    let lines = |file: &PathBuf| std::fs::read_to_string(file).unwrap().lines().count();
    let long: Vec<_> = sources.into_iter().filter(|file| lines(file) > LONGEST).collect();
    assert_eq!(long, Vec::<PathBuf>::new(), "longer than {LONGEST} lines");
}

#[test]
fn rules_touch_nothing_outside() {
    let mut files = files_in(&repository("src/rules"));
    files.push(repository("src/rules.rs"));
    assert!(files.len() > 6, "{files:?}");
    for file in files {
        let source = std::fs::read_to_string(&file).unwrap();
        assert_eq!(impure_lines(&source), Vec::<&str>::new(), "{} is not pure", file.display());
    }
}

#[test]
fn impure_code_is_found() {
    for line in ["use std::fs;", "use std::{env, fmt};", "    let now = Instant::now();", "log::warn!(\"x\");"] {
        assert_eq!(impure_lines(line), [line]);
    }
    for line in ["// std::fs is not used", "use std::fmt;", "use std::collections::BTreeMap;"] {
        assert_eq!(impure_lines(line), Vec::<&str>::new());
    }
}
