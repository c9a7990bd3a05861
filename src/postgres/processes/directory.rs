//! A data directory as the kernel knows it, and the processes that work in it.

use std::cell::OnceCell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::process::{self, Kind, ServerProcess};
use super::rewind;
use crate::postgres::mounts;

/// The data directory as the kernel knows it.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    inode: Option<(u64, u64)>,
    /// Its owner: PostgreSQL refuses a directory that is not its user's.
    owner: Option<u32>,
    /// What the server may have been started with.
    names: [PathBuf; 2],
    /// The number in its `postmaster.pid`.
    hint: Option<i32>,
    /// The file system that it lies on; nothing where only its path is known.
    device: OnceCell<Option<Vec<u8>>>,
}

impl Directory {
    pub(super) fn of(datadir: &Path, pgdata: &Path, hint: Option<i32>) -> Self {
        let path = datadir.canonicalize().unwrap_or_else(|_| datadir.to_owned());
        let found = fs::metadata(&path).ok();
        Self {
            inode: found.as_ref().map(|found| (found.dev(), found.ino())),
            owner: found.map(|found| found.uid()),
            path,
            names: [datadir.to_owned(), pgdata.to_owned()],
            hint,
            device: OnceCell::new(),
        }
    }

    /// The one that a process works in, which is not mounted here any more: others that work there have the same path and inode.
    pub(super) fn moved_to(&self, process: &Path) -> Option<Self> {
        let path = fs::read_link(process.join("cwd")).ok()?;
        let found = fs::metadata(process.join("cwd")).ok();
        Some(Self {
            path,
            inode: found.as_ref().map(|found| (found.dev(), found.ino())),
            owner: found.map(|found| found.uid()),
            names: self.names.clone(),
            hint: self.hint,
            device: OnceCell::from(None),
        })
    }

    /// The process `pid`, if it is a living part of the instance.
    pub(super) fn process(&self, pid: i32) -> Option<ServerProcess> {
        let process = process::path(pid);
        let kind = self.kind(&process, pid)?;
        let is_ours = self.is_cwd_of(&process) || kind == Kind::Rewind && self.is_rewound_by(pid);
        if !process::shares_our_namespace(&process) || !is_ours {
            return None;
        }
        ServerProcess::living(pid, kind)
    }

    fn is_rewound_by(&self, pid: i32) -> bool {
        rewind::is_for(pid, &[&self.path, &self.names[0], &self.names[1]])
    }

    /// What a process is, if it may be one of PostgreSQL's: by its program's name, or, where that is another one (EDB's, or a
    /// wrapper's), by what it calls itself.
    fn kind(&self, process: &Path, pid: i32) -> Option<Kind> {
        let name = process::program(process).ok()?;
        if name == "postgres" {
            return Some(if process::is_single_user(process) { Kind::SingleUser } else { Kind::Server });
        }
        if name == "pg_rewind" {
            return Some(Kind::Rewind);
        }
        let works_here = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == self.path);
        if !works_here {
            return None;
        }
        let is_child = process::title(pid).is_some();
        let serves = || Some(pid) == self.hint || super::names(process, &[&self.names[0], &self.names[1]]);
        (is_child || process::is_called_postgres(process) && serves()).then_some(Kind::Server)
    }

    /// Whether a server works in it, in any PID namespace.
    pub(super) fn is_cwd_of_server(&self, pid: i32) -> bool {
        let process = process::path(pid);
        let is_server =
            process::program(&process).is_ok_and(|name| name == "postgres") || process::title(pid).is_some();
        is_server && self.is_cwd_of(&process)
    }

    /// Whether a process may be the instance's and the kernel does not let us see. Without CAP_SYS_PTRACE root is blind.
    pub(super) fn may_hide(&self, pid: i32) -> bool {
        let process = process::path(pid);
        let is_denied = process::program(&process).is_err_and(|why| why.kind() == std::io::ErrorKind::PermissionDenied);
        if !is_denied {
            return false;
        }
        let owner = fs::metadata(&process).map(|found| found.uid()).ok();
        let is_owners = match self.owner {
            Some(uid) => owner == Some(uid),
            None => nix::unistd::geteuid().is_root(),
        };
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        is_owners && (name.contains("postgres") || name.trim() == "pg_rewind" || Some(pid) == self.hint)
    }

    /// Whether a process works in it. A directory of the same path in another mount namespace is another one. A file system is
    /// asked only if it is our own: another one may hang.
    pub(super) fn is_cwd_of(&self, process: &Path) -> bool {
        let Ok(cwd) = fs::read_link(process.join("cwd")) else { return false };
        let sees_our_mounts = process::shares(process, "mnt");
        let has_our_path = sees_our_mounts && cwd == self.path;
        if !has_our_path && !self.shares_file_system(process, &cwd) {
            return false;
        }
        let inode = fs::metadata(process.join("cwd")).ok().map(|found| (found.dev(), found.ino()));
        match (self.inode, inode) {
            (Some(ours), Some(its)) => ours == its,
            _ => has_our_path,
        }
    }

    fn shares_file_system(&self, process: &Path, cwd: &Path) -> bool {
        let of = |process: &Path, path: &Path| mounts::device(&fs::read(process.join("mountinfo")).ok()?, path);
        let ours = self.device.get_or_init(|| of(Path::new("/proc/self"), &self.path));
        ours.is_some() && of(process, cwd) == *ours
    }
}
