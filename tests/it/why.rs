//! `pgsqlms why`: its explanation in each state, against files; and the command on saved clusters.

use std::os::unix::process::CommandExt;
use std::path::Path;

use pgsqlms::location::Lsn;
use pgsqlms::node::NodeName;
use pgsqlms::rules::bars::Bar;
use pgsqlms::rules::overview::{Level, Local, Member};
use pgsqlms::rules::promotion;
use pgsqlms::rules::status::{Role, Status};
use pgsqlms::rules::synchronous::Published;
use pgsqlms::rules::why::{Blocked, Facts, Gone, Plan, Votes, explain, report};
use tempfile::TempDir;

use crate::run::{AGENT, Test, is_root, repository, skip};
use crate::status::{compare, from_standby, healthy, member, server, stopped};

/// The other facts of a command that sees this of the cluster.
fn seen(seen: pgsqlms::rules::overview::Facts) -> Facts {
    let election = promotion::Facts {
        members: ["srv1", "srv2", "srv3"].map(NodeName::new).into(),
        record: "8@0/4079818 srv1 1795806000 kept known=0/6000000@1795806100".parse().unwrap(),
        published: Some("srv1: ANY 1 (srv2, srv3)".parse().unwrap()),
        ..promotion::Facts::default()
    };
    let quorum = Ok(Votes { total: 3, needed: 2, two_nodes: false, one_each: true });
    let (plan, token) = (Ok(Plan::default()), Some(1000));
    Facts { seen, file: None, gone: None, election: Ok(election), no_votes: None, plan, quorum, token }
}

/// A cluster whose primary is off, seen from srv3.
fn without_primary() -> Facts {
    let mut facts = from_standby();
    stopped(&mut facts, "srv1");
    member(&mut facts, "srv1").is_online = false;
    facts.local = Ok(Local {
        status: Status::Running { role: Role::Standby, trouble: None },
        report: Ok(facts.report().unwrap().clone()),
    });
    let mut facts = seen(facts);
    for node in ["srv2", "srv3"] {
        vote(&mut facts, node, "8#100663656 history=7@0/4079818,8");
    }
    facts
}

fn vote(facts: &mut Facts, node: &str, vote: &str) {
    election(facts).count_vote(&NodeName::new(node), vote.parse().unwrap());
}

fn election(facts: &mut Facts) -> &mut promotion::Facts {
    facts.election.as_mut().unwrap()
}

fn cluster(facts: &mut Facts) -> &mut pgsqlms::rules::overview::Cluster {
    facts.seen.cluster.as_mut().unwrap()
}

fn of<'a>(facts: &'a mut Facts, node: &str) -> &'a mut Member {
    member(&mut facts.seen, node)
}

macro_rules! explanations {
    ($($name:ident: $level:ident, $facts:expr, $node:expr, $change:expr;)+) => {
        $(
            #[test]
            fn $name() {
                let mut facts = $facts;
                let change: fn(&mut Facts) = $change;
                change(&mut facts);
                let node: Option<&str> = $node;
                let answer = explain(&facts, node.map(NodeName::new).as_ref());
                let text = report(&facts, &answer) + "\n";
                compare(&repository("tests/it/why").join(concat!(stringify!($name), ".txt")), &text);
                assert_eq!(answer.level, Level::$level, "{text}");
            }
        )+
    };
}

explanations! {
    all_is_well: Ok, seen(healthy()), None, |_| {};
    all_is_well_from_a_standby: Ok, seen(from_standby()), None, |_| {};
    replication_is_asynchronous: Ok, seen(healthy()), None, |facts| {
        election(facts).published = Some(Published::default());
        server(&mut facts.seen).peers.iter_mut().for_each(|peer| peer.flushed = Some(Lsn(0x600_0000)));
        cluster(facts).has_fencing = false;
    };
    a_standby_is_stopped: Warning, seen(healthy()), None, |facts| stopped(&mut facts.seen, "srv3");
    maintenance_mode_is_on: Warning, seen(healthy()), None, |facts| {
        cluster(facts).in_maintenance = true;
        cluster(facts).last_change = Some("Fri Nov 27 19:30:44 2026 by root with cibadmin on srv1".to_owned());
    };
    a_node_that_is_the_primary: Ok, seen(healthy()), Some("srv1"), |_| {};
    a_node_that_is_banned: Warning, seen(healthy()), Some("srv2"), |facts| {
        cluster(facts).bans.push(("cli-ban-pgsqld-clone-on-srv2".to_owned(), NodeName::new("srv2")));
    };
    a_node_that_is_unknown: Unknown, seen(healthy()), Some("srv9"), |_| {};
    there_is_no_quorum: Critical, without_primary(), None, |facts| {
        cluster(facts).has_quorum = false;
        stopped(&mut facts.seen, "srv2");
        of(facts, "srv2").is_online = false;
    };
    a_node_must_be_fenced: Critical, without_primary(), None, |facts| {
        of(facts, "srv1").is_unclean = true;
        cluster(facts).fencing.push((NodeName::new("srv1"), "reboot: failed (No such device)".to_owned()));
    };
    the_start_failed_on_all_nodes: Critical, without_primary(), None, |facts| {
        for node in ["srv2", "srv3"] {
            let failed = of(facts, node);
            (failed.is_given_up, failed.role) = (true, None);
            failed.reason = Some("PostgreSQL did not start: could not bind IPv4 address \"0.0.0.0\": Address already in use".to_owned());
        }
    };
    the_address_blocks_it: Critical, without_primary(), None, |facts| {
        let (action, resource, node) = ("stop".to_owned(), "pgsql-vip".to_owned(), "srv2".to_owned());
        let constraints = vec!["order-pgsqld-clone-pgsql-vip-Mandatory".to_owned()];
        let blocked = Blocked { action, resource, node, reason: "node availability".to_owned(), constraints };
        facts.plan = Ok(Plan { promotes: Vec::new(), blocked: vec![blocked] });
    };
    each_node_is_barred: Critical, without_primary(), None, |facts| {
        election(facts).barred.insert(NodeName::new("srv2"), Bar::NoFailover);
        of(facts, "srv3").score = Some("-1000000".to_owned());
        of(facts, "srv3").reason =
            Some("run `pgsqlms rejoin --resource pgsqld` here: diverged from timeline 8 (srv1) at 0/6000000".to_owned());
    };
    a_promise_stands_against_it: Critical, without_primary(), None, |facts| {
        stopped(&mut facts.seen, "srv2");
        of(facts, "srv2").in_standby = true;
        election(facts).votes.remove(&NodeName::new("srv2"));
    };
    no_node_has_voted: Critical, without_primary(), None, |facts| {
        election(facts).votes.values_mut().for_each(|vote| *vote = None);
    };
    a_promotion_is_about_to_begin: Critical, without_primary(), None, |facts| {
        facts.plan.as_mut().unwrap().promotes.push(NodeName::new("srv2"));
    };
    in_a_file: Critical, without_primary(), None, |facts| {
        facts.file = Some("/tmp/pe-input-20.bz2".to_owned());
        facts.no_votes = Some("a file does not hold them".to_owned());
        of(facts, "srv3").reason =
            Some("no primary: start srv1, or srv2, or run pgsqlms promote-anyway: commits may be on them alone".to_owned());
        stopped(&mut facts.seen, "srv2");
    };
    pacemaker_does_not_run: Critical, seen(healthy()), None, |facts| {
        facts.gone = Some(Gone::NotRunning);
        facts.seen.cluster = Err("cibadmin failed".to_owned());
    };
    as_the_postgresql_user: Unknown, seen(healthy()), None, |facts| {
        facts.seen.cluster = Err("needs root, or membership in the group haclient; or Pacemaker does not run".to_owned());
    };
}

/// Three nodes, of which srv1 is off, and Pacemaker keeps srv2 from being promoted.
const CIB: &str = r##"<cib validate-with="pacemaker-3.7" admin_epoch="0" epoch="12" num_updates="3" have-quorum="1" dc-uuid="3"
  crm_feature_set="3.16.1" cib-last-written="Fri Nov 27 19:30:44 2026" update-origin="srv1" update-client="cibadmin" update-user="root">
  <configuration><crm_config><cluster_property_set id="options"><nvpair id="f" name="stonith-enabled" value="true"/>
  <nvpair id="m" name="maintenance-mode" value="MAINTENANCE"/></cluster_property_set><cluster_property_set id="pgsqlms">
  <nvpair id="p1" name="pgsqlms-pgsqld-promotions" value="1@0/100 srv1 1795806000 kept"/>
  <nvpair id="p2" name="pgsqlms-pgsqld-synchronous" value="srv1: ANY 1 (srv2, srv3)"/></cluster_property_set></crm_config>
  <nodes><node id="1" uname="srv1"/><node id="2" uname="srv2"/><node id="3" uname="srv3"/></nodes><resources>
  <primitive id="fence" class="stonith" type="fence_virsh"/><clone id="pgsqld-clone">
  <primitive id="pgsqld" class="ocf" provider="rust" type="pgsqlms"/><meta_attributes id="meta">
  <nvpair id="m1" name="promotable" value="true"/><nvpair id="m2" name="notify" value="true"/></meta_attributes></clone></resources>
  <constraints><rsc_location id="cli-ban-2" rsc="pgsqld-clone" role="Promoted" node="srv2" score="-INFINITY"/>BAN</constraints>
  </configuration><status><node_state id="1" uname="srv1" in_ccm="false" crmd="offline" join="down" expected="down"/>
  <node_state id="2" uname="srv2" in_ccm="true" crmd="online" join="member" expected="member"><lrm id="2"><lrm_resources>
  <lrm_resource id="pgsqld" type="pgsqlms" class="ocf" provider="rust">RAN</lrm_resource></lrm_resources></lrm></node_state>
  <node_state id="3" uname="srv3" in_ccm="true" crmd="online" join="member" expected="member"><transient_attributes id="3">
  <instance_attributes id="status-3"><nvpair id="s3" name="master-pgsqld" value="1000"/></instance_attributes></transient_attributes>
  <lrm id="3"><lrm_resources><lrm_resource id="pgsqld" type="pgsqlms" class="ocf" provider="rust">RAN</lrm_resource></lrm_resources></lrm>
  </node_state></status></cib>"##;

/// A start that has succeeded.
const RAN: &str = r#"<lrm_rsc_op id="pgsqld_last_0" operation_key="pgsqld_start_0" operation="start" crm_feature_set="3.16.1"
  transition-key="3:1:0:00000000-0000-0000-0000-000000000000" transition-magic="0:0;3:1:0:00000000-0000-0000-0000-000000000000"
  call-id="3" rc-code="0" op-status="0" interval="0" last-rc-change="1795806000" exec-time="10" queue-time="0"/>"#;

/// The explanation of a saved CIB, whose file must not change.
fn of_file(maintenance: &str, ban: &str) -> Option<(i32, String)> {
    if !["crm_mon", "crm_simulate", "cibadmin"].iter().all(|tool| Path::new("/usr/sbin").join(tool).exists()) {
        skip("there are no tools of Pacemaker");
        return None;
    }
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("cib.xml");
    let cib = CIB.replace("RAN", RAN).replace("MAINTENANCE", maintenance).replace("BAN", ban);
    std::fs::write(&file, &cib).unwrap();
    let ended = Test::new(["why", "--cib"]).argument(&file).without("OCF_RESOURCE_INSTANCE").run();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), cib);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "a file more than before");
    Some((ended.code, ended.stdout))
}

#[test]
fn a_saved_cluster_is_explained() {
    let ban = r#"<rsc_location id="mine" rsc="pgsqld-clone" role="Promoted" node="srv3" score="-INFINITY"/>"#;
    let tried = [
        ("false", "", "(cause 13 of 13)", "Pacemaker is about to promote srv3"),
        ("true", "", "(cause 4 of 13)", "pcs property set maintenance-mode=false"),
        ("false", ban, "(cause 5 of 13)", "pcs constraint remove mine"),
    ];
    for (maintenance, ban, cause, words) in tried {
        let Some((code, text)) = of_file(maintenance, ban) else { return };
        assert!(code == 2 && text.contains(cause) && text.contains(words), "{code} {text}");
        assert!(text.contains("cib.xml does not hold them"), "{text}");
    }
}

#[test]
fn a_missing_cluster_is_not_explained() {
    let ended = Test::new(["why", "--cib", "/nowhere/cib.xml"]).without("OCF_RESOURCE_INSTANCE").run();
    assert!(ended.code == 3 && ended.stdout.contains("UNKNOWN"), "{ended:?}");
}

/// Only root can find out that Pacemaker does not run.
#[test]
fn why_without_a_cluster_names_the_obstacle() {
    let ended = Test::new(["why"]).without("OCF_RESOURCE_INSTANCE").run();
    let (code, words) = if is_root() { (2, "(cause 1 of 13)") } else { (3, "the cluster cannot be seen: needs root") };
    assert!(ended.code == code && ended.stdout.contains(words), "{ended:?}");
    if !is_root() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let agent = directory.path().join("pgsqlms");
    std::fs::copy(AGENT, &agent).unwrap();
    for path in [directory.path(), agent.as_path()] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut unprivileged = std::process::Command::new(&agent);
    let ended = unprivileged.arg("why").env_clear().uid(65534).gid(65534).current_dir("/").output().unwrap();
    let text = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.code() == Some(3) && text.contains("the cluster cannot be seen: needs root"), "{text}");
}

#[test]
fn why_prints_one_json_object() {
    let ended = Test::new(["why", "--json"]).without("OCF_RESOURCE_INSTANCE").run();
    assert!(ended.stdout.starts_with('{') && ended.stdout.contains(r#""version":1"#), "{ended:?}");
}
