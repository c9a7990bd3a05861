//! Programs of an operator that are run after an event. The action ends as it would have without them, and
//! soon: Pacemaker may wait for a notification before it moves the virtual address to the new primary.

use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::accounts::Lookup;
use crate::actions::monitor;
use crate::agent::Agent;
use crate::clock::{Clock, Deadline, SystemClock};
use crate::command::Invocation;
use crate::env::Environment;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::pacemaker::Attribute;
use crate::privileges::SystemUser;
use crate::rules::hooks::{self, Event, Kind, Owner, Seen, Skip};
use crate::rules::status::Role;

/// The most of a monitor's time that is left which hooks may take.
const SHARE: f64 = 0.5;

/// How long a notification waits for its hooks. Then they go on by themselves.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a standby's WAL is read to say how far it reaches.
const READING_PATIENCE: Duration = Duration::from_secs(1);

/// How this program is called to run hooks by itself: then come the resource, the directory, the user and the time for all of
/// them in milliseconds. The event is in the environment.
pub const RUN: &str = "run-hooks";

/// Runs the hooks for the event that this post-notification means on this node.
pub fn after_action(agent: &mut Agent) {
    let event = agent.request.notification.as_ref().and_then(|it| hooks::event(it, &agent.request.me));
    let Some((event, directory)) = event.and_then(|event| Some((event, due(agent, event)?))) else { return };
    let variables = variables(agent, event);
    if let Err(error) = leave_running(agent, &directory, &variables) {
        log::warn!("no hooks for {}: {error}", event.as_str());
    }
}

/// Has a process of its own run the programs in a directory.
fn leave_running(agent: &Agent, directory: &Path, variables: &[(&str, OsString)]) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let time = agent.request.config.hooks.timeout.as_millis().to_string();
    let ourselves = Invocation::ourselves(&[RUN]).arg(&agent.request.instance).arg(directory);
    let started = ourselves.arg(user(agent)).arg(time).let_go(&runtime, PATIENCE, variables);
    started.map_err(|error| error.to_string())
}

/// Runs the programs that a notification has left to a process of their own: this one.
pub fn run_by_itself(words: &[OsString], environment: &Environment) -> Option<()> {
    let [_, directory, user, time] = words else { return None };
    let time = Duration::from_millis(time.to_str()?.parse().ok()?);
    let clock = SystemClock::start();
    run_as(
        &clock,
        Path::new(directory),
        user.to_str()?,
        Deadline::within(time),
        &environment.beginning_with("PGSQLMS_"),
    );
    Some(())
}

/// This node has left the cluster's history, for the reason `why`: runs the programs for that, once for each reason. The
/// cluster keeps the last reason until the node leaves it.
pub fn after_divergence(agent: &mut Agent, why: &str) {
    if let Err(error) = run_once(agent, why) {
        log::warn!("hooks for diverged: {error}");
    }
}

fn run_once(agent: &mut Agent, why: &str) -> Result<(), Failure> {
    if programs(agent, Event::Diverged).is_none() {
        return Ok(());
    }
    let (name, me) = (agent.attribute(Attribute::Diverged), agent.request.me.clone());
    if agent.pacemaker.attributes(&name)?.get(&me).is_some_and(|last| last == why) {
        return Ok(());
    }
    agent.set(Attribute::Diverged, &me, why)?;
    run(agent, Event::Diverged);
    Ok(())
}

/// Where the programs for `event` are, if there may be any.
fn programs(agent: &Agent, event: Event) -> Option<PathBuf> {
    let directory = agent.request.config.hooks.directory.as_ref()?.join(event.as_str());
    directory.is_dir().then_some(directory)
}

/// Where the programs for `event` are, if it is true and there may be any.
fn due(agent: &mut Agent, event: Event) -> Option<PathBuf> {
    let directory = programs(agent, event)?;
    let runs = monitor::runs_as(agent, event.role());
    if !runs {
        log::info!("no hooks for {}: it is not a {}", event.as_str(), event.role());
    }
    runs.then_some(directory)
}

fn user(agent: &Agent) -> String {
    agent.request.config.hooks.user.as_ref().unwrap_or(&agent.request.config.system_user).clone()
}

fn run(agent: &mut Agent, event: Event) {
    let Some(directory) = due(agent, event) else { return };
    let deadline = agent.request.deadline.share(agent.clock, SHARE);
    let deadline = deadline.or_after(agent.clock, agent.request.config.hooks.timeout);
    let variables = variables(agent, event);
    run_as(agent.clock, &directory, &user(agent), deadline, &variables);
}

fn run_as(clock: &dyn Clock, directory: &Path, user: &str, deadline: Deadline, variables: &[(&str, OsString)]) {
    let user = SystemUser::find(user, Lookup::Once);
    let ran = user.and_then(|user| user.act(|| run_all(clock, directory, &user, deadline, variables)));
    if let Err(error) = ran {
        log::warn!("no hooks for {}: {error}", directory.file_name().unwrap_or_default().to_string_lossy());
    }
}

/// As the user that runs hooks.
fn run_all(clock: &dyn Clock, directory: &Path, user: &SystemUser, deadline: Deadline, variables: &[(&str, OsString)]) {
    let files = match files_in(directory, user) {
        Ok(files) => files,
        Err(why) => return log::warn!("no hooks are run: {why}"),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return log::warn!("no hooks are run: {error}"),
    };
    for file in files {
        let shown = file.display();
        let patience = deadline.left(clock);
        if patience.is_zero() {
            log::warn!("{shown} is left out: the hooks' time is over");
            continue;
        }
        let began = clock.now();
        let mut on_line = |line: &str| log::info!("{shown}: {line}");
        match Invocation::new(&file).run_watched(&runtime, patience, variables, &mut on_line) {
            Ok(()) => log::info!("{shown}: done after {:.1} s", (clock.now() - began).as_secs_f64()),
            Err(error) => log::warn!("hook {error}"),
        }
    }
}

/// The programs that are to be run, in order.
fn files_in(directory: &Path, user: &SystemUser) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", directory.display());
    let directory = directory.canonicalize().map_err(unreadable)?;
    for above in directory.ancestors() {
        let found = above.symlink_metadata().map_err(unreadable)?;
        hooks::may_hold(seen(&found, user)).map_err(|why| format!("{}: {why}", above.display()))?;
    }
    let entries = std::fs::read_dir(&directory).map_err(unreadable)?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.retain(|file| match verdict(file, user) {
        Ok(()) => true,
        Err(why) => {
            let level = if why.is_a_mistake() { log::Level::Warn } else { log::Level::Debug };
            log::log!(level, "{} is not run: {why}", file.display());
            false
        }
    });
    Ok(files)
}

fn verdict(file: &Path, user: &SystemUser) -> Result<(), Skip> {
    let name = file.file_name().and_then(|name| name.to_str()).ok_or(Skip::Name)?;
    let found = file.symlink_metadata().map_err(|_| Skip::NoFile)?;
    hooks::may_run(name, seen(&found, user))
}

fn seen(found: &Metadata, user: &SystemUser) -> Seen {
    let kind = if found.is_file() {
        Kind::File
    } else if found.is_dir() {
        Kind::Directory
    } else {
        Kind::Other
    };
    let owner = match found.uid() {
        0 => Owner::Root,
        uid if uid == user.uid() => Owner::HookUser,
        _ => Owner::Other,
    };
    Seen { kind, owner, mode: found.mode() }
}

/// The environment variables of a program, as far as their values are known.
fn variables(agent: &mut Agent, event: Event) -> Vec<(&'static str, OsString)> {
    let request = agent.request;
    let role = event.role();
    let position = match role {
        Role::Primary => {
            agent.postgres.replication().ok().map(|replication| (replication.timeline, replication.current))
        }
        Role::Standby => {
            let until = agent.request.deadline.or_after(agent.clock, READING_PATIENCE);
            agent.postgres.vote(until).ok().map(|vote| (vote.timeline(), vote.lsn()))
        }
    };
    let primary = primary(agent);
    let mut variables = vec![
        ("PGSQLMS_EVENT", event.as_str().into()),
        ("PGSQLMS_RESOURCE", request.instance.clone().into()),
        ("PGSQLMS_NODE", request.me.as_str().into()),
        ("PGSQLMS_ROLE", role.to_string().into()),
        ("PGSQLMS_PGDATA", request.config.pgdata.clone().into()),
        ("PGSQLMS_PRIMARY", primary.map(|node| node.to_string()).unwrap_or_default().into()),
    ];
    if let Some((timeline, lsn)) = position {
        variables.extend([("PGSQLMS_TIMELINE", timeline.to_string().into()), ("PGSQLMS_LSN", lsn.to_string().into())]);
    }
    variables
}

/// The primary once the transition is over, as far as Pacemaker has passed it.
fn primary(agent: &Agent) -> Option<NodeName> {
    let transition = &agent.request.transition;
    let stays = || transition.promoted.difference(&transition.demote).next();
    transition.promote.iter().next().or_else(stays).cloned()
}
