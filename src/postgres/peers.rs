//! What the other nodes' instances say of themselves, over replication connections with this node's `primary_conninfo`: no daemon,
//! no ssh, no credentials of its own.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::conninfo::{Conninfo, Password};
use super::walsender::{self, Asking, Details, Identity};
use crate::node::NodeName;
use crate::privileges::SystemUser;
use crate::rules::follow::{Place, pointed};
use crate::rules::overview::{self, Answer};
use crate::rules::status::Role;

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

    /// What all of these say of themselves: they are asked at once, within `patience`.
    pub fn look(
        &self,
        places: &BTreeMap<NodeName, Place>,
        me: &NodeName,
        patience: Duration,
    ) -> BTreeMap<NodeName, Result<Answer, String>> {
        let conninfos: Vec<Conninfo> = places.values().map(|place| pointed(&self.base, place, me)).collect();
        let (account, home) = (self.user.name(), self.user.home());
        let asking = |conninfo| Asking { conninfo, password: self.password.as_ref(), account, home };
        let asking: Vec<Asking> = conninfos.iter().map(asking).collect();
        match self.user.act(|| walsender::look(&self.runtime, &asking, patience)) {
            Ok(said) => places.keys().cloned().zip(said.into_iter().map(answer)).collect(),
            Err(error) => places.keys().map(|node| (node.clone(), Err(error.to_string()))).collect(),
        }
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

fn answer((identity, details): (Result<Identity, String>, Details)) -> Result<Answer, String> {
    let Identity { timeline, lsn, in_recovery, .. } = identity?;
    let role = in_recovery.map(|in_recovery| if in_recovery { Role::Standby } else { Role::Primary });
    let details = details.map(|row| {
        let column = |number: usize| row.get(number).and_then(Option::as_deref);
        overview::Details {
            replayed: column(0).and_then(|lsn| lsn.parse().ok()),
            is_paused: column(1) == Some("t"),
            standbys: column(2).unwrap_or_default().lines().map(str::to_owned).collect(),
            pending: column(3).unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            limits: overview::limits(column(4).unwrap_or_default()),
        }
    });
    Ok(Answer { role, timeline: timeline.map(|timeline| timeline.0), lsn, details })
}
