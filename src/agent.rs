//! One action of one resource on one node: its request, and the three seams to the outside.

use std::time::Duration;

use crate::clock::{Clock, Deadline};
use crate::exit::OcfExitCode;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::notification::{Notification, Transition};
use crate::pacemaker::cib::Cib;
use crate::pacemaker::{Attribute, Pacemaker, PacemakerError};
use crate::parameters::{BadParameter, Config};
use crate::postgres::Postgres;
use crate::rules::setup::Meta;
use crate::rules::status::Asked;

/// How soon a condition is looked at again while waiting for it: at first, and at the most. Some questions start a program.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));

/// What Pacemaker passed along with the action.
#[derive(Debug, Clone)]
pub struct Request {
    /// The name of this node.
    pub me: NodeName,
    /// The name of the resource, without a clone's instance number.
    pub instance: String,
    /// The parameters.
    pub config: Config,
    /// What was wrong with some of them.
    pub bad_parameters: Vec<BadParameter>,
    /// How the resource is run.
    pub meta: Meta,
    /// Probe or recurring.
    pub asked: Asked,
    /// Whether local checks are wanted of `validate-all`: OCF 1.1 forbids them at level 0.
    pub check_level: u32,
    /// The transition this action is part of.
    pub transition: Transition,
    /// What a `notify` is about.
    pub notification: Option<Notification>,
    /// When we must have answered.
    pub deadline: Deadline,
}

/// How an action ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code.
    pub code: OcfExitCode,
    /// What a person should know: the exit reason.
    pub reason: Option<String>,
}

impl Outcome {
    /// Done, and nothing more to say.
    pub const SUCCESS: Outcome = Outcome { code: OcfExitCode::Success, reason: None };
}

/// The agent, which carries out actions.
pub struct Agent<'a> {
    /// What it was asked.
    pub request: &'a Request,
    /// The local instance.
    pub postgres: &'a mut dyn Postgres,
    /// The cluster.
    pub pacemaker: &'a mut dyn Pacemaker,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Whether nothing that it does may reach the CIB: [`crate::action::Action::is_quiet`].
    pub is_quiet: bool,
}

impl Agent<'_> {
    /// The full name of one of the resource's attributes.
    pub fn attribute(&self, attribute: Attribute) -> String {
        attribute.of(&self.request.instance)
    }

    /// Sets one of the resource's attributes of `node`.
    ///
    /// # Errors
    ///
    /// When the cluster does not take it.
    pub fn set(&mut self, attribute: Attribute, node: &NodeName, value: &str) -> Result<(), PacemakerError> {
        let name = self.attribute(attribute);
        self.pacemaker.set_attribute(&name, node, value, attribute.reach())
    }

    /// Removes one of the resource's attributes of `node`; it need not be there.
    ///
    /// # Errors
    ///
    /// When the cluster does not take it.
    pub fn clear(&mut self, attribute: Attribute, node: &NodeName) -> Result<(), PacemakerError> {
        let name = self.attribute(attribute);
        self.pacemaker.delete_attribute(&name, node, attribute.reach())
    }

    /// Whether the agent is tried without Pacemaker on a resource that the cluster does not manage, as ocf-tester does: then the
    /// cluster is none of its business.
    pub fn is_tried(&self, cib: &Cib) -> bool {
        self.request.meta.feature_set.is_none() && !cib.manages(&self.request.instance)
    }

    /// Asks `question` again and again until it has an answer.
    ///
    /// # Errors
    ///
    /// Its own, or [`Failure::Deadline`] once `deadline` has passed.
    pub fn wait_for<T>(
        &mut self,
        awaited: &str,
        deadline: Deadline,
        mut question: impl FnMut(&mut Self) -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        let (mut pause, longest) = PAUSES;
        loop {
            if let Some(answer) = question(self)? {
                return Ok(answer);
            }
            if deadline.has_passed(self.clock) {
                return Err(Failure::Deadline { awaited: awaited.to_owned(), after: self.clock.now() });
            }
            self.clock.sleep(pause);
            pause = longest.min(pause.mul_f64(1.2));
        }
    }
}
