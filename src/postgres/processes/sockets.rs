//! Where a server listens, as the kernel knows it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The first Unix socket that a postmaster listens at.
pub fn socket(pid: i32) -> Option<PathBuf> {
    let descriptors = std::fs::read_dir(super::process::path(pid).join("fd")).ok()?;
    let targets = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.ok()?.path()).ok());
    let inodes: BTreeSet<String> = targets.filter_map(|target| inode(&target)).collect();
    listening(&std::fs::read_to_string("/proc/net/unix").ok()?, &inodes)
}

/// `socket:[12345]`
fn inode(target: &Path) -> Option<String> {
    Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
}

/// The first of PostgreSQL's sockets in a text like `/proc/net/unix` that has one of these inodes (proc(5)).
fn listening(sockets: &str, inodes: &BTreeSet<String>) -> Option<PathBuf> {
    let path = |line: &str| {
        let (head, path) = line.split_at(line.find('/')?);
        let is_ours = head.split_whitespace().nth(6).is_some_and(|inode| inodes.contains(inode));
        (is_ours && path.contains("/.s.PGSQL.")).then(|| PathBuf::from(path))
    };
    sockets.lines().find_map(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_found_by_its_number() {
        let sockets = "Num RefCount Protocol Flags Type St Inode Path\n\
            0000: 00000002 00000000 00010000 0001 01 77 /run/x\n0000: 00000002 00000000 00010000 0001 01 78\n\
            0000: 00000002 00000000 00010000 0001 01 79 /run/my postgresql/.s.PGSQL.5433\n";
        let found = |inode: &str| listening(sockets, &[inode.to_owned()].into());
        assert_eq!(found("79"), Some("/run/my postgresql/.s.PGSQL.5433".into()));
        assert_eq!((found("77"), found("78"), found("7")), (None, None, None));
        assert_eq!(inode(Path::new("socket:[79]")).as_deref(), Some("79"));
        assert_eq!(inode(Path::new("/dev/null")), None);
    }
}
