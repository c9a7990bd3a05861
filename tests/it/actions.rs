//! Each action, killed before each of its calls to the outside, and with each of its calls failing: the next action
//! accepts the state that is left.

/// Nodes that Pacemaker does not promote.
mod barred;
/// A monitor that a person has typed.
mod by_hand;
/// The end of a postmaster, reported at once.
mod ended;
/// Changes of the CIB.
mod quiet;
/// The memory of nodes.
mod recalled;
/// Where the actions happen.
mod situations;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use pgsqlms::action::Action;
use pgsqlms::exit::OcfExitCode;
use pgsqlms::node::NodeName;
use pgsqlms::notification::{Around, Moment, Notification, Transition};
use pgsqlms::pacemaker::Attribute;
use pgsqlms::parameters::OnCrash;

use crate::fakes::commits::Synchronous;
use crate::fakes::instance::Process;
use crate::fakes::{Cluster, Ended, Job, Node, RESOURCE};
use situations::*;

const NAMES: [&str; 3] = ["srv1", "srv2", "srv3"];

/// The nodes, by their numbers, that the lists of a transition are about.
fn nodes<const N: usize>(numbers: [usize; N]) -> BTreeSet<NodeName> {
    numbers.into_iter().map(|number| NodeName::new(NAMES[number])).collect()
}

fn job(node: usize, action: Action, transition: &Transition) -> Job {
    Job { transition: transition.clone(), ..Job::new(node, action) }
}

fn notify(node: usize, moment: Moment, around: Around, transition: &Transition) -> Job {
    let notification = Some(Notification { moment, around, transition: transition.clone() });
    Job { notification, ..job(node, Action::Notify, transition) }
}

/// All instances start, and there is no primary.
fn all_start() -> Transition {
    Transition { start: nodes([0, 1, 2]), ..Transition::default() }
}

/// The instance of `node` is promoted, and those of `standbys` are there.
fn promotion<const N: usize>(node: usize, standbys: [usize; N]) -> Transition {
    Transition { promote: nodes([node]), unpromoted: nodes(standbys), active: nodes(standbys), ..Transition::default() }
}

fn done(cluster: &Cluster, job: &Job) {
    let ended = cluster.run(job);
    assert!(matches!(ended, Ended::Answered(Ok(_))), "{job:?}: {ended:?}");
}

fn wait(cluster: &Cluster) {
    (0..40).for_each(|_| cluster.state.borrow_mut().pass(Duration::from_millis(500)));
}

/// Votes, promotes `node`, and forgets; then the monitor begins.
fn elect(cluster: &Cluster, node: usize, transition: &Transition) {
    let voters =
        || transition.unpromoted.iter().map(|name| NAMES.iter().position(|known| name.as_str() == *known).unwrap());
    voters().for_each(|voter| done(cluster, &notify(voter, Moment::Before, Around::Promote, transition)));
    done(cluster, &job(node, Action::Promote, transition));
    voters().for_each(|voter| done(cluster, &notify(voter, Moment::After, Around::Promote, transition)));
    done(cluster, &job(node, Action::Monitor, &Transition::default()));
}

/// Of each node, once all has come to rest: its server, and its score. Of `teller` also whether its vote is there.
fn seen(cluster: &Cluster, teller: Option<usize>) -> String {
    wait(cluster);
    let state = cluster.state.borrow();
    assert_eq!(state.violations, Vec::<String>::new());
    let attribute = |values: Option<&BTreeMap<String, String>>, name: Attribute| {
        values.and_then(|values| values.get(&name.of(RESOURCE))).map(|value| format!(" {value}")).unwrap_or_default()
    };
    let node = |(number, node): (usize, &Node)| {
        let role = match node.postgres.process {
            Process::None => "nothing",
            Process::Standby => "standby",
            Process::Primary => "primary",
            Process::Starting { .. } | Process::Promoting { .. } | Process::Stopping { .. } => "no rest",
        };
        let score = attribute(state.information.transient.get(&node.name), Attribute::Score);
        let vote =
            attribute(state.information.private.get(&node.name).filter(|_| teller == Some(number)), Attribute::Vote);
        let vote = if vote.contains('#') { " vote" } else { &vote };
        format!("{role}{score}{vote}")
    };
    state.nodes.iter().enumerate().map(node).collect::<Vec<_>>().join(", ")
}

/// How an action ended, in a word or a line.
fn word(ended: &Ended) -> String {
    match ended {
        Ended::Answered(Ok(outcome)) => format!("{:?}", outcome.code),
        Ended::Answered(Err(failure)) => failure.to_string(),
        Ended::Killed | Ended::Overdue => format!("{ended:?}"),
    }
}

/// Pacemaker's reaction to an action that did not end: `repeat` it, as after a new transition, or recover the instance.
#[derive(Debug, Clone, Copy)]
enum Next {
    Repeat,
    Recover,
}

/// One row: where it happens, the action, and the state at the end.
struct Case {
    situation: fn() -> Cluster,
    job: Job,
    ends: &'static str,
}

impl Case {
    /// How the action ends and the state after it, undisturbed; and how many calls it makes.
    fn undisturbed(&self) -> (String, u32) {
        let cluster = (self.situation)();
        let ended = word(&cluster.run(&self.job));
        let calls = cluster.state.borrow().calls;
        assert_eq!(format!("{ended}: {}", self.seen(&cluster)), self.ends);
        (ended, calls)
    }

    fn seen(&self, cluster: &Cluster) -> String {
        let votes = matches!(self.job.action, Action::Notify | Action::Stop);
        seen(cluster, votes.then_some(self.job.node))
    }

    /// Before a promotion all nodes vote.
    fn prepare(&self, cluster: &Cluster) {
        let voters = [0, 1, 2].into_iter().filter(|_| self.job.action == Action::Promote);
        for voter in voters.filter(|node| cluster.state.borrow().nodes[*node].on) {
            done(cluster, &notify(voter, Moment::Before, Around::Promote, &self.job.transition));
        }
    }

    fn killed(&self, at: u32, next: Next) -> String {
        let cluster = (self.situation)();
        let ended = cluster.run(&Job { killed_at: Some(at), ..self.job.clone() });
        assert!(matches!(ended, Ended::Killed), "{ended:?}");
        let probe = Job {
            asked: pgsqlms::rules::status::Asked::Probe,
            ..job(self.job.node, Action::Monitor, &Transition::default())
        };
        done(&cluster, &probe);
        if let Next::Recover = next {
            let again = Transition { stop: nodes([]), ..self.job.transition.clone() };
            done(&cluster, &job(self.job.node, Action::Stop, &self.job.transition));
            assert_eq!(cluster.state.borrow().nodes[self.job.node].postgres.process, Process::None);
            if self.job.action != Action::Stop
                && !self.job.transition.stop.contains(&NodeName::new(NAMES[self.job.node]))
            {
                done(&cluster, &job(self.job.node, Action::Start, &again));
            }
        }
        self.prepare(&cluster);
        let ended = word(&cluster.run(&self.job));
        let ended = format!("{ended}: {}", self.seen(&cluster));
        // Once more: nothing changes.
        if !ended.contains("best candidate") {
            done(&cluster, &self.job);
            assert!(ended.ends_with(&self.seen(&cluster)), "repeated: {}", self.seen(&cluster));
        }
        ended
    }

    fn sweep(&self, next: Next) {
        let (_, calls) = self.undisturbed();
        for at in 1..=calls {
            assert_eq!(self.killed(at, next), self.ends, "killed before call {at} of {calls}, then {next:?}");
        }
    }

    /// Each call fails once: the action answers in time with a reason, and the next run works.
    fn fail(&self) {
        let (ended, calls) = self.undisturbed();
        for at in 1..=calls {
            let cluster = (self.situation)();
            let failing = cluster.run(&Job { fails_at: Some(at), ..self.job.clone() });
            let answer = word(&failing);
            match &failing {
                Ended::Answered(Ok(_)) => assert_eq!(answer, ended, "call {at} of {calls} fails"),
                Ended::Answered(Err(failure)) => {
                    assert!(
                        ![Action::Monitor, Action::Stop].contains(&self.job.action),
                        "call {at} of {calls}: {answer}"
                    );
                    assert_eq!(failure.exit_code(), OcfExitCode::GenericError);
                    assert!(
                        (20..150).contains(&answer.len()) && !answer.contains('\n'),
                        "call {at} of {calls}: {answer}"
                    );
                }
                Ended::Killed | Ended::Overdue => panic!("call {at} of {calls}: {answer}"),
            }
            self.prepare(&cluster);
            let ended = word(&cluster.run(&self.job));
            assert_eq!(
                format!("{ended}: {}", self.seen(&cluster)),
                self.ends,
                "after call {at} of {calls} failed: {answer}"
            );
        }
    }
}

/// Each row becomes two tests, or three with a recovery.
macro_rules! cases {
    ($($name:ident: $situation:ident, $job:expr => $ends:literal $(, $recovered:ident)?;)+) => {
        $(
            mod $name {
                use super::*;

                fn case() -> Case {
                    Case { situation: $situation, job: $job, ends: $ends }
                }

                #[test]
                fn killed_and_repeated() {
                    case().sweep(Next::Repeat);
                }

                $(
                    #[test]
                    fn $recovered() {
                        case().sweep(Next::Recover);
                    }
                )?

                #[test]
                fn failing() {
                    case().fail();
                }
            }
        )+
    };
}

fn none() -> Transition {
    Transition::default()
}

fn beside_a_primary(node: usize) -> Transition {
    Transition { promoted: nodes([0]), start: nodes([node]), ..none() }
}

fn demotion(stop: bool) -> Transition {
    let stop = if stop { nodes([0]) } else { nodes([]) };
    let (promoted, unpromoted, active) = (nodes([0]), nodes([1, 2]), nodes([0, 1, 2]));
    Transition { promoted, unpromoted, active, demote: nodes([0]), stop, ..none() }
}

cases! {
    start_of_the_first: new, job(0, Action::Start, &all_start()) => "Success: standby, nothing, nothing", killed_and_recovered;
    start_of_a_crashed_primary: crashed, job(0, Action::Start, &all_start()) => "Success: standby 1001, standby 1000, standby 990", killed_and_recovered;
    start_of_a_standby: lone, job(2, Action::Start, &beside_a_primary(2)) => "Success: primary 1001, standby 1000, standby 990", killed_and_recovered;
    stop_of_the_primary: running, job(0, Action::Stop, &demotion(true)) => "Success: nothing 1001 stopped, standby 1000, standby 990";
    stop_of_a_standby: running, job(1, Action::Stop, &none()) => "Success: primary 1001, nothing 1000 stopped, standby 990";
    stop_of_a_crashed_primary: crashed, job(0, Action::Stop, &demotion(true)) => "Success: nothing 1001 stopped, standby 1000, standby 990";
    demote: running, job(0, Action::Demote, &demotion(false)) => "Success: standby 1001, standby 1000, standby 990", killed_and_recovered;
    demote_and_stop: running, job(0, Action::Demote, &demotion(true)) => "Success: nothing 1001, standby 1000, standby 990";
    demote_of_a_crashed_primary: crashed, job(0, Action::Demote, &demotion(false)) => "Success: standby 1001, standby 1000, standby 990", killed_and_recovered;
    vote: bereft, notify(1, Moment::Before, Around::Promote, &promotion(1, [1, 2])) => "Success: nothing, standby 1000 vote, standby 990";
    promote: voted, job(1, Action::Promote, &promotion(1, [1, 2])) => "Success: nothing, primary 1000, standby 990", killed_and_recovered;
    promote_has_to_start_the_server_first: ended, job(1, Action::Promote, &promotion(1, [1, 2])) => "Success: nothing, primary 1000, standby 990", killed_and_recovered;
    yield_to_a_better_one: behind, job(2, Action::Promote, &promotion(2, [1, 2])) => "srv2 is the best candidate: its WAL reaches 0/484F430 on timeline 2, ours 0/3024010 on timeline 2: nothing, standby 1001, standby -1000000", killed_and_recovered;
    forget: promoted, notify(1, Moment::After, Around::Promote, &promotion(1, [1, 2])) => "Success: nothing, primary 1000, standby 990";
    first_monitor_after_a_promotion: promoted, job(1, Action::Monitor, &none()) => "RunningPromoted: nothing, primary 1001, standby 1000";
    monitor_of_a_primary: unscored, job(0, Action::Monitor, &none()) => "RunningPromoted: primary 1001, standby 1000, standby 990";
    monitor_of_a_crashed_primary: crashed, job(0, Action::Monitor, &none()) => "FailedPromoted: nothing 1, standby 1000, standby 990";
    monitor_of_a_standby: without_scores, job(1, Action::Monitor, &none()) => "Success: nothing, standby 1, standby";
    find_a_candidate: without_scores, notify(1, Moment::After, Around::Start, &all_start()) => "Success: nothing, standby 1 vote, standby";
}
