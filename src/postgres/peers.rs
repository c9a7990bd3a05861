//! What the other nodes' instances say of themselves, over replication connections with this node's `primary_conninfo`: no daemon,
//! no ssh, no credentials of its own.

use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::conninfo::{Conninfo, Password};
use super::walsender::{self, Asking, Identity};
use crate::node::NodeName;
use crate::privileges::SystemUser;
use crate::rules::follow::{Place, pointed};

/// How this node connects to the others.
pub struct Peers {
    runtime: Rc<Runtime>,
    user: SystemUser,
    base: Conninfo,
    password: Option<Password>,
}

impl Peers {
    /// With `conninfo` for all of them but for the host; as the PostgreSQL user.
    pub(super) fn new(runtime: Rc<Runtime>, user: SystemUser, conninfo: &Conninfo) -> Self {
        let (base, password) = conninfo.split();
        Self { runtime, user, base, password }
    }

    /// The identity of the instance there, within `patience`.
    ///
    /// # Errors
    ///
    /// The reason why the node does not answer.
    pub fn ask(&self, place: &Place, me: &NodeName, patience: Duration) -> Result<Identity, String> {
        let conninfo = pointed(&self.base, place, me);
        let (account, home) = (self.user.name(), self.user.home());
        let asking = Asking { conninfo: &conninfo, password: self.password.as_ref(), account, home };
        let ask = || walsender::identify(&self.runtime, &asking, patience);
        self.user.act(ask).unwrap_or_else(|error| Err(error.to_string()))
    }

    /// The names of the settings that wait for a restart there, within `patience`. It takes a right to connect to the database
    /// `postgres`.
    ///
    /// # Errors
    ///
    /// The reason why the node does not answer.
    pub fn pending(&self, place: &Place, me: &NodeName, patience: Duration) -> Result<Vec<String>, String> {
        let conninfo = pointed(&self.base, place, me);
        let (account, home) = (self.user.name(), self.user.home());
        let asking = Asking { conninfo: &conninfo, password: self.password.as_ref(), account, home };
        let ask = || walsender::pending(&self.runtime, &asking, patience);
        let names = self.user.act(ask).unwrap_or_else(|error| Err(error.to_string()))?;
        Ok(names.split_whitespace().map(str::to_owned).collect())
    }
}
