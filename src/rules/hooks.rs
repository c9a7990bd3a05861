//! Which programs of an operator are run after an event, and which must not be.

use std::fmt;

use crate::node::NodeName;
use crate::notification::{Around, Moment, Notification};
use crate::rules::status::Role;

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The instance has become the primary.
    Promoted,
    /// The instance was the primary and is a standby.
    Demoted,
    /// The instance runs.
    Started,
    /// The instance has left the cluster's history.
    Diverged,
}

/// The owner of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Root.
    Root,
    /// The user that runs the hooks.
    HookUser,
    /// Anybody else.
    Other,
}

/// What a name in a directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A link, or anything else.
    Other,
}

/// What is seen of a file or a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub owner: Owner,
    /// Its permissions.
    pub mode: u32,
}

/// Why a file is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// Its name is that of a hidden file, a copy or a note.
    Name,
    /// It is a link, a directory or something else.
    NoFile,
    /// It is not executable.
    NotExecutable,
    /// It belongs neither to root nor to the user that would run it.
    Owner,
    /// Others could have written it.
    Writable,
}

/// The event to run hooks for, when the action that `notification` is about is over for `me`.
///
/// The hooks for a demotion run only when the new primary is there, if there is to be one: until then clients wait.
pub fn event(notification: &Notification, me: &NodeName) -> Option<Event> {
    let transition = &notification.transition;
    match (notification.moment, notification.around) {
        (Moment::After, Around::Promote) if transition.promote.contains(me) => Some(Event::Promoted),
        (Moment::After, Around::Promote) if transition.demote.contains(me) => Some(Event::Demoted),
        (Moment::After, Around::Demote) if transition.demote.contains(me) && transition.promote.is_empty() => {
            Some(Event::Demoted)
        }
        (Moment::After, Around::Start) if transition.start.contains(me) => Some(Event::Started),
        _ => None,
    }
}

/// Whether the file called `name` is to be run.
///
/// # Errors
///
/// Why it is not.
pub fn may_run(name: &str, file: Seen) -> Result<(), Skip> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) && !name.is_empty();
    let script = |name: &str| [".sh", ".py", ".pl"].iter().any(|end| name.ends_with(end));
    let stem = name.rsplit_once('.').map_or("", |(stem, _)| stem);
    let named = plain || (script(name) && !stem.is_empty() && !stem.contains('.') && !stem.contains('~'));
    if !named {
        return Err(Skip::Name);
    }
    match file {
        Seen { kind: Kind::Directory | Kind::Other, .. } => Err(Skip::NoFile),
        Seen { owner: Owner::Other, .. } => Err(Skip::Owner),
        Seen { mode, .. } if mode & 0o022 != 0 => Err(Skip::Writable),
        Seen { mode, .. } if mode & 0o111 == 0 => Err(Skip::NotExecutable),
        _ => Ok(()),
    }
}

/// Whether a directory keeps its files from being exchanged by others.
///
/// # Errors
///
/// Why it does not.
pub fn may_hold(directory: Seen) -> Result<(), Skip> {
    const STICKY: u32 = 0o1000;
    match directory {
        Seen { kind: Kind::File | Kind::Other, .. } => Err(Skip::NoFile),
        Seen { owner: Owner::Other, .. } => Err(Skip::Owner),
        Seen { mode, .. } if mode & 0o022 != 0 && mode & STICKY == 0 => Err(Skip::Writable),
        _ => Ok(()),
    }
}

impl Skip {
    /// Whether a person has probably meant it to be run.
    pub fn is_a_mistake(self) -> bool {
        matches!(self, Skip::Owner | Skip::Writable | Skip::NoFile)
    }
}

impl Event {
    /// What the instance must be for it to be true.
    pub fn role(self) -> Role {
        match self {
            Event::Promoted => Role::Primary,
            Event::Demoted | Event::Started | Event::Diverged => Role::Standby,
        }
    }

    /// Its name: that of the directory, and the value of PGSQLMS_EVENT.
    pub fn as_str(self) -> &'static str {
        match self {
            Event::Promoted => "promoted",
            Event::Demoted => "demoted",
            Event::Started => "started",
            Event::Diverged => "diverged",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Skip::Name => "its name is not one of letters, digits, - and _ only, or of those and .sh, .py or .pl",
            Skip::NoFile => "it is a link or of another kind than expected",
            Skip::NotExecutable => "it is not executable",
            Skip::Owner => "it belongs neither to root nor to the user that runs hooks",
            Skip::Writable => "others may write to it: `chmod go-w` it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::Transition;
    use crate::rules::table;

    const ROOTS: Seen = Seen { kind: Kind::File, owner: Owner::Root, mode: 0o100_755 };

    fn runs((name, file): (&str, Seen)) -> Result<(), Skip> {
        may_run(name, file)
    }

    table! { runs;
        a_program_of_root: ("10-dns", ROOTS) => Ok(());
        a_script: ("10-dns.sh", ROOTS) => Ok(());
        the_hook_users_own: ("10-dns", Seen { owner: Owner::HookUser, mode: 0o700, ..ROOTS }) => Ok(());
        of_another_user: ("10-dns", Seen { owner: Owner::Other, ..ROOTS }) => Err(Skip::Owner);
        writable_by_the_group: ("10-dns", Seen { mode: 0o775, ..ROOTS }) => Err(Skip::Writable);
        writable_by_all: ("10-dns", Seen { mode: 0o757, ..ROOTS }) => Err(Skip::Writable);
        not_executable: ("10-dns", Seen { mode: 0o644, ..ROOTS }) => Err(Skip::NotExecutable);
        a_link: ("10-dns", Seen { kind: Kind::Other, mode: 0o777, ..ROOTS }) => Err(Skip::NoFile);
        a_directory: ("10-dns", Seen { kind: Kind::Directory, ..ROOTS }) => Err(Skip::NoFile);
        hidden: (".dns", ROOTS) => Err(Skip::Name);
        hidden_script: (".sh", ROOTS) => Err(Skip::Name);
        an_editors_copy: ("10-dns~", ROOTS) => Err(Skip::Name);
        a_packages_copy: ("10-dns.dpkg-old", ROOTS) => Err(Skip::Name);
        a_copy_of_a_script: ("10-dns.bak.sh", ROOTS) => Err(Skip::Name);
        a_note: ("README.md", ROOTS) => Err(Skip::Name);
    }

    fn holds(directory: Seen) -> Result<(), Skip> {
        may_hold(directory)
    }

    const DIRECTORY: Seen = Seen { kind: Kind::Directory, owner: Owner::Root, mode: 0o040_755 };

    table! { holds;
        a_directory_of_root: DIRECTORY => Ok(());
        a_directory_of_the_hook_user: Seen { owner: Owner::HookUser, ..DIRECTORY } => Ok(());
        a_directory_of_another_user: Seen { owner: Owner::Other, ..DIRECTORY } => Err(Skip::Owner);
        a_directory_for_a_group: Seen { mode: 0o775, ..DIRECTORY } => Err(Skip::Writable);
        tmp: Seen { mode: 0o041_777, ..DIRECTORY } => Ok(());
        no_directory: ROOTS => Err(Skip::NoFile);
    }

    /// Moment and action; the nodes that are promoted, demoted and started.
    fn heard((what, promote, demote, start): (&str, &str, &str, &str)) -> Option<Event> {
        let (moment, around) = match what {
            "pre-promote" => (Moment::Before, Around::Promote),
            "promoted" => (Moment::After, Around::Promote),
            "demoted" => (Moment::After, Around::Demote),
            "started" => (Moment::After, Around::Start),
            _ => (Moment::After, Around::Stop),
        };
        let nodes = |names: &str| names.split_whitespace().map(NodeName::new).collect();
        let (promote, demote, start) = (nodes(promote), nodes(demote), nodes(start));
        let transition = Transition { promote, demote, start, ..Transition::default() };
        event(&Notification { moment, around, transition }, &NodeName::new("srv1"))
    }

    table! { heard;
        promoted: ("promoted", "srv1", "", "") => Some(Event::Promoted);
        another_is_promoted: ("promoted", "srv2", "", "") => None;
        srv1_is_not_srv10: ("promoted", "srv10", "", "") => None;
        before_it_has_happened: ("pre-promote", "srv1", "", "") => None;
        demoted_without_a_new_primary: ("demoted", "", "srv1", "") => Some(Event::Demoted);
        demoted_while_clients_wait: ("demoted", "srv2", "srv1", "") => None;
        demoted_and_the_new_primary_is_there: ("promoted", "srv2", "srv1", "") => Some(Event::Demoted);
        demoted_and_promoted_again: ("promoted", "srv1", "srv1", "") => Some(Event::Promoted);
        started: ("started", "srv2", "", "srv1") => Some(Event::Started);
        another_is_started: ("started", "srv2", "", "srv3") => None;
        stopped: ("stopped", "", "srv1", "srv1") => None;
    }
}
