//! A lab's processes, mounts and files on the machine, found without asking the lab itself.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use lab::layout::Layout;

/// One line for each namespace, mount, control group, process and file of a lab.
pub fn of(layout: &Layout) -> Result<Vec<String>> {
    let mut traces = files(layout);
    traces.extend(namespaces(layout));
    traces.extend(mounts(layout)?);
    traces.extend(control_groups(layout));
    traces.extend(processes(layout)?);
    Ok(traces)
}

/// Fails when a lab has anything on the machine, apart from objects that contain one of these words.
pub fn none_but(layout: &Layout, accepted: &[String]) -> Result<()> {
    let mut left = of(layout)?;
    left.retain(|trace| !accepted.contains(trace));
    ensure!(left.is_empty(), "the lab has left behind: {}", left.join(", "));
    Ok(())
}

/// How the log folder shows up in [`of`].
pub fn logs(layout: &Layout) -> String {
    file(&layout.log_dir())
}

/// How the lock shows up in [`of`].
pub fn lock(layout: &Layout) -> String {
    file(&layout.lock())
}

fn file(path: &Path) -> String {
    format!("file {}", path.display())
}

fn files(layout: &Layout) -> Vec<String> {
    let mut paths = vec![layout.run_dir(), layout.lock(), layout.log_dir()];
    for place in ["/run/systemd/nspawn/propagate", "/run/systemd/nspawn/unix-export"] {
        paths.extend(
            names(place).iter().filter(|name| is_machine(layout, name)).map(|name| Path::new(place).join(name)),
        );
    }
    paths.iter().filter(|path| path.exists()).map(|path| file(path)).collect()
}

fn namespaces(layout: &Layout) -> Vec<String> {
    let mine = names("/run/netns").into_iter().filter(|name| name.starts_with(&layout.prefix()));
    mine.map(|name| format!("network namespace {name}")).collect()
}

fn mounts(layout: &Layout) -> Result<Vec<String>> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    Ok(points.filter(|point| Path::new(point).starts_with(layout.run_dir())).map(|p| format!("mount {p}")).collect())
}

fn control_groups(layout: &Layout) -> Vec<String> {
    let hierarchies = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];
    let groups = hierarchies.iter().map(|hierarchy| Path::new(hierarchy).join(layout.cgroup()));
    groups.filter(|group| group.exists()).map(|group| format!("control group {}", group.display())).collect()
}

/// Processes in the lab's control groups, and those whose command lines name the lab or its machines.
fn processes(layout: &Layout) -> Result<Vec<String>> {
    let me = std::process::id().to_string();
    let pids = names("/proc").into_iter().filter(|name| name.parse::<u32>().is_ok() && *name != me);
    let found = pids.filter_map(|pid| {
        let read = |file: &str| fs::read_to_string(Path::new("/proc").join(&pid).join(file)).unwrap_or_default();
        // A zombie that its parent has not reaped yet has no command line any more.
        let words = read("cmdline").replace('\0', " ");
        let inside = read("cgroup").split(['/', '\n']).any(|part| part == layout.cgroup());
        let named = words.split([' ', '=']).any(|word| word == layout.name() || is_machine(layout, word));
        (!words.is_empty() && (inside || named)).then(|| format!("process {pid} ({})", words.trim()))
    });
    Ok(found.collect())
}

fn is_machine(layout: &Layout, word: &str) -> bool {
    word.strip_prefix(layout.name()).is_some_and(|rest| rest.starts_with("-srv"))
}

fn names(dir: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
