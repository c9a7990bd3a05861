//! The loss by replacing a node's data: it is printed, and kept.

use super::{Rebuild, print_line};
use crate::actions::rejoin;
use crate::agent::Agent;
use crate::failure::Failure;
use crate::postgres::PostgresError;
use crate::rules::primary_wal::PrimaryWal;
use crate::rules::rebuild::{AtStake, unkept};
use crate::rules::rejoin::{Divergence, Stage};

/// What this node alone holds.
pub(super) fn at_stake(agent: &mut Agent) -> Result<(AtStake, Option<Divergence>), Failure> {
    let notes = agent.postgres.notes()?;
    if notes.stage == Stage::Rewinding {
        let by_hand = || AtStake::Unknown("a pg_rewind that was begun by hand has changed it".to_owned());
        return Ok((if notes.evidence.is_empty() { by_hand() } else { AtStake::Kept }, None));
    }
    Ok(match rejoin::look(agent) {
        Ok(None) => (AtStake::Nothing, None),
        Ok(Some(divergence)) => {
            let lack = agent.postgres.lacks_room(&divergence).unwrap_or_else(|error| Some(error.to_string()));
            (AtStake::Diverged(lack), Some(divergence))
        }
        Err(Failure::OtherDatabase(_)) => (AtStake::Everything, None),
        Err(error) => (AtStake::Unknown(error.to_string()), None),
    })
}

/// Keeps what this node alone holds, before anything becomes of it; whether all of that is kept. Nothing else is dropped, unless
/// an operator has said so.
pub(super) fn keep(
    agent: &mut Agent,
    command: &Rebuild,
    at_stake: &AtStake,
    divergence: Option<&Divergence>,
) -> Result<bool, Failure> {
    let Some(divergence) = divergence else { return Ok(matches!(at_stake, AtStake::Nothing | AtStake::Kept)) };
    match agent.postgres.keep(divergence) {
        Ok(place) => {
            command.report(&format!("What is dropped is kept in {}.", place.display()));
            Ok(true)
        }
        Err(error) => {
            if let Some(why) = unkept(&AtStake::Diverged(Some(error.to_string())), command.wish()) {
                return Err(Failure::NotRebuilt(why));
            }
            command.report(&format!("What is dropped is not kept: {error}"));
            Ok(false)
        }
    }
}

/// Prints the loss, and the objections.
pub(super) fn describe(agent: &mut Agent, at_stake: &AtStake, divergence: Option<&Divergence>) {
    let me = agent.request.me.clone();
    match (at_stake, divergence) {
        (AtStake::Nothing, _) => {
            print_line(&format!("{me} is on the cluster's history: it holds nothing that the primary lacks."));
            let unknown = |error: PostgresError| PrimaryWal::Unknown(error.to_string());
            print_line(&agent.postgres.primary_wal().unwrap_or_else(unknown).to_string());
        }
        (AtStake::Kept, _) => print_line(&format!("{me} is half rewound: what it alone held is kept in evidence_dir.")),
        (_, Some(divergence)) => {
            print_line(&format!("{me} has {divergence}. That would be dropped:"));
            match agent.postgres.at_stake(divergence) {
                Ok(transactions) => print_line(transactions.trim_end()),
                Err(error) => print_line(&format!("Its transactions cannot be listed: {error}")),
            }
        }
        (AtStake::Unknown(why), _) => {
            print_line(&format!("The loss cannot be determined: {me} may hold WAL that the primary lacks: {why}"))
        }
        (AtStake::Everything | AtStake::Diverged(_), None) => print_line(&format!(
            "{me} has another database than the primary. All of it would be dropped; --keep-old keeps it."
        )),
    }
}
