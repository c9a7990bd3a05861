//! Which actions there are, and the one place that dispatches them.

use std::io;

use crate::accounts::Lookup;
use crate::actions::{demote, monitor, notify, promote, start, stop, validate};
use crate::agent::{Agent, Outcome};
use crate::failure::Failure;
use crate::metadata;
use crate::notification::{Around, Notification};

/// An action that needs a request, an instance and a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Bring the instance up as a standby.
    Start,
    /// End it.
    Stop,
    /// Report the state of the instance.
    Monitor,
    /// Make it the primary.
    Promote,
    /// Make it a standby.
    Demote,
    /// Play a part in others' actions.
    Notify,
    /// Take over changed parameters, which is to do nothing: each action reads them anew.
    Reload,
    /// Check the parameters.
    ValidateAll,
}

/// What the agent can be asked on its command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Something that is answered from the program itself.
    Printout(Printout),
    /// An action.
    Action(Action),
}

/// What the agent prints about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Printout {
    /// The OCF meta-data.
    MetaData,
    /// The names of the actions, one per line.
    Methods,
}

/// Every name, in the order in which `methods` prints them.
const NAMES: [(&str, Asked); 12] = [
    ("start", Asked::Action(Action::Start)),
    ("stop", Asked::Action(Action::Stop)),
    ("monitor", Asked::Action(Action::Monitor)),
    ("promote", Asked::Action(Action::Promote)),
    ("demote", Asked::Action(Action::Demote)),
    ("notify", Asked::Action(Action::Notify)),
    ("reload", Asked::Action(Action::Reload)),
    ("reload-agent", Asked::Action(Action::Reload)),
    ("validate-all", Asked::Action(Action::ValidateAll)),
    ("meta-data", Asked::Printout(Printout::MetaData)),
    ("methods", Asked::Printout(Printout::Methods)),
    ("status", Asked::Action(Action::Monitor)),
];

impl Asked {
    /// What is called `name`.
    ///
    /// # Errors
    ///
    /// [`Failure::NoSuchAction`].
    pub fn named(name: &str) -> Result<Self, Failure> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, asked)| *asked).ok_or_else(|| Failure::NoSuchAction(name.chars().take(80).collect()))
    }
}

impl Printout {
    /// Writes it to `out`.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written to.
    pub fn write(self, mut out: impl io::Write) -> io::Result<()> {
        match self {
            Printout::MetaData => metadata::write(out),
            Printout::Methods => NAMES.iter().try_for_each(|(name, _)| writeln!(out, "{name}")),
        }
    }
}

impl Action {
    /// How Pacemaker allows for it when it does not say, in seconds: the meta-data's advice.
    pub fn usual_timeout(self) -> u64 {
        match self {
            Action::Start | Action::Stop | Action::Notify => 60,
            Action::Promote => 30,
            Action::Demote => 120,
            Action::Monitor => 10,
            Action::Reload => 20,
            Action::ValidateAll => 5,
        }
    }

    /// Where the PostgreSQL user's account may be looked for.
    pub fn lookup(self) -> Lookup {
        match self {
            Action::Stop => Lookup::Files,
            Action::Start | Action::ValidateAll => Lookup::Anew,
            Action::Monitor | Action::Promote | Action::Demote | Action::Notify | Action::Reload => Lookup::Once,
        }
    }

    /// Why it is carried out for Pacemaker only: an action that changes something does so in the middle of
    /// a transition, whose other actions make it safe. Nothing where it changes nothing.
    pub fn refused_by_hand(self) -> Option<Failure> {
        let (action, instead) = match self {
            Action::Start => ("start", "use `pcs resource enable RESOURCE-clone` or `pcs node unstandby NODE`"),
            Action::Stop => ("stop", "use `pcs node standby NODE` or `pcs resource disable RESOURCE-clone`"),
            Action::Promote => ("promote", "use `pcs resource move RESOURCE-clone NODE --promoted`"),
            Action::Demote => ("demote", "use `pcs resource move RESOURCE-clone NODE --promoted`"),
            Action::Notify => ("notify", "only Pacemaker sends notifications"),
            Action::Monitor | Action::Reload | Action::ValidateAll => return None,
        };
        Some(Failure::ByHand { action, instead })
    }

    /// Whether nothing that it does may reach the CIB. Any change there makes Pacemaker stop the transition and compute another: a
    /// demotion or stop would keep others waiting in the middle of switching off, and the address that follows a promotion.
    pub fn is_quiet(self, notification: Option<&Notification>) -> bool {
        match self {
            Action::Demote | Action::Stop => true,
            Action::Notify => notification.is_none_or(|it| it.around != Around::Start),
            Action::Start | Action::Monitor | Action::Promote | Action::Reload | Action::ValidateAll => false,
        }
    }

    /// Carries it out.
    ///
    /// # Errors
    ///
    /// See the action's own module.
    pub fn run(self, agent: &mut Agent) -> Result<Outcome, Failure> {
        agent.is_quiet = self.is_quiet(agent.request.notification.as_ref());
        match self {
            Action::Start => start::run(agent),
            Action::Stop => stop::run(agent),
            Action::Monitor => monitor::run(agent),
            Action::Promote => promote::run(agent),
            Action::Demote => demote::run(agent),
            Action::Notify => notify::run(agent),
            Action::Reload => Ok(Outcome::SUCCESS),
            Action::ValidateAll => validate::run(agent),
        }
    }
}
