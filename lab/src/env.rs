//! The only place that reads the environment.

use std::ffi::OsString;
use std::path::PathBuf;

/// A variable's value, when it is set and not empty.
pub fn variable(name: &str) -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    let value = std::env::var_os(name);
    value.filter(|value| !value.is_empty())
}

/// Where distribution trees are kept.
pub fn cache_dir() -> PathBuf {
    if let Some(dir) = variable("PGSQLMS_LAB_CACHE") {
        return dir.into();
    }
    match variable("XDG_CACHE_HOME") {
        Some(dir) => PathBuf::from(dir).join("pgsqlms-lab"),
        None => PathBuf::from("/var/cache/pgsqlms-lab"),
    }
}

/// The folders that programs are looked for in: the caller's PATH, and always those of an administrator.
pub fn program_dirs() -> Vec<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    dirs.extend(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from));
    dirs
}
