//! PostgreSQL's programs, one of which is a script of the test's.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::Instance;

impl Instance {
    /// A directory with PostgreSQL's programs, with this script in the place of the program `name`; it finds that one in `$real`.
    pub(crate) fn programs_with(&self, name: &str, script: &str) -> PathBuf {
        let bindir = self.directory.path().join("bin");
        let _ = std::fs::remove_dir_all(&bindir);
        std::fs::create_dir(&bindir).unwrap();
        let all = std::fs::read_dir(&self.bindir).unwrap().flatten();
        for program in all.filter(|program| program.file_name() != name) {
            symlink(program.path(), bindir.join(program.file_name())).unwrap();
        }
        executable(&bindir.join(name), &format!("real={}/{name}\n{script}", self.bindir.display()));
        bindir
    }
}

/// Makes a shell script that every user may run.
pub(crate) fn executable(path: &Path, script: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::set_permissions(path.parent().unwrap(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
