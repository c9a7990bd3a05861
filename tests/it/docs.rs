//! What README says is what the program does.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use pgsqlms::metadata::ACTIONS;
use tempfile::TempDir;

use crate::run::{CODES, repository};

fn readme() -> String {
    std::fs::read_to_string(repository("README.md")).unwrap()
}

/// What stands between `<!-- name -->` and `<!-- /name -->`.
#[track_caller]
fn section<'a>(readme: &'a str, name: &str) -> &'a str {
    let section = readme.split_once(&format!("<!-- {name} -->\n")).map(|(_, rest)| rest);
    let section = section.and_then(|rest| rest.split_once(&format!("<!-- /{name} -->"))).map(|(section, _)| section);
    section.unwrap_or_else(|| panic!("README.md has no section {name}")).trim_matches('\n')
}

/// The cells of a table's rows, without its head.
fn rows(table: &str) -> Vec<Vec<&str>> {
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// What stands in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn readme_has_the_parameter_table() {
    let table = pgsqlms::parameters::markdown_table();
    assert!(
        section(&readme(), "parameters") == table.trim_end(),
        "README.md must have this between <!-- parameters --> and <!-- /parameters -->:\n\n{table}"
    );
}

#[test]
fn readme_has_every_action() {
    let readme = readme();
    let told: Vec<&str> = rows(section(&readme, "actions")).into_iter().flat_map(|row| quoted(row[0])).collect();
    let mut advertised: Vec<&str> = ACTIONS.iter().map(|action| action.name).collect();
    advertised.dedup();
    assert_eq!(told.iter().collect::<BTreeSet<_>>(), advertised.iter().collect::<BTreeSet<_>>());
}

#[test]
fn readme_has_every_exit_code() {
    let readme = readme();
    let told: Vec<(u8, &str)> =
        rows(section(&readme, "exit codes")).iter().map(|row| (row[0].parse().unwrap(), row[1])).collect();
    let codes: Vec<(u8, String)> = CODES.iter().map(|code| (*code as u8, words(&format!("{code:?}")))).collect();
    assert_eq!(told, codes.iter().map(|(code, name)| (*code, name.as_str())).collect::<Vec<_>>());
}

/// `RunningPromoted` as `running promoted`.
fn words(name: &str) -> String {
    let spaced = name.chars().flat_map(|c| c.is_uppercase().then_some(' ').into_iter().chain([c.to_ascii_lowercase()]));
    spaced.collect::<String>().trim().to_owned()
}

/// Each exit reason that README explains is one that the agent gives; `…` stands for what varies.
#[test]
fn readme_explains_reasons_that_exist() {
    let source = source_in(&repository("src"));
    let readme = readme();
    let rows = rows(section(&readme, "exit reasons"));
    assert!(rows.len() > 10);
    for fragment in rows.iter().flat_map(|row| quoted(row[0])).flat_map(|reason| reason.split('…')) {
        let fragment = fragment.trim();
        assert!(source.contains(fragment), "the agent never says {fragment:?}");
    }
}

/// All Rust code in `directory`, with strings that go on in the next line joined.
fn source_in(directory: &Path) -> String {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: PathBuf| match path.is_dir() {
        true => source_in(&path),
        false => std::fs::read_to_string(path).unwrap(),
    };
    let lines: Vec<String> = entries.map(text).collect();
    lines.join("\n").split("\\\n").map(str::trim_start).collect()
}

/// Runs one of the examples with programs that only write down how they are called.
fn recorded(script: &str, pgdata: &str) -> String {
    let directory = TempDir::new().unwrap();
    let record = directory.path().join("record");
    for (program, action) in [
        (
            "pcs",
            "case $* in --version) echo 0.11.5 ;; 'cluster cib '*) : >\"$3\" ;; *) echo \"pcs $*\" >>\"$RECORD\" ;; esac",
        ),
        ("crm", "cat >>\"$RECORD\""),
        ("crm_verify", ":"),
    ] {
        let path = directory.path().join(program);
        std::fs::write(&path, format!("#!/bin/sh\n{action}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", directory.path().display());
    let run = Command::new(repository("pcs-examples").join(script))
        .env_clear()
        .envs([("PATH", path.as_str()), ("PGDATA", pgdata)])
        .env("RECORD", &record)
        .output()
        .unwrap();
    assert!(run.status.success(), "{script}: {run:?}");
    std::fs::read_to_string(&record).unwrap()
}

/// The commands in a piece of README or in a record, one a line: continued lines joined, `-f FILE` and blanks left out.
fn commands(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let commands = text.lines().map(|line| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if let Some(at) = words.iter().position(|word| *word == "-f") {
            words.drain(at..at + 2);
        }
        words.join(" ")
    });
    commands.filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("```")).collect()
}

#[test]
fn readme_configures_the_cluster_as_the_pcs_example_does() {
    let readme = readme();
    let of_cluster = |command: &String| !command.starts_with("pcs cluster ") && !command.starts_with("crm_verify");
    let told: Vec<String> = commands(section(&readme, "pcs")).into_iter().filter(of_cluster).collect();
    let example = commands(&recorded("3nodes-vip.sh", "/var/lib/postgresql/17/main"));
    assert_eq!(told, example.into_iter().filter(of_cluster).collect::<Vec<_>>());
}

#[test]
fn readme_configures_the_resource_as_the_crmsh_example_does() {
    let readme = readme();
    let example = commands(&recorded("3nodes-vip-crmsh.sh", "/var/lib/postgresql/17/main"));
    let told = commands(section(&readme, "crmsh"));
    assert!(told.len() >= 2);
    for command in told {
        assert!(example.contains(&command), "not in the example: {command}\n{example:#?}");
    }
}

/// The example without an address is the one with it, but for the address and whom standbys follow.
#[test]
fn the_examples_differ_by_the_address() {
    let made = |script: &str| {
        let commands = commands(&recorded(script, "/data")).into_iter();
        commands.filter(|line| !line.contains("cib-push") && !line.contains("pgsql-vip")).collect::<Vec<_>>()
    };
    let follows = |line: String| line.replace("pgdata=/data ", "pgdata=/data follow=node ");
    let without = made("3nodes-novip.sh");
    assert!(without.iter().any(|line| line.contains("follow=node")), "{without:?}");
    assert_eq!(without, made("3nodes-vip.sh").into_iter().map(follows).collect::<Vec<_>>());
}

/// What a reader is told to type exists.
#[test]
fn readme_names_what_make_has() {
    let makefile = std::fs::read_to_string(repository("Makefile")).unwrap();
    let readme = readme();
    let told = readme.split("make ").skip(1).filter_map(|rest| rest.split(['`', ' ', '\n', ';', ',', ')']).next());
    let targets = told.filter(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    let (known, unknown): (Vec<&str>, Vec<&str>) =
        targets.partition(|target| makefile.contains(&format!("\n{target}:")));
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(known.contains(&"demo") && known.contains(&"test"));
}

#[test]
fn links_lead_somewhere() {
    for document in ["README.md", "CHANGELOG.md"] {
        let text = std::fs::read_to_string(repository(document)).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for target in targets.filter(|target| !target.is_empty() && !target.contains("://")) {
            assert!(repository(target).exists(), "{document}: {target}");
        }
    }
}

/// CHANGELOG.md begins with the version that is being made.
#[test]
fn the_changelog_knows_this_version() {
    let changelog = std::fs::read_to_string(repository("CHANGELOG.md")).unwrap();
    let newest = changelog.lines().find(|line| line.starts_with("## ")).unwrap();
    assert!(newest.contains(env!("CARGO_PKG_VERSION")), "{newest}");
}
