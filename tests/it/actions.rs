//! Each action, killed before each of its calls to the outside, and with each of its calls failing: what is left behind is
//! what the next action accepts.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use pgsqlms::action::Action;
use pgsqlms::exit::OcfExitCode;
use pgsqlms::node::NodeName;
use pgsqlms::notification::{Around, Moment, Notification, Transition};
use pgsqlms::pacemaker::Attribute;
use pgsqlms::parameters::OnCrash;

use crate::fakes::instance::{Process, Synchronous};
use crate::fakes::{Cluster, Ended, Hook, Job, Node, RESOURCE, State};
use crate::simulation::oracle;

const NAMES: [&str; 3] = ["srv1", "srv2", "srv3"];

struct Nobody;

impl Hook for Nobody {}

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

/// Votes, promotes `node`, and forgets.
fn elect(cluster: &Cluster, node: usize, transition: &Transition) {
    let voters =
        || transition.unpromoted.iter().map(|name| NAMES.iter().position(|known| name.as_str() == *known).unwrap());
    voters().for_each(|voter| done(cluster, &notify(voter, Moment::Before, Around::Promote, transition)));
    done(cluster, &job(node, Action::Promote, transition));
    voters().for_each(|voter| done(cluster, &notify(voter, Moment::After, Around::Promote, transition)));
}

/// Three nodes on which nothing runs.
fn new() -> Cluster {
    let mut state = State::new(&NAMES, 7);
    let synchronous = Synchronous::read("ANY 1 (srv1, srv2, srv3)");
    state.nodes.iter_mut().for_each(|node| node.postgres.synchronous = synchronous.clone());
    state.on_promotion = oracle::promoted;
    let mut cluster = Cluster::new(state, Rc::new(Nobody));
    cluster.config.on_crash = OnCrash::Failover;
    cluster
}

/// srv1 is the primary, the others follow it, and commits wait for one of them.
fn running() -> Cluster {
    let cluster = new();
    (0..3).for_each(|node| done(&cluster, &job(node, Action::Start, &all_start())));
    elect(&cluster, 0, &promotion(0, [0, 1, 2]));
    wait(&cluster);
    done(&cluster, &job(0, Action::Monitor, &Transition::default()));
    cluster
}

/// The primary's node is gone.
fn bereft() -> Cluster {
    let cluster = running();
    cluster.state.borrow_mut().power_off(0);
    wait(&cluster);
    cluster
}

/// The two that are left vote before the promotion of `candidate`.
fn vote(cluster: &Cluster, candidate: usize) {
    let promotion = promotion(candidate, [1, 2]);
    [1, 2].iter().for_each(|node| done(cluster, &notify(*node, Moment::Before, Around::Promote, &promotion)));
}

/// The two that are left have voted, and srv2 holds as much as srv3.
fn voted() -> Cluster {
    let cluster = bereft();
    vote(&cluster, 1);
    cluster
}

/// srv2 has voted, and was then stopped by hand.
fn ended() -> Cluster {
    let cluster = voted();
    cluster.state.borrow_mut().nodes[1].postgres.crash();
    cluster
}

/// srv3 is stopped.
fn lone() -> Cluster {
    let cluster = running();
    done(&cluster, &job(2, Action::Stop, &none()));
    cluster
}

/// The primary's scores are lost, and a permanent one is there that PAF has left.
fn unscored() -> Cluster {
    let cluster = running();
    let score = (Attribute::Score.of(RESOURCE), "1001".to_owned());
    cluster.state.borrow_mut().information.permanent.insert(NodeName::new("srv3"), [score].into());
    cluster.state.borrow_mut().information.transient.clear();
    cluster
}

/// srv2 has been promoted instead of srv1, and nobody has been told.
fn promoted() -> Cluster {
    let cluster = voted();
    done(&cluster, &job(1, Action::Promote, &promotion(1, [1, 2])));
    wait(&cluster);
    cluster
}

/// srv3 holds less than srv2.
fn behind() -> Cluster {
    let cluster = running();
    cluster.state.borrow_mut().nodes[2].linked = false;
    wait(&cluster);
    cluster.state.borrow_mut().power_off(0);
    vote(&cluster, 2);
    cluster
}

/// The primary's postmaster was killed.
fn crashed() -> Cluster {
    let cluster = running();
    cluster.state.borrow_mut().nodes[0].postgres.crash();
    cluster
}

/// The two that are left have voted, and have no scores.
fn without_scores() -> Cluster {
    let cluster = voted();
    cluster.state.borrow_mut().information.transient.clear();
    cluster
}

/// Of each node, once all has come to rest: what runs, and its score. Of `teller` also whether its vote is there.
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

/// What Pacemaker does after an action that did not end: `repeat` it, as after a change of mind, or recover the instance.
#[derive(Debug, Clone, Copy)]
enum Next {
    Repeat,
    Recover,
}

/// One row: where it happens, the action, and what runs in the end.
struct Case {
    situation: fn() -> Cluster,
    job: Job,
    ends: &'static str,
}

impl Case {
    /// How the action ends and what then runs, undisturbed; and how many calls it makes.
    fn undisturbed(&self) -> (String, u32) {
        let cluster = (self.situation)();
        let ended = word(&cluster.run(&self.job));
        let calls = cluster.state.borrow().calls;
        assert_eq!(format!("{ended}: {}", self.seen(&cluster)), self.ends);
        (ended, calls)
    }

    fn seen(&self, cluster: &Cluster) -> String {
        let tells = matches!(self.job.action, Action::Notify | Action::Stop);
        seen(cluster, tells.then_some(self.job.node))
    }

    /// Before a promotion all vote, whatever was before.
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

    /// With each call failing once: an answer in time that tells, and the next time it works.
    fn fail(&self) {
        let (ended, calls) = self.undisturbed();
        for at in 1..=calls {
            let cluster = (self.situation)();
            let failing = cluster.run(&Job { fails_at: Some(at), ..self.job.clone() });
            let told = word(&failing);
            match &failing {
                Ended::Answered(Ok(_)) => assert_eq!(told, ended, "call {at} of {calls} fails"),
                Ended::Answered(Err(failure)) => {
                    assert!(
                        ![Action::Monitor, Action::Stop].contains(&self.job.action),
                        "call {at} of {calls}: {told}"
                    );
                    assert_eq!(failure.exit_code(), OcfExitCode::GenericError);
                    assert!((20..150).contains(&told.len()) && !told.contains('\n'), "call {at} of {calls}: {told}");
                }
                Ended::Killed | Ended::Overdue => panic!("call {at} of {calls}: {told}"),
            }
            self.prepare(&cluster);
            let ended = word(&cluster.run(&self.job));
            assert_eq!(
                format!("{ended}: {}", self.seen(&cluster)),
                self.ends,
                "after call {at} of {calls} failed: {told}"
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
    promote_what_has_to_be_started: ended, job(1, Action::Promote, &promotion(1, [1, 2])) => "Success: nothing, primary 1000, standby 990", killed_and_recovered;
    yield_to_a_better_one: behind, job(2, Action::Promote, &promotion(2, [1, 2])) => "srv2 is the best candidate: its WAL reaches 0/6050DD0 on timeline 2, ours 0/38260D0 on timeline 2: nothing, standby 1001, standby -1000000", killed_and_recovered;
    forget: promoted, notify(1, Moment::After, Around::Promote, &promotion(1, [1, 2])) => "Success: nothing, primary 1001, standby 1000";
    monitor_of_a_primary: unscored, job(0, Action::Monitor, &none()) => "RunningPromoted: primary 1001, standby 1000, standby 990";
    monitor_of_a_crashed_primary: crashed, job(0, Action::Monitor, &none()) => "FailedPromoted: nothing 1, standby 1000, standby 990";
    monitor_of_a_standby: without_scores, job(1, Action::Monitor, &none()) => "Success: nothing, standby 1, standby";
    find_a_candidate: without_scores, notify(1, Moment::After, Around::Start, &all_start()) => "Success: nothing, standby 1 vote, standby";
}
