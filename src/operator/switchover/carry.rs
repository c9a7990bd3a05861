//! A switchover is carried out: the constraint, what is seen meanwhile, and the end of the constraint.

use std::time::Duration;

use super::look::World;
use super::{complain, print_line};
use crate::clock::Deadline;
use crate::exit::CommandExitCode;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::operator::interruption::Interruptions;
use crate::pacemaker::moves;
use crate::rules::overview::Cluster;
use crate::rules::switchover::Plan;
use crate::rules::switchover::watch::{End, Watch};

/// The constraint outlives the time that is waited by this. Then Pacemaker ends it by itself.
pub(in crate::operator) const MARGIN: Duration = Duration::from_secs(15);

/// How often the instances are looked at, and how often Pacemaker is asked, which starts a program.
const PAUSE: Duration = Duration::from_millis(30);
const SELDOM: Duration = Duration::from_millis(700);

/// How often it is tried to remove the constraint: a key that ends this command ends its child as well.
const ATTEMPTS: u32 = 5;

/// How the watching ended.
enum Watched {
    Ended(End),
    TimeIsOver,
    Interrupted,
}

/// Carries it out; the exit code. The constraint is removed in any case; and if this process is killed, it ends by itself.
pub(in crate::operator) fn out(
    mut world: World,
    plan: Plan,
    wait: Duration,
    interruptions: &Interruptions,
) -> CommandExitCode {
    if interruptions.came().is_some() {
        print_line("interrupted before the switchover has begun.");
        return CommandExitCode::Interrupted;
    }
    let Some((cluster, clone)) = begin(&world) else { return CommandExitCode::Unseen };
    let constraint = moves::preference(&clone);
    let mut watch = Watch::new(plan.clone(), world.clock.now());
    let began = world.clock.now();
    // One that has ended may be left by a command that was killed.
    let cleared = world.tools().withdraw(&constraint);
    let watched = match cleared.and_then(|()| world.tools().prefer(&clone, &plan.to, wait + MARGIN)) {
        Ok(()) => {
            print_step(&world, began, &format!("{} is preferred as the primary by {constraint}", plan.to));
            follow(&mut world, &plan, &mut watch, cluster, (began, wait), interruptions)
        }
        Err(error) => Err(Failure::from(error)),
    };
    // A key that ends this command ends the tool that it is waiting for.
    let watched = if watched.is_err() && interruptions.came().is_some() { Ok(Watched::Interrupted) } else { watched };
    let is_removed = remove(&world, &constraint);
    let removed = match &is_removed {
        Ok(()) => "The constraint is removed.".to_owned(),
        Err(why) => format!("The constraint {constraint} is left and ends by itself soon: {why}."),
    };
    let (text, code) = account(&world, &watch, watched, wait);
    print_line(&format!("{text}. {removed}"));
    log::warn!("the switchover to {} has ended ({code:?}): {text}. {removed}", plan.to);
    if is_removed.is_err() { CommandExitCode::Unfinished } else { code }
}

/// How it ended, in a sentence.
fn account(
    world: &World,
    watch: &Watch,
    watched: Result<Watched, Failure>,
    wait: Duration,
) -> (String, CommandExitCode) {
    let (to, stands) = (watch.target(), watch.stands());
    match watched {
        Ok(Watched::Ended(End::Done)) => {
            let outage = watch.outage().unwrap_or_default();
            let seconds = format!("{}.{} s", outage / 1000, outage % 1000 / 100);
            (format!("done    {stands}. No writes for {seconds} as seen from here"), CommandExitCode::Done)
        }
        Ok(Watched::Ended(End::Other(node))) => {
            let text = format!("undone  {node} is the primary, not {to}{}", reason(world, to));
            (text, CommandExitCode::Unfinished)
        }
        Ok(Watched::TimeIsOver) => {
            let text = format!("given up after {} s: {stands}{}", wait.as_secs(), reason(world, to));
            (text, CommandExitCode::Unfinished)
        }
        Ok(Watched::Interrupted) => (format!("interrupted: {stands}"), CommandExitCode::Interrupted),
        Err(failure) => (format!("{failure}: {stands}"), CommandExitCode::Unfinished),
    }
}

/// What Pacemaker says, and the name of the clone.
fn begin(world: &World) -> Option<(Cluster, String)> {
    let cluster = world.cluster().map_err(|failure| complain(&failure.to_string())).ok()?;
    let clone = cluster.clone.clone()?;
    Some((cluster, clone))
}

fn print_step(world: &World, began: Duration, line: &str) {
    let since = (world.clock.now().saturating_sub(began)).as_millis();
    print_line(&format!("{:>4}.{} s  {line}", since / 1000, since % 1000 / 100));
}

/// Looks at the nodes until it has ended.
fn follow(
    world: &mut World,
    plan: &Plan,
    watch: &mut Watch,
    mut cluster: Cluster,
    (began, wait): (Duration, Duration),
    interruptions: &Interruptions,
) -> Result<Watched, Failure> {
    let until = Deadline::within(wait * 2).or_after(world.clock.as_ref(), wait);
    let mut asked = world.clock.now();
    let nodes: Vec<NodeName> = plan.followers.iter().chain([&plan.to]).cloned().collect();
    loop {
        if interruptions.came().is_some() {
            return Ok(Watched::Interrupted);
        }
        if world.clock.now() >= asked + SELDOM {
            // It may be busy with just this.
            cluster = world.cluster().inspect_err(|failure| log::debug!("{failure}")).unwrap_or(cluster);
            asked = world.clock.now();
        }
        let (moment, timeline) = world.moment(nodes.iter(), &plan.to, &cluster);
        let now = world.clock.now();
        for line in watch.see(now, &moment, timeline) {
            print_step(world, began, &line);
        }
        if let Some(end) = watch.end(&moment) {
            return Ok(Watched::Ended(end));
        }
        if until.has_passed(world.clock.as_ref()) {
            return Ok(Watched::TimeIsOver);
        }
        world.clock.sleep(PAUSE);
    }
}

/// Removes the constraint.
pub(in crate::operator) fn remove(world: &World, constraint: &str) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        match world.tools().withdraw(constraint) {
            Ok(()) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
        world.clock.sleep(PAUSE * 10);
    }
    log::warn!("the constraint {constraint} is left: {last}");
    Err(last)
}

/// Pacemaker's entry for a node, which shows the operator why.
fn reason(world: &World, node: &NodeName) -> String {
    let cluster = world.cluster().ok();
    let reason = cluster.and_then(|cluster| cluster.nodes.get(node)?.reason.clone());
    reason.map_or(String::new(), |reason| format!(": {reason}"))
}
