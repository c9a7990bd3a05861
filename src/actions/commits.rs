//! Whether acknowledged commits are as safe as they seem: what a person should know about a primary's settings.

use crate::agent::Agent;
use crate::boolean::is_yes;
use crate::pacemaker::ACCEPTS_LOSS;
use crate::pacemaker::cib::Cib;
use crate::postgres::{About, Replication};
use crate::rules::promotion::Facts;
use crate::rules::synchronous::waiting::{self, Waiting};
use crate::rules::synchronous::weak::{self, Inherited};
use crate::rules::synchronous::{Management, Published, SyncSetting};

use super::lasting::lasts;

/// What breaks the promise of the setting in force on this primary, or that it does not promise what the primary before it did.
pub fn look(agent: &mut Agent, cib: &Cib, circumstances: &Facts, replication: &Replication) -> Option<String> {
    let me = agent.request.me.clone();
    // A setting that cannot be read is reported elsewhere.
    let effective: SyncSetting = replication.synchronous_standby_names.parse().ok()?;
    if let Some(published) = &circumstances.published {
        compare(agent, &effective, published);
    }
    if cib.permanent(ACCEPTS_LOSS).get(&me).is_some_and(|said| is_yes(said)) {
        return None;
    }
    let accept = format!("or accept it: `pcs node attribute {me} {ACCEPTS_LOSS}=true`");
    if effective == SyncSetting::Off {
        let before: Published = agent.postgres.passing_note(About::Predecessor)?.parse().ok()?;
        let guard = before.0.first()?;
        let (primary, setting) = (&guard.primary, &guard.setting);
        return Some(format!(
            "commits wait for no standby: set synchronous_standby_names; {primary} had {setting}; {accept}"
        ));
    }
    let overrides = if replication.overridden { agent.postgres.overrides() } else { Ok(Vec::new()) };
    let overrides = overrides.map_err(|error| log::warn!("{error}")).ok()?;
    let weak = weak::weak(&effective, &replication.synchronous_commit, &overrides);
    let more = match weak.len() {
        0 | 1 => String::new(),
        many => format!(" (and {} more)", many - 1),
    };
    Some(format!("{}{more}; reset it, {accept}", weak.first()?))
}

/// That commits wait for a synchronous standby, as this monitor and the one before have found, and what ends that.
pub fn hung(
    agent: &mut Agent,
    circumstances: &Facts,
    replication: &Replication,
    management: Management,
) -> Option<String> {
    let waiting = match replication.synchronous_standby_names.is_empty() {
        true => Waiting::default(),
        false => agent.postgres.waiting().inspect_err(|error| log::warn!("{error}")).ok()?,
    };
    let lasted = lasts(agent, About::CommitsWait, waiting.is_long())?;
    let (me, members) = (&agent.request.me, &circumstances.members);
    let is_said = waiting.is_long() && !lasted.is_zero();
    is_said.then(|| waiting::reason(waiting, me, members, &replication.replicas, management))
}

/// Logs and notes it, if commits of this node, the primary or about to be, wait for no standby and those of the primary before
/// it did. `published` is what was, before this node publishes anything. The agent's own settings are as they are meant.
pub fn compare(agent: &mut Agent, effective: &SyncSetting, published: &Published) {
    if agent.request.config.synchronous.managed {
        agent.postgres.pass_on(About::Predecessor, None);
        return;
    }
    match weak::inherited(&agent.request.me, effective, published) {
        Inherited::Nothing => {}
        Inherited::AsMuch => _ = agent.postgres.pass_on(About::Predecessor, None),
        Inherited::Less(guard) => {
            log::warn!(
                "commits wait for no standby any more: synchronous_standby_names is empty here, and was {} on {}",
                guard.setting,
                guard.primary
            );
            agent.postgres.pass_on(About::Predecessor, Some(&Published(vec![*guard]).to_string()));
        }
    }
}

/// Logs what the loss of one node would stop, if the DBA's `setting` has not been published yet.
pub fn warn(agent: &Agent, setting: &SyncSetting, circumstances: &Facts) {
    let me = &agent.request.me;
    let is_known = circumstances.published.iter().flat_map(|published| &published.0);
    let mut is_known = is_known.filter(|guard| guard.primary == *me && guard.until.is_none());
    if agent.request.config.synchronous.managed || is_known.any(|guard| guard.setting == *setting) {
        return;
    }
    for fragile in weak::fragile(me, setting, &circumstances.members) {
        log::warn!("{fragile}");
    }
}
