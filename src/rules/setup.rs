//! Whether a node is set up as the agent needs it: the checks of start and `validate-all`, and of no other action.

use std::path::PathBuf;

use crate::exit::OcfExitCode;
use crate::parameters::{Follow, Slots};
use crate::rules::names::WrongName;

/// The oldest supported major version of PostgreSQL: older ones are put into recovery by a `recovery.conf`.
pub const OLDEST_POSTGRESQL: u32 = 12;

/// The oldest supported Pacemaker, 2.0.0, by the feature set that it passes.
const OLDEST_FEATURE_SET: (u32, u32, u32) = (3, 1, 0);

/// How Pacemaker runs the resource, as far as it has passed that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// `crm_feature_set`; only Pacemaker passes one.
    pub feature_set: Option<String>,
    /// `notify`: whether instances are notified of each other's actions.
    pub notify: Option<bool>,
    /// `promoted-max`: how many primaries there may be.
    pub promoted_max: Option<String>,
    /// `clone-max`: how many instances there may be.
    pub clone_max: Option<u32>,
}

/// What was found on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The major version in `PG_VERSION`.
    pub version: String,
    /// A file that was the place for recovery settings before PostgreSQL 12 and is ignored since.
    pub recovery_template: Option<PathBuf>,
    /// `wal_level` in pg_control is `minimal`.
    pub minimal_wal: bool,
}

/// Why a node or a resource is not set up as the agent needs it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Pacemaker is too old.
    #[error("Pacemaker is too old (feature set {0}): version 2.0 or later is required")]
    Pacemaker(String),
    /// Instances would not vote.
    #[error("the clone needs the meta attribute notify=true: `pcs resource meta CLONE notify=true`")]
    Notify,
    /// There could be two primaries.
    #[error("the clone needs the meta attribute promoted-max=1, not {0}: `pcs resource meta CLONE promoted-max=1`")]
    PromotedMax(String),
    /// PostgreSQL is too old.
    #[error("PostgreSQL {0} is not supported: version {OLDEST_POSTGRESQL} or later is required")]
    Postgres(String),
    /// PostgreSQL reads the settings in question only when it starts.
    #[error("{0} needs PostgreSQL 13 or later, not 12: leave that parameter unset")]
    PostgresFor(&'static str),
    /// Recovery settings where they have no effect.
    #[error("{} must not exist with PostgreSQL 12 or later: move its settings to postgresql.conf and remove it", .0.display())]
    RecoveryTemplate(PathBuf),
    /// There can be no standby.
    #[error("wal_level is minimal: set it to replica in postgresql.conf and restart PostgreSQL once")]
    WalLevel,
    /// Its primary would not know it as this node.
    #[error(transparent)]
    Name(#[from] WrongName),
}

impl Unfit {
    /// The exit code for Pacemaker. Never "not configured", which would stop the resource on every node.
    pub fn exit_code(&self) -> OcfExitCode {
        match self {
            Unfit::Pacemaker(_) | Unfit::Postgres(_) => OcfExitCode::NotInstalled,
            Unfit::Notify
            | Unfit::PromotedMax(_)
            | Unfit::PostgresFor(_)
            | Unfit::RecoveryTemplate(_)
            | Unfit::WalLevel
            | Unfit::Name(_) => OcfExitCode::BadArguments,
        }
    }
}

/// Whether the resource is run as the agent needs it. A value that was not passed counts as right: tools validate
/// resources that are not in a cluster yet.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn check_meta(meta: &Meta) -> Result<(), Unfit> {
    if let Some(feature_set) = &meta.feature_set {
        if version(feature_set).is_some_and(|found| found < OLDEST_FEATURE_SET) {
            return Err(Unfit::Pacemaker(feature_set.clone()));
        }
    }
    if meta.notify == Some(false) {
        return Err(Unfit::Notify);
    }
    match &meta.promoted_max {
        Some(most) if most != "1" => Err(Unfit::PromotedMax(most.clone())),
        _ => Ok(()),
    }
}

/// Whether the node has what the agent needs.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn check_node(node: &Node) -> Result<(), Unfit> {
    let major = node.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST_POSTGRESQL) {
        return Err(Unfit::Postgres(node.version.clone()));
    }
    if let Some(template) = &node.recovery_template {
        return Err(Unfit::RecoveryTemplate(template.clone()));
    }
    if node.minimal_wal { Err(Unfit::WalLevel) } else { Ok(()) }
}

/// Whether its PostgreSQL can be set to follow another node, and by which slot, while it runs, if that is wanted.
///
/// # Errors
///
/// When it would have to be restarted for it.
pub fn check_follow(node: &Node, follow: Follow, slots: Slots) -> Result<(), Unfit> {
    match (follow, slots) {
        _ if node.version != "12" => Ok(()),
        (Follow::Node, _) => Err(Unfit::PostgresFor("follow=node")),
        (_, Slots::On) => Err(Unfit::PostgresFor("slots=on")),
        (Follow::None, Slots::Auto | Slots::Off) => Ok(()),
    }
}

/// `3.19.0` as numbers: 3.9 is before 3.10.
fn version(text: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = text.split('.').map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next().unwrap_or(Some(0))?, numbers.next().unwrap_or(Some(0))?))
}

/// The major version in what `postgres --version` prints: `postgres (PostgreSQL) 17.2 (Debian 17.2-1)`.
pub fn major_of(printed: &str) -> Option<&str> {
    printed.split_once("(PostgreSQL) ")?.1.split(|c: char| !c.is_ascii_digit()).next().filter(|major| !major.is_empty())
}

/// What a person should know of systemd's `OOMPolicy` for Pacemaker, in whose control group the agent's actions run, and PostgreSQL
/// where it has no unit of its own: by default one process that the kernel kills ends all that Pacemaker runs on the node (systemd.service(5)).
pub fn oom_warning(policy: Option<&str>) -> Option<&'static str> {
    let warning =
        "pacemaker.service stops when a process of it is killed for its memory: set OOMPolicy=continue, as README says";
    policy.filter(|policy| matches!(*policy, "stop" | "kill")).map(|_| warning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn meta((feature_set, notify, most): (&str, Option<bool>, &str)) -> Result<(), Unfit> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        check_meta(&Meta { feature_set: text(feature_set), notify, promoted_max: text(most), clone_max: None })
    }

    table! { warned;
        a_backend_killed_would_stop_pacemaker: Some("stop") => true;
        it_would_be_killed_with_it: Some("kill") => true;
        it_goes_on: Some("continue") => false;
        systemd_does_not_run_it: None => false;
    }

    #[test]
    fn a_server_says_its_version() {
        assert_eq!(major_of("postgres (PostgreSQL) 17.2 (Debian 17.2-1)\n"), Some("17"));
        assert_eq!(major_of("postgres (PostgreSQL) 19devel\n"), Some("19"));
        assert_eq!((major_of("postgres (EDB) 17"), major_of("")), (None, None));
    }

    fn warned(policy: Option<&str>) -> bool {
        oom_warning(policy).is_some()
    }

    table! { meta;
        as_it_should_be: ("3.19.0", Some(true), "1") => Ok(());
        nothing_passed: ("", None, "") => Ok(());
        feature_sets_compare_as_numbers: ("3.10.0", Some(true), "1") => Ok(());
        oldest: ("3.1.0", Some(true), "1") => Ok(());
        too_old: ("3.0.14", Some(true), "1") => Err(Unfit::Pacemaker("3.0.14".into()));
        nonsense_is_not_old: ("later", Some(true), "1") => Ok(());
        no_notifications: ("3.19.0", Some(false), "1") => Err(Unfit::Notify);
        two_primaries: ("3.19.0", Some(true), "2") => Err(Unfit::PromotedMax("2".into()));
    }

    fn node((version, template, minimal_wal): (&str, Option<&str>, bool)) -> Result<(), Unfit> {
        check_node(&Node { version: version.into(), recovery_template: template.map(PathBuf::from), minimal_wal })
    }

    table! { node;
        fit: ("17", None, false) => Ok(());
        oldest_postgresql: ("12", None, false) => Ok(());
        postgresql_11: ("11", None, false) => Err(Unfit::Postgres("11".into()));
        postgresql_9_6: ("9.6", None, false) => Err(Unfit::Postgres("9.6".into()));
        a_recovery_template: ("15", Some("/d/recovery.conf.pcmk"), false)
            => Err(Unfit::RecoveryTemplate("/d/recovery.conf.pcmk".into()));
        minimal: ("15", None, true) => Err(Unfit::WalLevel);
    }

    fn following((version, follow, slots): (&str, Follow, Slots)) -> Result<(), Unfit> {
        check_follow(&Node { version: version.into(), recovery_template: None, minimal_wal: false }, follow, slots)
    }

    table! { following;
        by_name: ("13", Follow::Node, Slots::On) => Ok(());
        by_name_with_postgresql_12: ("12", Follow::Node, Slots::Auto) => Err(Unfit::PostgresFor("follow=node"));
        slots_with_postgresql_12: ("12", Follow::None, Slots::On) => Err(Unfit::PostgresFor("slots=on"));
        nothing_of_it_with_postgresql_12: ("12", Follow::None, Slots::Auto) => Ok(());
    }
}
