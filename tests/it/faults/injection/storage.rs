//! Faults of an instance's file system.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::stage::Stage;
use crate::throwaway::Succeeds;

/// Fills the file system of a directory to the last byte, or but for so many kB: `data/pg_wal 200`.
pub(super) fn fill(stage: &mut Stage, rest: &str) {
    let (name, leave) = rest.split_once(' ').unwrap_or((rest, "0"));
    let path = stage.directory.path().join(name).join("ballast");
    let mut ballast = std::fs::File::create(&path).unwrap();
    let block = [1_u8; 4096];
    while ballast.write_all(&block).is_ok() {}
    let leave: u64 = leave.parse().unwrap();
    let length = ballast.metadata().unwrap().len();
    ballast.set_len(length.saturating_sub(leave << 10)).unwrap();
    let _ = ballast.sync_all();
    stage.undo.push(Box::new(move |_| drop(std::fs::remove_file(path))));
}

pub(super) fn use_up_inodes(stage: &mut Stage) {
    let directory = stage.data().join("many");
    std::fs::create_dir(&directory).unwrap();
    let mut numbers = 0..;
    while numbers.next().is_some_and(|number: u32| std::fs::write(directory.join(number.to_string()), "").is_ok()) {}
    stage.undo.push(Box::new(move |_| drop(std::fs::remove_dir_all(directory))));
}

pub(super) fn remount(path: &Path, options: &str) -> bool {
    Command::new("mount").args(["-o", options]).arg(path).stderr(Stdio::null()).status().unwrap().success()
}

pub(super) fn read_only(stage: &mut Stage) {
    let path = stage.data();
    assert!(remount(&path, "remount,ro"));
    stage.undo.push(Box::new(move |_| assert!(remount(&path, "remount,rw"))));
}

/// Damage as ext4 handles it by default on Debian: the file system refuses to write from now on.
pub(super) fn file_system_error(stage: &Stage) {
    let find = Command::new("findmnt").args(["--noheadings", "--output", "SOURCE"]).arg(stage.data()).output().unwrap();
    let device = String::from_utf8(find.stdout).unwrap();
    let device = device.trim().trim_start_matches("/dev/");
    std::fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "injected by a test").unwrap();
}

pub(super) fn unmount(stage: &mut Stage) {
    let path = stage.data();
    Command::new("umount").arg("--lazy").arg(&path).success();
    stage.mounts.retain(|mount| *mount != path);
}
