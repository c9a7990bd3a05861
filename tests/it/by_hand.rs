//! The agent typed on a command line, without the environment that Pacemaker and its tools set.

use pgsqlms::exit::OcfExitCode::*;

use crate::run::Test;
use crate::throwaway::Instance;

/// The actions that change something, and the commands that the refusal names instead.
const CHANGES: [(&str, &str); 5] = [
    ("start", "`pcs resource enable RESOURCE-clone`"),
    ("stop", "`pcs resource disable RESOURCE-clone`"),
    ("promote", "`pcs resource move RESOURCE-clone NODE --promoted`"),
    ("demote", "`pcs resource move RESOURCE-clone NODE --promoted`"),
    ("notify", "only Pacemaker sends notifications"),
];

/// A person does not set `OCF_RESOURCE_INSTANCE`; an empty one, or a clone's number alone, names nothing.
#[track_caller]
fn refused(test: Test, action: &str, instead: &str) {
    for name in ["", " ", ":0"] {
        let ended = test.clone().env("OCF_RESOURCE_INSTANCE", name).expect(BadArguments);
        let reason = ended.reason();
        assert!(reason.starts_with(&format!("{action} without OCF_RESOURCE_INSTANCE is refused: ")), "{reason}");
        assert!(reason.contains(instead) && reason.len() <= 127, "{reason}");
    }
    test.without("OCF_RESOURCE_INSTANCE").expect(BadArguments);
}

#[test]
fn a_person_cannot_call_an_action_that_changes_something() {
    for (action, instead) in CHANGES {
        refused(Test::new([action]).parameter("pgdata", "/nonexistent/data"), action, instead);
    }
}

#[test]
fn a_person_can_call_an_action_that_changes_nothing() {
    for (action, code) in [("monitor", NotRunning), ("validate-all", Success), ("reload", Success)] {
        for interval in ["0", "15000"] {
            let test = Test::new([action]).parameter("pgdata", "/nonexistent/data").meta("interval", interval);
            let ended = test.without("OCF_RESOURCE_INSTANCE").expect(code);
            assert_eq!(ended.stderr, "", "{action}");
        }
    }
    for printout in ["meta-data", "methods", "--help"] {
        Test::new([printout]).without("OCF_RESOURCE_INSTANCE").expect(Success);
    }
}

/// `pgsqlms promote`, typed as root on a standby, must not make a second primary.
#[test]
fn an_action_by_hand_does_not_change_an_instance() {
    let Some(instance) = Instance::new() else { return };
    let untouched = |running: bool, in_recovery: bool| {
        let before = instance.pid_file(1);
        for (action, instead) in CHANGES {
            refused(instance.agent(action), action, instead);
        }
        assert_eq!(instance.pid_file(1), before);
        if running {
            assert_eq!(instance.sql("SELECT pg_is_in_recovery()"), if in_recovery { "t" } else { "f" });
        }
    };
    untouched(false, false);
    instance.start();
    untouched(true, true);
    instance.agent("monitor").without("OCF_RESOURCE_INSTANCE").expect(Success);
    instance.promote();
    untouched(true, false);
    instance.agent("monitor").meta("interval", "2000").without("OCF_RESOURCE_INSTANCE").expect(RunningPromoted);
}
