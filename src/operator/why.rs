//! why: explains why no node is promoted, or what would happen if the primary died now. It changes nothing.

mod json;
mod votes;

use std::path::PathBuf;

use clap::Parser;

use crate::actions::election;
use crate::command::CommandError;
use crate::env::Environment;
use crate::exit::OcfExitCode;
use crate::failure::Failure;
use crate::node::NodeName;
use crate::pacemaker::cib::Cib;
use crate::pacemaker::{Pacemaker, PacemakerError, Property};
use crate::rules::memory::Recalled;
use crate::rules::promotion;
use crate::rules::why::{self, Facts, Gone};

use super::check::Parameters;
use super::sight::{self, Seen, Sight};
use super::status;

/// Explains why no node is promoted, or which one would be if the primary died now, and the loss by that.
///
/// The exit code is that of a monitoring plugin: 0 a node would be promoted, 1 none would, 2 none is, 3 it could not be seen.
#[derive(Debug, Clone, Parser)]
#[command(name = "pgsqlms why", no_binary_name = true)]
pub struct Why {
    /// The node that it is about; the whole cluster if not given.
    node: Option<String>,
    /// A saved cluster instead of the running one: what `cibadmin --query` prints, or a `pe-input-*.bz2` of the scheduler.
    #[arg(long, value_name = "FILE")]
    cib: Option<PathBuf>,
    /// The resource, or its clone. Not needed where this agent has only one.
    #[arg(long)]
    resource: Option<String>,
    /// One object for programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    parameters: Parameters,
}

/// Looks and explains; the exit code.
pub fn run(asked: &Why, environment: &Environment) -> OcfExitCode {
    let file = asked.cib.as_ref().map(|file| std::path::absolute(file).unwrap_or_else(|_| file.clone()));
    sight::live_shortly(if file.is_some() { sight::LONGEST_READING } else { sight::LONGEST_LIFE });
    status::print(gather(asked, file, environment).map(|facts| {
        let answer = why::explain(&facts, asked.node.as_ref().map(NodeName::new).as_ref());
        let text = if asked.json { json::report(&facts, &answer) } else { why::report(&facts, &answer) };
        (text, answer.level)
    }))
}

fn gather(asked: &Why, file: Option<PathBuf>, environment: &Environment) -> Result<Facts, Failure> {
    let sight = Sight::new(file)?;
    let Seen { facts: seen, failure, .. } = sight.look(asked.resource.as_deref(), &asked.parameters, environment)?;
    let gone = failure.as_ref().and_then(|failure| gone(&sight, failure));
    let mut facts = Facts {
        file: sight.file.as_ref().map(|file| file.display().to_string()),
        gone,
        election: Err("the cluster was not seen".to_owned()),
        no_votes: None,
        plan: Err("the cluster was not seen".to_owned()),
        quorum: Err("a file does not hold it".to_owned()),
        token: None,
        seen,
    };
    let Ok(cluster) = &facts.seen.cluster else { return Ok(facts) };
    let clone = cluster.clone.clone();
    let resource = facts.seen.resource.clone();
    let cib = sight.tools().cib().map_err(|error| error.to_string());
    facts.plan = sight.tools().plan(&resource, clone.as_deref()).map_err(|error| error.to_string());
    if sight.file.is_none() {
        facts.quorum = sight.tools().votes().map_err(|error| error.to_string());
        facts.token = sight.tools().token();
    }
    facts.election = match &cib {
        Ok(cib) => election_facts(&resource, cib, sight.clock.unix_time()),
        Err(why) => Err(why.clone()),
    };
    if facts.seen.primaries().is_empty() {
        facts.no_votes = match (&mut facts.election, &cib, sight.file.is_some()) {
            (_, _, true) => Some("a file does not hold them".to_owned()),
            (Ok(election), Ok(cib), false) => {
                votes::count(&mut sight.tools(), &facts.seen, cib, election).err().map(|error| error.to_string())
            }
            (Err(why), _, _) => Some(why.clone()),
            (_, Err(why), _) => Some(why.clone()),
        };
    }
    Ok(facts)
}

/// Why the cluster did not answer, where that is certain: only root sees the processes of other users.
fn gone(sight: &Sight, failure: &Failure) -> Option<Gone> {
    let Failure::Pacemaker(PacemakerError::Tool(error)) = failure else { return None };
    if sight.file.is_some() {
        return None;
    }
    match error {
        CommandError::NotStarted { .. } => Some(Gone::NoTools(error.to_string())),
        _ if !nix::unistd::geteuid().is_root() => None,
        _ if !sight.tools().is_running() => Some(Gone::NotRunning),
        _ => Some(Gone::Silent(error.to_string())),
    }
}

/// What an election depends on, by what the cluster has on record.
fn election_facts(resource: &str, cib: &Cib, now: u64) -> Result<promotion::Facts, String> {
    let property = |property: Property| cib.properties.get(&property.of(resource));
    let record = property(Property::Promotions).map(|text| text.parse()).transpose();
    let promotions = record.map_err(|error: crate::record::BadRecord| error.to_string())?.unwrap_or_default();
    let synchronous = property(Property::Synchronous).cloned();
    Ok(election::stated(resource, cib, Recalled { promotions, synchronous, is_news: false }, now))
}
