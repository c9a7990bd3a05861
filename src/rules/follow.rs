//! The node that a standby follows where no address moves with the primary (`follow=node`).

use std::collections::BTreeMap;

use crate::node::NodeName;
use crate::notification::Transition;
use crate::parameters::Slots;
use crate::postgres::conninfo::Conninfo;
use crate::postgres::managed::{Managed, Setting};
use crate::record::Record;
use crate::rules::slots;
use crate::score::Score;

/// Where a node's instance is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A host name or an address.
    pub host: String,
    /// The port, if it is not the one that `primary_conninfo` names anyway.
    pub port: Option<u16>,
}

/// `base` with its host switched to `place`; the port if need be; and our name, by which the primary knows us. All its other
/// settings are kept.
pub fn pointed(base: &Conninfo, place: &Place, me: &NodeName) -> Conninfo {
    let mut conninfo = base.clone();
    let port = place.port.map(|port| port.to_string()).or_else(|| port_of(base, &place.host));
    conninfo.set("host", place.host.as_str());
    // It would win over the host.
    conninfo.remove("hostaddr");
    match port {
        Some(port) => conninfo.set("port", port),
        None => conninfo.remove("port"),
    }
    conninfo.set("application_name", me.as_str());
    conninfo
}

/// The port that `base` names, for `host` if it lists several.
fn port_of(base: &Conninfo, host: &str) -> Option<String> {
    let ports: Vec<&str> = base.get("port")?.split(',').collect();
    let at = base.get("host").and_then(|hosts| hosts.split(',').position(|listed| listed == host)).unwrap_or(0);
    let port = ports.get(at).or(ports.first()).copied().unwrap_or_default();
    (!port.is_empty()).then(|| port.to_owned())
}

/// The primary that this transition leaves, or the last one on record if it says of itself that it still is. After a
/// power cut of all nodes no node does, and no node is followed: see [`localized`].
pub fn primary(transition: &Transition, record: &Record, scores: &BTreeMap<NodeName, Score>) -> Option<NodeName> {
    let stays = || transition.promoted.difference(&transition.demote).next();
    let planned = transition.promote.first().or_else(stays);
    let recorded = || record.last().map(|last| &last.node).filter(|node| scores.get(node) == Some(&Score::PRIMARY));
    planned.or_else(recorded).cloned()
}

/// Whether a standby looks up the node that it should follow: its connection may be missing, or lead where the primary was a
/// moment ago, or the setting may not be in force.
pub fn is_due(streams: bool, just_connected: bool, in_force: &str, written: Option<&str>) -> bool {
    !streams || just_connected || written != Some(in_force)
}

/// Which of the processes of a standby, by their titles, may be waiting until it tries again to reach its primary: the startup process,
/// where there is no WAL receiver. PostgreSQL tries every 5 s by default, and commits that wait for a standby wait for that.
pub fn waits_to_connect(titles: &[String]) -> Option<usize> {
    // `cluster_name` comes first, if there is one.
    let is =
        |title: &str, process: &str| title.rsplit(": ").next().and_then(|own| own.split(' ').next()) == Some(process);
    let receives = titles.iter().any(|title| is(title, "walreceiver"));
    titles.iter().position(|title| is(title, "startup")).filter(|_| !receives)
}

/// The node that an instance is to follow when it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leader {
    /// There is no primary.
    None,
    /// There is one, and its address is unknown.
    Somewhere,
    /// There is one here.
    At(Place),
}

/// Our file as it should be on this node before a start, whichever node it was copied from. Nothing of it stays if no node is
/// to be followed by name.
///
/// Where there is no primary, no node is followed until there is one. A standby that streams from another standby has no
/// reason to look for a candidate, and two that stream from each other would wait for a primary for ever.
pub fn localized(managed: &Managed, me: &NodeName, follows: bool, leader: &Leader) -> Managed {
    let ours = managed.get(Setting::PrimaryConninfo).filter(|ours| follows && !ours.is_empty());
    let ours = ours.and_then(|text| text.parse::<Conninfo>().ok());
    let wanted = match leader {
        Leader::None => follows.then(String::new),
        Leader::At(place) => ours.map(|ours| pointed(&ours, place, me).text()),
        Leader::Somewhere => ours.map(|mut ours| {
            ours.set("application_name", me.as_str());
            ours.text()
        }),
    };
    managed.clone().with(Setting::PrimaryConninfo, wanted)
}

/// The primary that runs before this transition and after it.
pub fn lasting_primary(transition: &Transition) -> Option<&NodeName> {
    transition.promoted.iter().find(|node| !transition.demote.contains(node) && !transition.stop.contains(node))
}

/// Our file with this node's own slot, if it names one.
pub fn localized_slot(managed: Managed, me: &NodeName, mode: Slots) -> Managed {
    let slot = managed.get(Setting::PrimarySlotName).filter(|_| mode != Slots::Off);
    let slot = slot.map(|slot| if slot.is_empty() { String::new() } else { slots::name_of(me) });
    managed.with(Setting::PrimarySlotName, slot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    /// What the DBA wrote, where srv1's primary is.
    fn points((base, host, port): (&str, &str, Option<u16>)) -> String {
        let place = Place { host: host.to_owned(), port };
        pointed(&base.parse().unwrap(), &place, &NodeName::new("srv1")).text()
    }

    table! { points;
        nothing: ("", "srv2", None) => "host=srv2 application_name=srv1";
        a_virtual_address: ("host=10.0.0.9 user=rep application_name=srv1", "srv2", None)
            => "host=srv2 user=rep application_name=srv1";
        the_rest_stays: ("user=rep host=a sslmode=verify-full sslrootcert='/etc/c a.crt' passfile=/p keepalives_idle=1", "srv2", None)
            => "user=rep host=srv2 sslmode=verify-full sslrootcert='/etc/c a.crt' passfile=/p keepalives_idle=1 application_name=srv1";
        an_address_that_would_win: ("host=a hostaddr=10.0.0.9", "srv2", None) => "host=srv2 application_name=srv1";
        the_name_of_another_node: ("host=a application_name=srv3", "b", None) => "host=b application_name=srv1";
        the_port_stays: ("host=a port=5433", "b", None) => "host=b port=5433 application_name=srv1";
        a_port_of_its_own: ("host=a port=5433", "b", Some(5434)) => "host=b port=5434 application_name=srv1";
        one_of_a_list: ("host=a,b port=5433,5434", "b", None) => "host=b port=5434 application_name=srv1";
        one_port_for_all: ("host=a,b port=5433", "b", None) => "host=b port=5433 application_name=srv1";
        none_in_the_list: ("host=a,b port=5433,", "b", None) => "host=b application_name=srv1";
        a_host_not_in_the_list: ("host=a,b port=5433,5434", "c", None) => "host=c port=5433 application_name=srv1";
        a_directory: ("host=a", "/run/x y", None) => "host='/run/x y' application_name=srv1";
        a_uri: ("postgresql://rep:pw@vip/?sslmode=require", "b", None)
            => "user=rep password=pw host=b sslmode=require application_name=srv1";
    }

    #[test]
    fn twice_is_once() {
        let place = Place { host: "b".to_owned(), port: None };
        for base in ["", "host=a port=5433 user=x", "host=a,b port=1,2", "port=1,2 hostaddr=::1 application_name=q"] {
            let once = pointed(&base.parse().unwrap(), &place, &NodeName::new("srv1"));
            assert_eq!(pointed(&once, &place, &NodeName::new("srv1")), once, "{base}");
        }
    }

    /// promoted, demote, promote; the record. srv1 and srv2 say that they are primaries.
    fn primaries((promoted, demote, promote, record): (&str, &str, &str, &str)) -> String {
        let nodes = |names: &str| names.split_whitespace().map(NodeName::new).collect();
        let transition = Transition {
            promoted: nodes(promoted),
            demote: nodes(demote),
            promote: nodes(promote),
            ..Transition::default()
        };
        let record = if record.is_empty() { Record::default() } else { record.parse().unwrap() };
        let scores = ["srv1", "srv2"].map(|node| (NodeName::new(node), Score::PRIMARY));
        primary(&transition, &record, &BTreeMap::from(scores)).map_or("-".to_owned(), |node| node.to_string())
    }

    table! { primaries;
        who_was_promoted: ("", "", "srv2", "2@0/100 srv1 500 kept") => "srv2";
        a_switchover: ("srv1", "srv1", "srv2", "2@0/100 srv1 500 kept") => "srv2";
        a_start_beside_a_primary: ("srv1", "", "", "3@0/100 srv2 500 kept") => "srv1";
        not_in_the_transition: ("", "", "", "3@0/200 srv2 500; 2@0/100 srv1 500 kept") => "srv2";
        an_intention_is_no_primary: ("", "", "", "3@0/200 srv2 500 intended; 2@0/100 srv1 500 kept") => "srv1";
        a_demotion: ("srv1", "srv1", "", "") => "-";
        the_last_one_does_not_run: ("", "", "", "3@0/200 srv3 500 kept") => "-";
    }

    /// streams, just connected, in force, in our file.
    fn due((streams, just_connected, in_force, written): (bool, bool, &str, Option<&str>)) -> bool {
        is_due(streams, just_connected, in_force, written)
    }

    table! { due;
        all_is_well: (true, false, "host=a", Some("host=a")) => false;
        no_server_sends: (false, false, "host=a", Some("host=a")) => true;
        connected_a_moment_ago: (true, true, "host=a", Some("host=a")) => true;
        not_in_force: (true, false, "host=b", Some("host=a")) => true;
        never_set: (true, false, "host=a", None) => true;
    }

    fn waits(titles: &[&str]) -> Option<usize> {
        waits_to_connect(&titles.iter().map(|title| (*title).to_owned()).collect::<Vec<_>>())
    }

    table! { waits;
        nothing_received: &["checkpointer", "startup recovering 000000030000000000000005"] => Some(1);
        a_cluster_with_a_name: &["17/main: startup recovering 000000030000000000000005", "17/main: checkpointer"] => Some(0);
        it_waits_to_be_read: &["startup waiting for 000000030000000000000005"] => Some(0);
        it_streams: &["startup recovering 0000000300", "walreceiver streaming 0/3000060"] => None;
        it_connects: &["17/main: startup recovering 0000000300", "17/main: walreceiver"] => None;
        a_primary: &["checkpointer", "walwriter", "walsender replicator 10.0.0.2(5000) streaming 0/3000060"] => None;
        a_role_called_like_a_process: &["walsender walreceiver 10.0.0.2(5000)", "app startup [local] idle"] => None;
        stopped: &[] => None;
    }

    /// The slot that our file names, on srv1.
    fn slots((slot, mode): (Option<&str>, Slots)) -> Option<String> {
        let managed = Managed::default().with(Setting::PrimarySlotName, slot.map(str::to_owned));
        localized_slot(managed, &NodeName::new("srv1"), mode).get(Setting::PrimarySlotName).map(str::to_owned)
    }

    table! { slots;
        none: (None, Slots::Auto) => None;
        no_slot: (Some(""), Slots::Auto) => Some(String::new());
        a_slot_of_another_node: (Some("pgsqlms_srv2"), Slots::On) => Some("pgsqlms_srv1".to_owned());
        no_longer_wanted_slot: (Some("pgsqlms_srv1"), Slots::Off) => None;
    }

    /// Our file's conninfo, whether srv1 follows by name, where the primary is: `-` for nowhere, `?` for somewhere.
    fn local((conninfo, follows, host): (Option<&str>, bool, &str)) -> Option<String> {
        let managed = Managed::default()
            .with(Setting::SynchronousStandbyNames, Some("*".to_owned()))
            .with(Setting::PrimaryConninfo, conninfo.map(str::to_owned));
        let leader = match host {
            "-" => Leader::None,
            "?" => Leader::Somewhere,
            host => Leader::At(Place { host: host.to_owned(), port: None }),
        };
        let localized = localized(&managed, &NodeName::new("srv1"), follows, &leader);
        assert_eq!(localized.get(Setting::SynchronousStandbyNames), Some("*"));
        localized.get(Setting::PrimaryConninfo).map(str::to_owned)
    }

    const AT_A: &str = "host=a application_name=srv1";

    table! { local;
        nothing_there: (None, true, "b") => None;
        copied_from_another_node: (Some("host=a application_name=srv2"), true, "?") => Some(AT_A.to_owned());
        the_primary_is_known: (Some(AT_A), true, "b") => Some("host=b application_name=srv1".to_owned());
        no_longer_wanted: (Some(AT_A), false, "b") => None;
        broken: (Some("host='a"), true, "b") => None;
        there_is_no_primary: (Some(AT_A), true, "-") => Some(String::new());
        there_is_no_primary_and_never_was: (None, true, "-") => Some(String::new());
        there_is_one_again: (Some(""), true, "b") => None;
        somewhere: (Some(""), true, "?") => None;
        no_primary_and_not_wanted: (None, false, "-") => None;
    }

    /// promoted, demote, stop.
    fn lasting((promoted, demote, stop): (&str, &str, &str)) -> bool {
        let nodes = |names: &str| names.split_whitespace().map(NodeName::new).collect();
        let transition = Transition {
            promoted: nodes(promoted),
            demote: nodes(demote),
            stop: nodes(stop),
            promote: nodes("srv9"),
            ..Transition::default()
        };
        lasting_primary(&transition).is_some()
    }

    table! { lasting;
        stays: ("srv1", "", "") => true;
        is_demoted: ("srv1", "srv1", "") => false;
        is_stopped: ("srv1", "", "srv1") => false;
        none_there: ("", "", "") => false;
    }
}
