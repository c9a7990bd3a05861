//! What runs this node: systemd's units, accounts, and files beside PostgreSQL's.

use super::Severity::{Failure, Warning};
use super::{Check, Facts, Found, Machine, found, found_if, on_machine};
use crate::parameters::{Follow, Slots};
use crate::rules::setup::{self, Unfit};

pub(super) const CHECKS: [Check; 7] = [
    on_machine(
        "oom-policy",
        Warning,
        "One process killed for its memory ends all that Pacemaker runs on the node.",
        oom_policy,
    ),
    on_machine(
        "unit-enabled",
        Failure,
        "systemd starts PostgreSQL when the machine boots, beside Pacemaker.",
        unit_enabled,
    ),
    on_machine("other-manager", Failure, "Another manager of PostgreSQL runs on the node.", other_manager),
    on_machine(
        "remove-ipc",
        Warning,
        "systemd removes PostgreSQL's shared memory when a login of its account ends.",
        remove_ipc,
    ),
    on_machine(
        "socket-directory",
        Warning,
        "The directory of the socket is gone after a restart of the machine.",
        socket_directory,
    ),
    on_machine(
        "bad-parameter",
        Failure,
        "A parameter of the resource has a value that the agent does not take.",
        bad_parameter,
    ),
    on_machine("start-refuses", Failure, "The agent refuses to start PostgreSQL here.", start_refuses),
];

/// The first number of an account that is not a system account, for systemd.
const FIRST_PERSON: u32 = 1000;

/// Other programs that start, stop and promote PostgreSQL.
const MANAGERS: [&str; 4] = ["patroni", "repmgrd", "pgautofailover", "stolon-keeper"];

fn oom_policy(_: &Facts, it: &Machine) -> Vec<Found> {
    let describe = |_| {
        found(
            "pacemaker.service stops when one of its processes is killed for its memory",
            "systemctl edit pacemaker.service",
            "add `[Service]` and `OOMPolicy=continue`; restarts nothing",
        )
    };
    setup::oom_warning(it.oom_policy.as_deref()).map(describe).into_iter().collect()
}

fn unit_enabled(_: &Facts, it: &Machine) -> Vec<Found> {
    let is_server = |unit: &&String| {
        let name = unit.trim_end_matches(".service");
        name == "postgresql" || name.starts_with("postgresql@") || name.starts_with("postgresql-")
    };
    let describe = |unit: &String| {
        found(
            format!("{unit} is enabled: systemd starts PostgreSQL at boot, and a former primary then accepts writes"),
            format!("systemctl disable {unit}"),
            "stops nothing: Pacemaker alone starts PostgreSQL",
        )
    };
    it.enabled.iter().filter(is_server).map(describe).collect()
}

fn other_manager(_: &Facts, it: &Machine) -> Vec<Found> {
    let is_manager = |unit: &&String| MANAGERS.iter().any(|name| unit.starts_with(name));
    let mut units: Vec<&String> = it.enabled.iter().chain(&it.active).filter(is_manager).collect();
    units.sort();
    units.dedup();
    let describe = |unit: &String| {
        found(
            format!("{unit} runs here, or is enabled: it starts, stops and promotes PostgreSQL, too"),
            format!("systemctl disable --now {unit}"),
            "in maintenance mode: it may stop PostgreSQL",
        )
    };
    units.into_iter().map(describe).collect()
}

fn remove_ipc(_: &Facts, it: &Machine) -> Vec<Found> {
    found_if(it.removes_ipc && it.uid >= FIRST_PERSON, || {
        found(
            "RemoveIPC is on and the account of PostgreSQL is not a system account: its shared memory ends with a login",
            "echo 'RemoveIPC=no' >>/etc/systemd/logind.conf",
            "then `systemctl restart systemd-logind`",
        )
    })
}

/// A directory as systemd calls it.
fn plain(path: &str) -> String {
    let path = path.trim().trim_end_matches('/');
    path.strip_prefix("/var/run/").map_or_else(|| path.to_owned(), |rest| format!("/run/{rest}"))
}

fn socket_directory(facts: &Facts, it: &Machine) -> Vec<Found> {
    let Ok(server) = &facts.server else { return Vec::new() };
    let directories = server.setting("unix_socket_directories").split(',').map(plain);
    let made: Vec<String> = it.tmpfiles.iter().map(|path| plain(path)).collect();
    let gone = directories.filter(|path| path.starts_with("/run/") && !made.contains(path));
    let describe = |path: String| {
        found(
            format!("nothing makes {path} when the machine starts: PostgreSQL does not start without it"),
            format!("echo 'd {path} 2775 postgres postgres -' >/etc/tmpfiles.d/pgsqlms.conf"),
            "then `systemd-tmpfiles --create`",
        )
    };
    gone.map(describe).collect()
}

fn bad_parameter(facts: &Facts, it: &Machine) -> Vec<Found> {
    let resource = &facts.seen.resource;
    let describe = |bad: &String| {
        found(
            bad.clone(),
            format!("pcs resource update {resource} NAME=VALUE"),
            "see `pcs resource describe ocf:rust:pgsqlms`",
        )
    };
    it.bad_parameters.iter().map(describe).collect()
}

/// What start would refuse, by its own rules.
fn start_refuses(facts: &Facts, it: &Machine) -> Vec<Found> {
    let Some(node) = &it.node else { return Vec::new() };
    let parameter = |name: &str| facts.configuration.as_ref().ok().and_then(|it| it.parameter(name));
    let follow = if parameter("follow") == Some("node") { Follow::Node } else { Follow::None };
    let slots = if parameter("slots") == Some("on") { Slots::On } else { Slots::Auto };
    let refused = setup::check_node(node).and_then(|()| setup::check_follow(node, follow, slots));
    let describe = |unfit: Unfit| {
        let command = match &unfit {
            Unfit::RecoveryTemplate(path) => format!("rm {}", path.display()),
            Unfit::WalLevel => "ALTER SYSTEM SET wal_level = 'replica'".to_owned(),
            Unfit::PostgresFor(parameter) => {
                let name = parameter.split('=').next().unwrap_or_default();
                format!("pcs resource update {} {name}=", facts.seen.resource)
            }
            _ => "pg_upgrade".to_owned(),
        };
        found(unfit.to_string(), command, "start refuses until then")
    };
    refused.err().map(describe).into_iter().collect()
}
