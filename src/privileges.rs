//! Becoming the PostgreSQL user for everything that touches its files and programs.

use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, getegid, geteuid, getgroups, setgroups, setresgid, setresuid};

use crate::accounts::{self, Lookup};

/// The account that owns the data directory.
#[derive(Debug, Clone)]
pub struct SystemUser {
    name: String,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    home: PathBuf,
}

/// Why the agent cannot act as the PostgreSQL user.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PrivilegeError {
    /// No such account.
    #[error("system_user {0:?} does not exist on this node: create it or set the parameter system_user")]
    UnknownUser(String),
    /// The account is not a local one, and the name service does not know it.
    #[error(
        "the name service does not answer for system_user {0:?}, which is not in /etc/passwd: see /etc/nsswitch.conf"
    )]
    NoAnswer(String),
    /// The account database or the kernel refused.
    #[error("cannot act as user {user}: {source}")]
    Refused {
        /// The account.
        user: String,
        /// Why.
        source: nix::Error,
    },
}

impl SystemUser {
    /// Looks the account up.
    ///
    /// # Errors
    ///
    /// When there is no such account, or the account database does not answer.
    pub fn find(name: &str, lookup: Lookup) -> Result<Self, PrivilegeError> {
        let accounts::Account { uid, gid, groups, home } = accounts::find(name, lookup)?;
        let groups = groups.into_iter().map(Gid::from_raw).collect();
        Ok(Self { name: name.to_owned(), uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), groups, home })
    }

    /// The account's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The account's home directory, where libpq looks for its files.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The account's number.
    pub fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// Makes an open file, or directory, this user's own.
    ///
    /// # Errors
    ///
    /// When the caller may not.
    pub fn give(&self, file: &std::fs::File) -> std::io::Result<()> {
        std::os::unix::fs::fchown(file, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
    }

    /// Does `work` as this user, and is root again afterwards.
    ///
    /// Real and effective user and groups change, so a program started meanwhile keeps nothing of root: exec forgets the
    /// saved user. Does nothing special when the agent already runs as this user.
    ///
    /// # Errors
    ///
    /// When the agent is neither root nor this user.
    pub fn act<T>(&self, work: impl FnOnce() -> T) -> Result<T, PrivilegeError> {
        if geteuid() == self.uid {
            return Ok(work());
        }
        let refused = |source| PrivilegeError::Refused { user: self.name.clone(), source };
        let root = Root { groups: getgroups().map_err(refused)?, gid: getegid() };
        setgroups(&self.groups).map_err(refused)?;
        setresgid(self.gid, self.gid, root.gid).map_err(refused)?;
        setresuid(self.uid, self.uid, Uid::from_raw(0)).map_err(refused)?;
        Ok(work())
    }
}

/// Makes the agent root again when it goes out of scope, also when the work panicked.
struct Root {
    groups: Vec<Gid>,
    gid: Gid,
}

impl Drop for Root {
    fn drop(&mut self) {
        let root = Uid::from_raw(0);
        let back = setresuid(root, root, root)
            .and_then(|()| setresgid(self.gid, self.gid, self.gid))
            .and_then(|()| setgroups(&self.groups));
        if let Err(error) = back {
            // What follows then has fewer rights than it needs, and fails with a reason of its own.
            log::error!("cannot become root again: {error}");
        }
    }
}
