//! What runs this node, as systemd and its files say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::accounts::Lookup;
use crate::boolean::is_no;
use crate::command::Invocation;
use crate::env::Environment;
use crate::pacemaker::Pacemaker;
use crate::parameters::Config;
use crate::postgres::Postgres;
use crate::privileges::SystemUser;
use crate::rules::doctor::Machine;

use super::super::sight::Sight;

/// Where systemd keeps its configuration, what counts most last.
const PLACES: [&str; 3] = ["/usr/lib", "/run", "/etc"];

/// All that is seen of it.
pub(super) fn look(sight: &Sight, environment: &Environment, resource: &str) -> Result<Machine, String> {
    let (config, bad_parameters) = Config::read(environment);
    let user = SystemUser::find(&config.system_user, Lookup::Once).map_err(|error| error.to_string())?;
    let active = units(sight, &["list-units", "--state=active"])?;
    let removes_ipc = active.iter().any(|unit| unit == "systemd-logind.service") && removes_ipc(Path::new("/"));
    Ok(Machine {
        enabled: units(sight, &["list-unit-files", "--state=enabled,enabled-runtime"])?,
        active,
        oom_policy: sight.tools().oom_policy(),
        removes_ipc,
        uid: user.uid(),
        tmpfiles: made_at_boot(Path::new("/")),
        node: sight.ask(environment, resource, |instance| instance.setup().ok()).ok().flatten(),
        bad_parameters: bad_parameters.iter().map(ToString::to_string).collect(),
    })
}

/// The services that systemd lists; none where it does not run.
fn units(sight: &Sight, words: &[&str]) -> Result<Vec<String>, String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Ok(Vec::new());
    }
    let list = Invocation::new("systemctl").arg("--no-legend").arg("--no-pager").arg("--plain").arg("--type=service");
    let printed = sight.printed(&words.iter().fold(list, |list, word| list.arg(*word)));
    let printed = printed.ok_or("systemctl did not answer")?;
    Ok(printed.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// The files of this directory in all places. One that counts more stands for another of its name.
fn drop_ins(root: &Path, directory: &str, end: &str) -> Vec<PathBuf> {
    let mut files = BTreeMap::new();
    for place in PLACES {
        let directory = root.join(place.trim_start_matches('/')).join(directory);
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        files.extend(entries.map(|entry| (entry.file_name(), entry.path())));
    }
    files.into_values().filter(|path| path.extension().is_some_and(|it| it == end)).collect()
}

/// Whether systemd removes the shared memory of users who have logged out, which it does by default.
fn removes_ipc(root: &Path) -> bool {
    let main = root.join("etc/systemd/logind.conf");
    let files = [main].into_iter().chain(drop_ins(root, "systemd/logind.conf.d", "conf"));
    let values = files.filter_map(|path| std::fs::read_to_string(path).ok()).flat_map(|text| {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("RemoveIPC")?.trim().strip_prefix('='));
        lines.map(|value| value.trim().to_owned()).collect::<Vec<_>>()
    });
    !values.last().is_some_and(|value| is_no(&value))
}

/// The directories that systemd makes when the machine starts.
fn made_at_boot(root: &Path) -> BTreeSet<String> {
    let texts = drop_ins(root, "tmpfiles.d", "conf").into_iter().filter_map(|path| std::fs::read_to_string(path).ok());
    let directory = |line: &str| {
        let mut words = line.split_whitespace();
        let kind = words.next()?;
        let path = words.next()?.trim_matches('"');
        kind.starts_with(['d', 'D']).then(|| path.to_owned())
    };
    texts.flat_map(|text| text.lines().filter_map(directory).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// Files and what they say → whether shared memory is removed.
    fn removed(files: &[(&str, &str)]) -> bool {
        let root = tempfile::TempDir::new().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        removes_ipc(root.path())
    }

    const MAIN: &str = "etc/systemd/logind.conf";
    const OWN: &str = "etc/systemd/logind.conf.d/pgsqlms.conf";

    table! { removed;
        by_default: &[] => true;
        a_comment: &[(MAIN, "[Login]\n#RemoveIPC=no\n")] => true;
        switched_off: &[(MAIN, "[Login]\nRemoveIPC=no\n")] => false;
        switched_off_beside: &[(OWN, "[Login]\nRemoveIPC = no\n")] => false;
        switched_on_beside: &[(MAIN, "RemoveIPC=no"), (OWN, "RemoveIPC=yes\n")] => true;
        what_is_in_etc_counts: &[("usr/lib/systemd/logind.conf.d/pgsqlms.conf", "RemoveIPC=yes"), (OWN, "RemoveIPC=no")] => false;
        another_kind_of_file: &[("etc/systemd/logind.conf.d/x.bak", "RemoveIPC=no")] => true;
    }

    #[test]
    fn what_systemd_makes_is_read() {
        let root = tempfile::TempDir::new().unwrap();
        let directory = root.path().join("usr/lib/tmpfiles.d");
        std::fs::create_dir_all(&directory).unwrap();
        let text =
            "# d /run/comment\nd /run/postgresql 2775 postgres postgres -\nf /run/file - - - -\nD! \"/run/other\"\n";
        std::fs::write(directory.join("postgresql.conf"), text).unwrap();
        let made: Vec<String> = made_at_boot(root.path()).into_iter().collect();
        assert_eq!(made, ["/run/other", "/run/postgresql"]);
    }
}
