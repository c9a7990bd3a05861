//! The lab keeps its own promises. Needs root, a built agent and a minute: `cargo test -p lab --test up -- --ignored`.

use std::path::Path;
use std::time::Duration;

use lab::command::Command;
use lab::{Cut, Lab, disk, eventually, throughout};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs root and a minute"]
fn a_lab_fences_cuts_heals_and_leaves_nothing() {
    let lab = Lab::builder().name("self-test").up().unwrap();
    let layout = lab.layout().clone();

    // Nodes are separate machines that run commands.
    assert_eq!(lab.node("srv2").run(&["uname", "-n"]).unwrap(), "srv2\n");
    assert_eq!(lab.node("srv2").exec(&["sh", "-c", "exit 7"]).unwrap().code, 7);
    let slow = lab.node("srv2").exec_within(Duration::from_millis(200), &["sleep", "1000"]);
    assert!(format!("{:#}", slow.unwrap_err()).contains("did not end within 0.2 s"));
    assert!(!lab.node("srv2").exec(&["pgrep", "-f", "sleep 1000"]).unwrap().success(), "what timed out must be gone");
    assert_eq!(lab.psql("srv1", "SELECT pg_is_in_recovery()").unwrap(), "f");

    // The virtual address is reached from outside of the nodes.
    let vip = lab.vip().to_string();
    let ping = ["ip", "netns", "exec", &lab.client_namespace(), "ping", "-c", "1", "-W", "1", &vip];
    Command::new(ping).run().unwrap();

    // A cut is a cut, in both directions, until it is healed.
    let reaches = |from: &str, to: &str| lab.node(from).exec(&["ping", "-c", "1", "-W", "1", to]).unwrap().success();
    lab.cut(&Cut::Postgres("srv1".into(), "srv3".into())).unwrap();
    assert!(reaches("srv1", "srv3"));
    lab.heal().unwrap();
    lab.cut(&Cut::OneWay("srv2".into(), "srv3".into())).unwrap();
    assert!(!reaches("srv2", "srv3") && reaches("srv2", "srv1"));
    lab.heal().unwrap();
    assert!(reaches("srv2", "srv3"));

    // A node that goes silent is fenced by the cluster, and comes back by itself.
    assert!(lab.fencings().unwrap().is_empty());
    let primary_stays = || {
        anyhow::ensure!(lab.primary()?.name() == "srv1", "srv1 is not the primary any more");
        Ok(())
    };
    throughout(primary_stays, || {
        lab.node("srv3").freeze()?;
        eventually(LIMIT, "srv3 to be fenced", || {
            let fencings = lab.fencings()?;
            anyhow::ensure!(fencings.iter().any(|fencing| fencing.node == "srv3" && fencing.was_on), "{fencings:?}");
            Ok(())
        })?;
        lab.wait_for(LIMIT, "srv3 to be back", |cluster| cluster.online().len() == 3)
    })
    .unwrap();

    // A pulled plug stays pulled: the cluster makes sure, and cannot switch the node on. A disk that stands still is no obstacle.
    let stands_still = lab.node("srv2").path("/data");
    let freeze = Command::new([Path::new("fsfreeze"), Path::new("--freeze"), &stands_still]);
    lab.node("srv2").run(&["sh", "-c", "mkdir /data && echo kept >/data/file"]).unwrap();
    disk::give_own(lab.node("srv2"), "/data").unwrap();
    freeze.run().unwrap();
    lab.node("srv2").run(&["systemd-run", "--quiet", "sh", "-c", "echo more >>/data/file"]).unwrap();
    lab.node("srv2").power_off().unwrap();
    lab.wait_for(LIMIT, "srv2 to be lost", |cluster| cluster.online() == ["srv1", "srv3"]).unwrap();
    assert!(!lab.node("srv2").is_on());
    lab.node("srv2").power_on().unwrap();
    lab.wait_for(LIMIT, "srv2 to be back", |cluster| cluster.online().len() == 3).unwrap();
    assert!(lab.node("srv2").run(&["cat", "/data/file"]).unwrap().starts_with("kept\n"));

    // Nor is it when the lab is removed.
    freeze.run().unwrap();
    drop(lab);
    assert!(!layout.run_dir().exists());
    assert!(!layout.log_dir().exists());
    assert!(!std::fs::read_to_string("/proc/self/mounts").unwrap().contains("pgsqlms-lab/self-test/"));
    assert!(!Command::new(["ip", "netns", "list"]).run().unwrap().contains(&layout.prefix()));
    assert!(!Path::new("/sys/fs/cgroup").join(layout.cgroup()).exists());
}
