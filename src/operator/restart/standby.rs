//! One standby is restarted: a ban of its node that ends by itself, and what is seen meanwhile.

use std::time::Duration;

use crate::clock::Deadline;
use crate::exit::CommandExitCode;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::operator::interruption::Interruptions;
use crate::operator::switchover::carry::{MARGIN, remove};
use crate::operator::switchover::look::World;
use crate::operator::switchover::print_line;
use crate::pacemaker::moves;
use crate::rules::restart::{Course, Seen};

/// How often Pacemaker is asked, which starts a program.
const PAUSE: Duration = Duration::from_millis(300);

/// Restarts it; the exit code. The ban is removed in any case; and if this process is killed, it ends by itself.
pub(super) fn restart(
    world: &mut World,
    node: &NodeName,
    wait: Duration,
    interruptions: &Interruptions,
) -> CommandExitCode {
    if interruptions.came().is_some() {
        print_line(&format!("interrupted before the restart of {node} has begun."));
        return CommandExitCode::Interrupted;
    }
    let clone = match world.cluster().map(|cluster| cluster.clone) {
        Ok(Some(clone)) => clone,
        _ => return CommandExitCode::Unfinished,
    };
    let ban = moves::ban_of(&clone, node);
    // One that has ended may be left by a command that was killed.
    let begun = world.tools().withdraw(&ban).and_then(|()| world.tools().ban(&clone, node, wait + MARGIN));
    print_line(&format!("stop    {node}, by the constraint {ban}"));
    let until = Deadline::within(wait * 2 + world.clock.now()).or_after(world.clock.as_ref(), wait);
    let mut course = Course::default();
    let stopped = begun
        .map_err(Failure::from)
        .and_then(|()| wait_for(world, node, until, &mut course, interruptions, Course::is_down));
    let is_removed = remove(world, &ban);
    let back = match stopped {
        Ok(None) => wait_for(world, node, until, &mut course, interruptions, Course::is_back),
        ended => ended,
    };
    let (text, code) = match back {
        Ok(None) => (format!("done    {node} runs again and follows the primary"), CommandExitCode::Done),
        Ok(Some(code)) if code == CommandExitCode::Interrupted => (format!("interrupted: {node} {course}"), code),
        Ok(Some(code)) => (format!("given up after {} s: {node} {course}", wait.as_secs()), code),
        Err(failure) => (format!("{failure}: {node} {course}"), CommandExitCode::Unfinished),
    };
    let left = is_removed.as_ref().err().map_or(String::new(), |why| format!(" The constraint {ban} is left: {why}."));
    print_line(&format!("{text}.{left}"));
    if is_removed.is_err() { CommandExitCode::Unfinished } else { code }
}

/// Looks until it is so; otherwise the exit code.
fn wait_for(
    world: &mut World,
    node: &NodeName,
    until: Deadline,
    course: &mut Course,
    interruptions: &Interruptions,
    is_so: fn(&Course) -> bool,
) -> Result<Option<CommandExitCode>, Failure> {
    loop {
        if interruptions.came().is_some() {
            return Ok(Some(CommandExitCode::Interrupted));
        }
        let cluster = world.cluster()?;
        let (primary, standby) = world.positions(node, &cluster);
        let member = cluster.nodes.get(node).cloned().unwrap_or_default();
        course.see(&Seen { member, primary, standby });
        if is_so(course) {
            return Ok(None);
        }
        if until.has_passed(world.clock.as_ref()) {
            return Ok(Some(CommandExitCode::Unfinished));
        }
        world.clock.sleep(PAUSE);
    }
}
