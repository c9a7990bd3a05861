//! Pacemaker's notification: the other instances before and after an action.

use std::collections::BTreeSet;

use crate::env::Environment;
use crate::node::NodeName;

/// Before or after the action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The action has not begun anywhere.
    Before,
    /// The action has ended everywhere.
    After,
}

/// The action that a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Around {
    /// Instances are started.
    Start,
    /// Instances are stopped.
    Stop,
    /// An instance is promoted.
    Promote,
    /// An instance is demoted.
    Demote,
}

/// The nodes that a transition concerns, as found in `OCF_RESKEY_CRM_meta_notify_*`.
///
/// Pacemaker passes them to the notifications and, with `notify=true`, to the start, stop, promote and demote actions
/// themselves (`lib/pengine/pe_notif.c`). The states are those before the transition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transition {
    /// Nodes on which an instance is active, in any role.
    pub active: BTreeSet<NodeName>,
    /// Nodes whose instance is promoted.
    pub promoted: BTreeSet<NodeName>,
    /// Nodes whose instance is active but not promoted.
    pub unpromoted: BTreeSet<NodeName>,
    /// Nodes on which an instance will be started.
    pub start: BTreeSet<NodeName>,
    /// Nodes on which the instance will be stopped.
    pub stop: BTreeSet<NodeName>,
    /// Nodes whose instance will be promoted.
    pub promote: BTreeSet<NodeName>,
    /// Nodes whose instance will be demoted.
    pub demote: BTreeSet<NodeName>,
}

impl Transition {
    /// The transition that an action belongs to; empty lists when Pacemaker passed nothing.
    pub fn read(environment: &Environment) -> Self {
        let nodes = |names: &[&str]| -> BTreeSet<NodeName> {
            let names: Vec<String> =
                names.iter().map(|name| format!("OCF_RESKEY_CRM_meta_notify_{name}_uname")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let list = environment.text_of_any(&names).unwrap_or_default();
            list.split_whitespace().map(NodeName::new).collect()
        };
        let (promoted, unpromoted) = (nodes(&["promoted", "master"]), nodes(&["unpromoted", "slave"]));
        Self {
            // Pacemaker leaves promotable instances out of "active": there they are in the two role lists.
            active: nodes(&["active"]).into_iter().chain(promoted.clone()).chain(unpromoted.clone()).collect(),
            promoted,
            unpromoted,
            start: nodes(&["start"]),
            stop: nodes(&["stop"]),
            promote: nodes(&["promote"]),
            demote: nodes(&["demote"]),
        }
    }

    /// The nodes whose instance runs when the promotion begins: those that can vote. One that is restarted does again.
    pub fn voters(&self) -> BTreeSet<NodeName> {
        self.active.difference(&self.stop).chain(&self.start).cloned().collect()
    }

    /// Whether a primary runs, and goes on.
    pub fn has_primary(&self) -> bool {
        self.promoted.difference(&self.demote).next().is_some()
    }

    /// Whether a primary runs now or is about to.
    pub fn has_or_gets_primary(&self) -> bool {
        !self.promote.is_empty() || self.has_primary()
    }
}

/// One call of the `notify` action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// When.
    pub moment: Moment,
    /// Around what.
    pub around: Around,
    /// The nodes that it concerns.
    pub transition: Transition,
}

impl Notification {
    /// The notification this action was called for; nothing when it is of a kind that this agent does not know.
    pub fn read(environment: &Environment) -> Option<Self> {
        let moment = match environment.text("OCF_RESKEY_CRM_meta_notify_type")? {
            "pre" => Moment::Before,
            "post" => Moment::After,
            _ => return None,
        };
        let around = match environment.text("OCF_RESKEY_CRM_meta_notify_operation")? {
            "start" => Around::Start,
            "stop" => Around::Stop,
            "promote" => Around::Promote,
            "demote" => Around::Demote,
            _ => return None,
        };
        Some(Self { moment, around, transition: Transition::read(environment) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| (format!("OCF_RESKEY_CRM_meta_notify_{name}"), value.to_string())).collect()
    }

    fn nodes(names: &str) -> BTreeSet<NodeName> {
        names.split_whitespace().map(NodeName::new).collect()
    }

    #[test]
    fn both_families_of_names_are_read() {
        for (promoted, unpromoted) in [("promoted", "unpromoted"), ("master", "slave")] {
            let environment = environment(&[
                ("type", "pre"),
                ("operation", "promote"),
                (&format!("{promoted}_uname"), " "),
                (&format!("{unpromoted}_uname"), "srv2 srv3"),
                ("promote_uname", "srv2"),
            ]);
            let notification = Notification::read(&environment).unwrap();
            assert_eq!((notification.moment, notification.around), (Moment::Before, Around::Promote));
            assert_eq!(notification.transition.promoted, nodes(""));
            assert_eq!(notification.transition.voters(), nodes("srv2 srv3"));
            assert!(notification.transition.has_or_gets_primary());
        }
    }

    #[test]
    fn those_who_start_vote_and_those_who_stop_do_not() {
        let transition = Transition::read(&environment(&[
            ("promoted_uname", "srv1"),
            ("unpromoted_uname", "srv2"),
            ("stop_uname", "srv1"),
            ("demote_uname", "srv1"),
            ("start_uname", "srv3"),
        ]));
        assert_eq!(transition.voters(), nodes("srv2 srv3"));
        assert!(!transition.has_or_gets_primary());
    }

    #[test]
    fn those_who_are_restarted_vote() {
        let lists = [("unpromoted_uname", "srv1 srv2"), ("stop_uname", "srv1"), ("start_uname", "srv1")];
        assert_eq!(Transition::read(&environment(&lists)).voters(), nodes("srv1 srv2"));
    }

    #[test]
    fn an_unknown_kind_is_no_notification() {
        assert_eq!(Notification::read(&environment(&[("type", "pre"), ("operation", "migrate")])), None);
        assert_eq!(Notification::read(&Environment::default()), None);
    }
}
