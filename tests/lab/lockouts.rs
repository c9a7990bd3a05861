//! What keeps sessions out of PostgreSQL, and surroundings that do not answer: on all nodes at once, until it is ended.

mod means;

use anyhow::{Context, Result, ensure};
use lab::{Lab, Node};

use means::{
    HOSTS, RESOLVER, SWITCH, configure, drop_trigger, end_configured, end_holders, hang_name_service, hangs, hba,
    lets_nobody_in, lock, lock_catalog, put_back, reload, rename_database, replace, take_all_connections, trigger,
    waits,
};

/// One of them.
pub struct Lockout {
    /// What it is.
    pub name: &'static str,
    /// What monitors say of it; nothing where they do not notice it.
    pub words: &'static [&'static str],
    begin: fn(&Lab) -> Result<()>,
    end: fn(&Lab) -> Result<()>,
    proof: fn(&Node) -> Result<()>,
}

impl Lockout {
    /// Begins it.
    pub fn begin(&self, lab: &Lab) -> Result<()> {
        (self.begin)(lab).context(self.name)
    }

    /// Fails where it is not in force on this node, for everybody but the agent.
    pub fn is_in_force(&self, node: &Node) -> Result<()> {
        (self.proof)(node).with_context(|| format!("{} on {}", self.name, node.name()))
    }

    /// Ends it, on nodes without power, too: another node may be the primary by now.
    pub fn end(&self, lab: &Lab) -> Result<()> {
        (self.end)(lab).with_context(|| format!("the end of: {}", self.name))
    }
}

const BY_LOCK: &[&str] = &["lock on a system catalog"];

pub const PG_CLASS: Lockout = Lockout {
    name: "a lock on pg_class",
    words: BY_LOCK,
    begin: |lab| lock_catalog(lab, "pg_class"),
    end: end_holders,
    proof: |node| lets_nobody_in(node, "postgres"),
};

pub const PG_AUTHID: Lockout = Lockout {
    name: "a lock on pg_authid",
    words: BY_LOCK,
    begin: |lab| lock_catalog(lab, "pg_authid"),
    end: end_holders,
    proof: |node| lets_nobody_in(node, "postgres"),
};

pub const PG_DATABASE: Lockout = Lockout {
    name: "a lock on pg_database",
    words: BY_LOCK,
    begin: |lab| lock_catalog(lab, "pg_database"),
    end: end_holders,
    proof: |node| lets_nobody_in(node, "postgres"),
};

pub const FULL: Lockout = Lockout {
    name: "connections are exhausted",
    words: &["too many clients"],
    begin: |lab| lab.nodes().iter().try_for_each(take_all_connections),
    end: end_holders,
    proof: |node| lets_nobody_in(node, "postgres"),
};

pub const SLOW_FORKS: Lockout = Lockout {
    name: "pre_auth_delay",
    words: &["did not let the agent in within"],
    begin: |lab| configure(lab, "pre_auth_delay = 3"),
    end: end_configured,
    proof: |node| lets_nobody_in(node, "postgres"),
};

pub const SLOW_LOGINS: Lockout = Lockout {
    name: "post_auth_delay",
    words: &["did not let the agent in within"],
    begin: |lab| configure(lab, "post_auth_delay = 5"),
    end: end_configured,
    proof: |node| lets_nobody_in(node, "postgres"),
};

pub const REJECTED: Lockout = Lockout {
    name: "pg_hba.conf rejects everything",
    words: &["refuses the agent's connection"],
    begin: |lab| {
        let reject = "local all,replication all reject\nhost all,replication all all reject\n";
        lab.nodes().iter().try_for_each(|node| replace(node, &hba(node), reject).and_then(|()| reload(node)))
    },
    end: |lab| lab.nodes().iter().try_for_each(|node| put_back(node, &hba(node)).and_then(|()| reload(node))),
    proof: |node| lets_nobody_in(node, "postgres"),
};

pub const SERIALIZABLE: Lockout = Lockout {
    name: "transactions are serializable by default",
    words: &[],
    begin: |lab| configure(lab, "default_transaction_isolation = serializable"),
    end: end_configured,
    proof: |node| {
        let level = node.psql_in("app", "SHOW default_transaction_isolation")?;
        ensure!(level == "serializable", "transactions are {level}");
        Ok(())
    },
};

pub const MISLAID: Lockout = Lockout {
    name: "there is no database `postgres`",
    words: &[],
    begin: |lab| rename_database(lab, "postgres", "mislaid"),
    end: |lab| rename_database(lab, "mislaid", "postgres"),
    proof: |node| lets_nobody_in(node, "postgres"),
};

pub const TRIGGER_FAILS: Lockout = Lockout {
    name: "a login trigger fails",
    words: &[],
    begin: |lab| trigger(lab, "postgres", "RAISE EXCEPTION 'nobody may log in'"),
    end: |lab| drop_trigger(lab, "postgres"),
    proof: |node| lets_nobody_in(node, "postgres"),
};

pub const TRIGGER_SLEEPS: Lockout = Lockout {
    name: "a login trigger sleeps",
    words: &[],
    begin: |lab| trigger(lab, "template1", "PERFORM pg_sleep(600)"),
    end: |lab| drop_trigger(lab, "template1"),
    proof: |node| lets_nobody_in(node, "template1"),
};

pub const HANGING_NAMES: Lockout = Lockout {
    name: "the name service hangs",
    words: &[],
    begin: hang_name_service,
    end: |lab| lab.nodes().iter().try_for_each(|node| put_back(node, SWITCH)),
    proof: |node| hangs(node, &["getent", "passwd", "somebody"]),
};

pub const DEAD_RESOLVER: Lockout = Lockout {
    name: "the resolver is dead",
    words: &[],
    begin: |lab| {
        lab.nodes().iter().try_for_each(|node| {
            replace(node, HOSTS, "127.0.0.1 localhost\n")?;
            // Nobody has this address.
            let [a, b, c, _] = node.address().octets();
            replace(node, RESOLVER, &format!("nameserver {a}.{b}.{c}.251\noptions timeout:5 attempts:5\n"))
        })
    },
    end: |lab| lab.nodes().iter().try_for_each(|node| [HOSTS, RESOLVER].iter().try_for_each(|it| put_back(node, it))),
    proof: |node| hangs(node, &["getent", "ahosts", "somewhere.example"]),
};

/// The clients' commits wait; sessions get in. All WAL is soon everywhere.
pub const WRITES: Lockout = Lockout {
    name: "a lock on what the clients write to",
    words: &[],
    begin: |lab| lock(lab.primary()?, "app", "lab_commits, lab_writable, lab_ackable"),
    end: end_holders,
    proof: |node| waits(node, "app", "DELETE FROM lab_commits WHERE false"),
};

/// Those that monitors tell.
pub const TOLD: [&Lockout; 7] = [&PG_CLASS, &PG_DATABASE, &PG_AUTHID, &SLOW_FORKS, &SLOW_LOGINS, &FULL, &REJECTED];

/// Those that the agent does not even notice.
pub const UNNOTICED: [&Lockout; 6] =
    [&SERIALIZABLE, &MISLAID, &TRIGGER_FAILS, &TRIGGER_SLEEPS, &DEAD_RESOLVER, &HANGING_NAMES];
