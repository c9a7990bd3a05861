//! Why an action failed: the exit code and the reason.

use std::fmt;
use std::time::Duration;

use crate::exit::OcfExitCode;
use crate::node::NodeName;
use crate::pacemaker::PacemakerError;
use crate::parameters::BadParameter;
use crate::postgres::PostgresError;
use crate::postgres::conninfo::BadConninfo;
use crate::privileges::PrivilegeError;
use crate::record::BadRecord;
use crate::rules::forget;
use crate::rules::promotion::{self, Refusal};
use crate::rules::setup::Unfit;
use crate::rules::status::Status;
use crate::rules::synchronous::BadSetting;
use crate::vote::Vote;

/// Why an action failed. Its text is the exit reason: what is wrong, where, and what helps.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The caller asked for an unknown action.
    #[error("{0:?} is not an action of this agent")]
    NoSuchAction(String),
    /// The caller is not Pacemaker, nor a tool that knows which resource it is about.
    #[error("{action} without OCF_RESOURCE_INSTANCE is refused: {instead}")]
    ByHand {
        /// The action.
        action: &'static str,
        /// What helps.
        instead: &'static str,
    },
    /// No node is called so.
    #[error("{0} is not a node of this cluster: `crm_node --list` shows them")]
    NoSuchNode(NodeName),
    /// No primitive resource is called so.
    #[error("the cluster has no PostgreSQL resource {name}; those of this agent are: {}", listed(.known))]
    NoSuchResource {
        /// What it was called.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The resources of this agent are none or several.
    #[error("say which resource by --resource; those of this agent are: {}", listed(.0))]
    WhichResource(Vec<String>),
    /// A parameter's value cannot be used.
    #[error(transparent)]
    Parameter(#[from] BadParameter),
    /// This node is not set up as the agent needs it.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The instance is in a state that the action does not touch.
    #[error("cannot {action}: {status}")]
    Unexpected {
        /// The action.
        action: &'static str,
        /// What the instance is doing.
        status: Status,
    },
    /// The server ended while it was starting.
    #[error("PostgreSQL did not start: {0}")]
    Died(String),
    /// The server ended instead of becoming the primary.
    #[error("PostgreSQL ended while it was being promoted: {0}")]
    DiedInPromotion(String),
    /// The server ended while it was starting, because it has left the cluster's history.
    #[error("{advice} (PostgreSQL: {words})")]
    Strayed {
        /// What helps.
        advice: String,
        /// What the server said.
        words: String,
    },
    /// What an operator has asked for did not come about.
    #[error("not brought back: {0}")]
    NotRejoined(String),
    /// What an operator has asked for did not come about.
    #[error("not rebuilt: {0}")]
    NotRebuilt(String),
    /// What an operator has asked for is refused.
    #[error("not ordered: {refused}{}{account}", if account.is_empty() { "" } else { "\n" })]
    NotOrdered {
        /// Why.
        refused: promotion::Refused,
        /// The account of the loss, which the operator has asked for.
        account: String,
    },
    /// The data directory has another database than the cluster.
    #[error("{0}")]
    OtherDatabase(String),
    /// What an operator has asked for is refused.
    #[error("not forgotten: {0}")]
    NotForgotten(forget::Refusal),
    /// It was rewound before, and not to the end.
    #[error("{0}")]
    HalfRewound(String),
    /// It is being rewound, and something went wrong: the next start goes on.
    #[error("half rewound, `pcs resource cleanup` goes on with it: {0}")]
    Rewind(String),
    /// The action's time was over.
    #[error("after {:.0} s still waiting for {awaited}", after.as_secs_f64())]
    Deadline {
        /// What for.
        awaited: String,
        /// Since the action began.
        after: Duration,
    },
    /// Another node should be promoted.
    #[error("{0}")]
    BetterCandidate(Better),
    /// A primary ran here, on the timeline of another node.
    #[error("{advice}: it was started as a primary on the timeline of {primary}, outside an election")]
    Namesake {
        /// What helps.
        advice: String,
        /// The node whose timeline it is.
        primary: NodeName,
    },
    /// A person has asked for a promotion beside a primary.
    #[error("not promoted: {0} is the primary, or may be: use `pcs resource move` to switch over")]
    AnotherPrimary(NodeName),
    /// A person has asked for a promotion where there is no quorum.
    #[error(
        "not promoted: this partition has no quorum, and another one may have a primary; `pcs quorum status` shows it"
    )]
    NoQuorum,
    /// An operator has asked for a promotion, and this node has not voted.
    #[error(
        "not promoted: {0} has not reported the end of its WAL; let Pacemaker promote: `pcs resource enable`, `cleanup`"
    )]
    NoVote(NodeName),
    /// It is unknown how much WAL the other nodes hold.
    #[error("not promoted: the votes of the other nodes cannot be read; see the log of pacemaker-attrd")]
    NoVotesRead,
    /// No node is to be promoted.
    #[error("not promoted: {0}")]
    NotPromotable(Box<Refusal>),
    /// The cluster's record of promotions makes no sense.
    #[error("{0}: remove the cluster property pgsqlms-RESOURCE-promotions if you know which node was promoted last")]
    Record(#[from] BadRecord),
    /// PostgreSQL's setting for synchronous replication makes no sense to us.
    #[error("synchronous_standby_names: {0}")]
    Setting(#[from] BadSetting),
    /// PostgreSQL's `primary_conninfo` cannot be parsed.
    #[error("primary_conninfo: {0}")]
    Conninfo(#[from] BadConninfo),
    /// PostgreSQL did not do what it was asked.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The cluster did not do what it was asked.
    #[error(transparent)]
    Pacemaker(#[from] PacemakerError),
    /// The operating system refused what waiting needs.
    #[error("cannot begin: {0}")]
    NoRuntime(#[source] std::io::Error),
    /// The PostgreSQL user cannot be used.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
}

/// Names, one after the other.
fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl Failure {
    /// The exit code for Pacemaker. Everything that may pass by itself is a generic error.
    pub fn exit_code(&self) -> OcfExitCode {
        match self {
            Failure::NoSuchAction(_) => OcfExitCode::Unimplemented,
            Failure::Parameter(_) | Failure::ByHand { .. } => OcfExitCode::BadArguments,
            Failure::Unfit(unfit) => unfit.exit_code(),
            Failure::Privileges(PrivilegeError::UnknownUser(_))
            | Failure::Postgres(
                PostgresError::NoPrograms { .. } | PostgresError::Privileges(PrivilegeError::UnknownUser(_)),
            ) => OcfExitCode::NotInstalled,
            Failure::Privileges(PrivilegeError::Refused { .. })
            | Failure::Postgres(PostgresError::Privileges(PrivilegeError::Refused { .. })) => OcfExitCode::NoPermission,
            Failure::Unexpected { .. }
            | Failure::Died(_)
            | Failure::DiedInPromotion(_)
            | Failure::Strayed { .. }
            | Failure::HalfRewound(_)
            | Failure::Rewind(_)
            | Failure::NoSuchNode(_)
            | Failure::NoSuchResource { .. }
            | Failure::WhichResource(_)
            | Failure::NotForgotten(_)
            | Failure::NotOrdered { .. }
            | Failure::OtherDatabase(_)
            | Failure::NotRejoined(_)
            | Failure::NotRebuilt(_)
            | Failure::Deadline { .. }
            | Failure::BetterCandidate(_)
            | Failure::NotPromotable(_)
            | Failure::NoVotesRead
            | Failure::AnotherPrimary(_)
            | Failure::Namesake { .. }
            | Failure::NoVote(_)
            | Failure::NoQuorum
            | Failure::Record(_)
            | Failure::Setting(_)
            | Failure::Conninfo(_)
            | Failure::Postgres(_)
            | Failure::Privileges(PrivilegeError::NoAnswer(_))
            | Failure::NoRuntime(_)
            | Failure::Pacemaker(_) => OcfExitCode::GenericError,
        }
    }
}

/// A node that should be promoted instead of this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Better {
    /// The node.
    pub node: NodeName,
    /// What it holds, if it is known.
    pub theirs: Option<Box<Vote>>,
    /// What this node holds.
    pub ours: Box<Vote>,
}

impl fmt::Display for Better {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Better { node, theirs, ours } = self;
        let reach = |vote: &Vote| format!("{} on timeline {}", vote.lsn(), vote.timeline());
        let theirs = theirs.as_ref().map_or("an unknown position".to_owned(), |vote| reach(vote));
        write!(f, "{node} is the best candidate: its WAL reaches {theirs}, ours {}", reach(ours))
    }
}
