//! README and docs agree with the program.

mod places;
mod prose;
mod state;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use pgsqlms::metadata::ACTIONS;
use tempfile::TempDir;

use crate::run::{CODES, repository};

/// A file of the documentation: its path in the repository, and its text.
struct Document {
    path: PathBuf,
    text: String,
}

/// All Markdown that is the user's, and the contributors'.
fn documents() -> Vec<Document> {
    let mut paths = markdown_in(&repository(""), 0);
    for (directory, depth) in [("docs", 9), ("vagrant", 0), ("pcs-examples", 0)] {
        paths.extend(markdown_in(&repository(directory), depth));
    }
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        Document { path: path.strip_prefix(repository("")).unwrap().to_owned(), text }
    };
    paths.into_iter().map(read).collect()
}

/// The Markdown files of `directory` and of as many levels below it, in the order of their names.
fn markdown_in(directory: &Path, depth: usize) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let (below, files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|path| path.is_dir());
    let below = below.iter().filter(|_| depth > 0).flat_map(|path| markdown_in(path, depth - 1));
    files.into_iter().filter(|path| path.extension().is_some_and(|it| it == "md")).chain(below).collect()
}

/// The text between `<!-- name -->` and `<!-- /name -->`. Exactly one document has it.
#[track_caller]
fn section(name: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let inside = |text: &str| {
        let (section, _) = text.split_once(&begin)?.1.split_once(&end)?;
        Some(section.trim_matches('\n').to_owned())
    };
    let found: Vec<String> = documents().iter().filter_map(|document| inside(&document.text)).collect();
    assert_eq!(found.len(), 1, "sections called {name} in README.md and docs");
    found.into_iter().next().unwrap()
}

/// The cells of a table's rows, without its head.
fn rows(table: &str) -> Vec<Vec<&str>> {
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// The texts in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_documentation_has_the_parameter_table() {
    let table = pgsqlms::parameters::markdown_table();
    assert!(
        section("parameters") == table.trim_end(),
        "docs/reference/parameters.md must have this between <!-- parameters --> and <!-- /parameters -->:\n\n{table}"
    );
}

#[test]
fn the_documentation_has_every_action() {
    let actions = section("actions");
    let documented: Vec<&str> = rows(&actions).into_iter().flat_map(|row| quoted(row[0])).collect();
    let mut advertised: Vec<&str> = ACTIONS.iter().map(|action| action.name).collect();
    advertised.dedup();
    assert_eq!(documented.iter().collect::<BTreeSet<_>>(), advertised.iter().collect::<BTreeSet<_>>());
}

#[test]
fn the_documentation_has_every_exit_code() {
    let exit_codes = section("exit codes");
    let documented: Vec<(u8, &str)> = rows(&exit_codes).iter().map(|row| (row[0].parse().unwrap(), row[1])).collect();
    let codes: Vec<(u8, String)> = CODES.iter().map(|code| (*code as u8, words(&format!("{code:?}")))).collect();
    assert_eq!(documented, codes.iter().map(|(code, name)| (*code, name.as_str())).collect::<Vec<_>>());
}

/// `RunningPromoted` as `running promoted`.
fn words(name: &str) -> String {
    let spaced = name.chars().flat_map(|c| c.is_uppercase().then_some(' ').into_iter().chain([c.to_ascii_lowercase()]));
    spaced.collect::<String>().trim().to_owned()
}

/// Each exit reason that is explained is one that the agent gives; `…` stands for what varies.
#[test]
fn the_explained_reasons_exist() {
    let source = source_in(&repository("src"));
    let reasons = section("exit reasons");
    let rows = rows(&reasons);
    assert!(rows.len() > 10);
    for fragment in rows.iter().flat_map(|row| quoted(row[0])).flat_map(|reason| reason.split('…')) {
        let fragment = fragment.trim();
        assert!(source.contains(fragment), "the agent never says {fragment:?}");
    }
}

/// The files in `directory` and below.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

/// All Rust code in `directory`, with strings that go on in the next line joined.
fn source_in(directory: &Path) -> String {
    let lines: Vec<String> = files_in(directory).iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
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
fn the_cluster_is_configured_as_by_the_pcs_example() {
    let of_cluster = |command: &String| !command.starts_with("pcs cluster ") && !command.starts_with("crm_verify");
    let documented: Vec<String> = commands(&section("pcs")).into_iter().filter(of_cluster).collect();
    let example = commands(&recorded("3nodes-vip.sh", "/var/lib/postgresql/17/main"));
    assert_eq!(documented, example.into_iter().filter(of_cluster).collect::<Vec<_>>());
}

#[test]
fn the_resource_is_configured_as_by_the_crmsh_example() {
    let example = commands(&recorded("3nodes-vip-crmsh.sh", "/var/lib/postgresql/17/main"));
    let documented = commands(&section("crmsh"));
    assert!(documented.len() >= 2);
    for command in documented {
        assert!(example.contains(&command), "not in the example: {command}\n{example:#?}");
    }
}

/// The example without an address is the one with it, but for the address and the upstream of standbys.
#[test]
fn the_examples_differ_by_the_address() {
    let made = |script: &str| {
        let commands = commands(&recorded(script, "/data")).into_iter();
        commands.filter(|line| !line.contains("cib-push") && !line.contains("pgsql-vip")).collect::<Vec<_>>()
    };
    let follows = |line: String| line.replace("rejoin=rewind ", "rejoin=rewind follow=node ");
    let without = made("3nodes-novip.sh");
    assert!(without.iter().any(|line| line.contains("follow=node")), "{without:?}");
    assert_eq!(without, made("3nodes-vip.sh").into_iter().map(follows).collect::<Vec<_>>());
}

/// The first configuration rewinds: the required functions are granted by the page and by the scripts that it refers to.
#[test]
fn the_preparation_grants_the_functions_that_pg_rewind_calls() {
    let script = std::fs::read_to_string(repository("vagrant/provision/postgresql-primary.sh")).unwrap();
    let granted = |text: &str| {
        text.lines().filter(|line| line.starts_with("GRANT EXECUTE ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let documented = granted(&section("grants"));
    assert_eq!(documented, granted(&script));
    // As PostgreSQL's documentation of pg_rewind has it.
    assert_eq!(documented.len(), 4);
    for configuration in ["pcs", "crmsh"] {
        assert!(section(configuration).contains(" rejoin=rewind "), "{configuration}");
    }
}

/// Commands to type: each line of a block of code, and each text in backquotes.
fn typed(text: &str) -> Vec<String> {
    let blocks = text.split("```").enumerate();
    let pieces = blocks.flat_map(|(n, block)| match n % 2 {
        1 => block.lines().map(str::to_owned).collect::<Vec<_>>(),
        _ => quoted(block).map(str::to_owned).collect(),
    });
    pieces.collect()
}

/// The make targets that the documentation names exist.
#[test]
fn the_documentation_names_existing_make_targets() {
    let makefile = std::fs::read_to_string(repository("Makefile")).unwrap();
    let typed: Vec<String> = documents().iter().flat_map(|document| typed(&document.text)).collect();
    let typed = typed.iter().filter_map(|command| command.trim().trim_start_matches("sudo ").strip_prefix("make "));
    let words = typed.flat_map(|rest| rest.split('#').next().unwrap_or_default().split_whitespace());
    let targets = words.filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    let (known, unknown): (Vec<&str>, Vec<&str>) =
        targets.partition(|target| makefile.contains(&format!("\n{target}:")));
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(known.contains(&"demo") && known.contains(&"test"));
}

/// The anchor of a heading, as forges make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn links_lead_somewhere() {
    for document in documents() {
        let file = document.path.display();
        let targets = document.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (path, part) = target.split_once('#').unwrap_or((target, ""));
            let place = repository("").join(document.path.parent().unwrap()).join(path);
            let place = if path.is_empty() { repository("").join(&document.path) } else { place };
            assert!(place.exists(), "{file}: {target}");
            if !part.is_empty() {
                let text = std::fs::read_to_string(&place).unwrap();
                let headings = text.lines().filter(|line| line.starts_with('#'));
                let found = headings.map(|line| anchor(line.trim_start_matches('#'))).any(|name| name == part);
                assert!(found, "{file}: no heading for {target}");
            }
        }
    }
}

/// Each page of docs is at most two links away from README.
#[test]
fn every_page_is_linked() {
    let documents = documents();
    for page in documents.iter().filter(|document| document.path.starts_with("docs")) {
        let name = page.path.file_name().unwrap().to_str().unwrap();
        let links = |other: &&Document| {
            let is_index = other.path == Path::new("README.md") || other.path.ends_with("README.md");
            is_index && (other.text.contains(&format!("/{name})")) || other.text.contains(&format!("({name})")))
        };
        assert!(documents.iter().any(|other| links(&other)), "{} is linked nowhere", page.path.display());
    }
}

/// CHANGELOG.md begins with the version that is being made.
#[test]
fn the_changelog_knows_this_version() {
    let changelog = std::fs::read_to_string(repository("CHANGELOG.md")).unwrap();
    let newest = changelog.lines().find(|line| line.starts_with("## ")).unwrap();
    assert!(newest.contains(env!("CARGO_PKG_VERSION")), "{newest}");
}
