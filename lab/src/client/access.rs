//! The client's network namespace and database user.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use tokio::runtime::Builder;
use tokio_postgres::Config;
use tokio_postgres::config::TargetSessionAttrs;

use super::ClientError;

/// How to reach any of the servers.
#[derive(Clone)]
pub struct Access {
    /// The network namespace to connect from, as a file; `None` for the caller's own.
    pub namespace: Option<PathBuf>,
    /// The servers' port.
    pub port: u16,
    /// The role to connect as. It must be able to create tables.
    pub user: String,
    /// Its password.
    pub password: Option<String>,
    /// The database.
    pub dbname: String,
}

impl Access {
    /// Access as `user` to the database `postgres` on the usual port.
    pub fn new(user: impl Into<String>) -> Self {
        Self { namespace: None, port: 5432, user: user.into(), password: None, dbname: "postgres".to_owned() }
    }

    /// The same from another network namespace.
    #[must_use]
    pub fn namespace(self, path: impl Into<PathBuf>) -> Self {
        Self { namespace: Some(path.into()), ..self }
    }

    /// The same with a password.
    #[must_use]
    pub fn password(self, password: impl Into<String>) -> Self {
        Self { password: Some(password.into()), ..self }
    }

    /// The same to another database.
    #[must_use]
    pub fn database(self, dbname: impl Into<String>) -> Self {
        Self { dbname: dbname.into(), ..self }
    }

    /// The same on another port.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// How to connect to a host, or to whichever of several, separated by commas, accepts writes.
    pub(super) fn connection(&self, host: &str, limit: Duration) -> Config {
        let mut config = Config::new();
        let mut hosts = 0;
        for host in host.split(',') {
            config.host(host);
            hosts += 1;
        }
        if hosts > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        config
            .port(self.port)
            .user(&self.user)
            .dbname(&self.dbname)
            .application_name("lab-client")
            // They are tried one after the other, and one without power does not answer at all.
            .connect_timeout(limit / hosts)
            .tcp_user_timeout(limit * 2)
            .keepalives_idle(Duration::from_secs(1))
            .keepalives_interval(Duration::from_secs(1))
            .keepalives_retries(2);
        if let Some(password) = &self.password {
            config.password(password);
        }
        config
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, port, user, dbname, password: _ } = self;
        write!(f, "Access({user}@:{port}/{dbname} from {namespace:?})")
    }
}

/// A node by its own address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// Its name.
    pub name: String,
    /// Its own address, never the virtual IP.
    pub host: String,
}

impl NodeAddress {
    /// The node `name` at `host`.
    pub fn new(name: impl Into<String>, host: impl Into<String>) -> Self {
        Self { name: name.into(), host: host.into() }
    }
}

/// Runs `work` to its end on the calling thread, which enters the client's network for good: give it a thread of its
/// own.
pub(super) fn block_on<W: Future>(access: &Access, work: W) -> Result<W::Output, ClientError> {
    if let Some(path) = &access.namespace {
        enter(path).map_err(|source| ClientError::Namespace { path: path.clone(), source })?;
    }
    let runtime = Builder::new_current_thread().enable_all().build().map_err(ClientError::Thread)?;
    Ok(runtime.block_on(work))
}

/// Sockets belong to the namespace that the thread is in when it makes them; other threads stay where they are.
fn enter(path: &Path) -> std::io::Result<()> {
    let namespace = File::open(path)?;
    Ok(setns(namespace, CloneFlags::CLONE_NEWNET)?)
}
