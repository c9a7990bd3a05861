//! Packages for users, and the packages that the tests install.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::run::{AGENT, repository, skip};

fn make(arguments: &[&str], destination: &Path) -> bool {
    let agent = format!("AGENT={AGENT}");
    let destination = format!("DESTDIR={}", destination.display());
    // Not to be built again: the tests' own is as good.
    let made = Command::new("make")
        .args(["--silent", "--directory"])
        .arg(repository(""))
        .args(["--old-file", AGENT, &agent, &destination])
        .args(arguments)
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output();
    match made {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(_) => {
            skip("make is not installed (package make)");
            false
        }
    }
}

fn files_in(directory: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        match entry.path().is_dir() {
            true => files.extend(files_in(&entry.path()).into_iter().map(|file| format!("{name}/{file}"))),
            false => files.push(name),
        }
    }
    files.sort();
    files
}

#[test]
fn the_agent_is_installed_where_pacemaker_looks_and_can_be_removed() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    if !make(&["install"], root) {
        return;
    }
    let agent = root.join("usr/lib/ocf/resource.d/rust/pgsqlms");
    assert_eq!(agent.metadata().unwrap().permissions().mode() & 0o7777, 0o755);
    let version = Command::new(&agent).arg("--version").output().unwrap();
    assert!(version.status.success());
    // The commands that exit reasons name.
    let link = std::fs::read_link(root.join("usr/sbin/pgsqlms")).unwrap();
    assert_eq!(link, Path::new("/usr/lib/ocf/resource.d/rust/pgsqlms"));
    let files = files_in(root);
    for file in [
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "pcs-examples/3nodes-vip.sh",
        "pcs-examples/3nodes-vip-crmsh.sh",
        "pcs-examples/3nodes-novip.sh",
        "docs/trouble/3am.md",
        "docs/first-cluster/pcs.md",
        "vagrant/provision/postgresql-primary.sh",
        "examples/haproxy.cfg",
        "examples/prometheus/pgsqlms-alerts.yml",
        "examples/pgsqlms-check.socket",
        "examples/pgsqlms-check@.service",
    ] {
        assert!(files.contains(&format!("usr/share/doc/pgsqlms/{file}")), "{file} is not in {files:?}");
    }
    for file in [
        "man/man7/ocf_rust_pgsqlms.7",
        "man/man8/pgsqlms.8",
        "man/man8/pgsqlms-why.8",
        "bash-completion/completions/pgsqlms",
        "zsh/vendor-completions/_pgsqlms",
        "fish/vendor_completions.d/pgsqlms.fish",
    ] {
        assert!(files.contains(&format!("usr/share/{file}")), "{file} is not in {files:?}");
    }
    // Twice does no harm.
    for what in ["install", "uninstall", "uninstall"] {
        make(&[what], root);
    }
    assert_eq!(files_in(root), Vec::<String>::new());
}

/// systemd before 255 switches a socket off for good after 200 connections within two seconds.
#[test]
fn no_client_can_switch_the_check_off_or_take_all_of_it() {
    for file in ["examples/pgsqlms-check.socket", "examples/pgsqlms-agent-check.socket"] {
        let unit = std::fs::read_to_string(repository(file)).unwrap();
        let value = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let number = |name: &str| value(name).and_then(|value| value.parse::<u32>().ok());
        assert_eq!(value("TriggerLimitIntervalSec"), Some("0"), "{file}");
        assert!(number("MaxConnectionsPerSource") < number("MaxConnections"), "{file}");
        assert!(number("MaxConnectionsPerSource").is_some(), "{file}");
    }
}

#[test]
fn installation_directories_can_be_chosen() {
    let directory = TempDir::new().unwrap();
    let places = ["OCFDIR", "SBINDIR", "DOCDIR", "MANDIR", "BASHDIR", "ZSHDIR", "FISHDIR"];
    let places = places.map(|place| format!("{place}=/opt/{}", place.trim_end_matches("DIR").to_lowercase()));
    let arguments: Vec<&str> = ["install"].into_iter().chain(places.iter().map(String::as_str)).collect();
    if make(&arguments, directory.path()) {
        let files = files_in(directory.path());
        assert!(files.contains(&"opt/ocf/resource.d/rust/pgsqlms".to_owned()), "{files:?}");
        // But for the DTD: its place is part of the meta-data.
        let elsewhere: Vec<_> = files.iter().filter(|file| !file.starts_with("opt/")).collect();
        assert_eq!(elsewhere, ["usr/share/pgsqlms/ra-api-1.1.dtd"]);
    }
}

/// There is one list of packages to install; the lab only reports missing ones.
#[test]
fn every_package_that_the_lab_needs_is_installed_for_it() {
    let script = std::fs::read_to_string(repository(".ci/packages")).unwrap();
    let list = script.lines().find_map(|line| line.trim().strip_prefix("lab) echo \"")).unwrap();
    let list: Vec<&str> = list.split_once('"').unwrap().0.split(' ').collect();
    for package in lab::host::packages() {
        assert!(list.contains(&package), "{package} is missing from .ci/packages");
    }
}
