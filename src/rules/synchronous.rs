//! Synchronous replication: what the primary promised, and which nodes may be promoted by that.
//!
//! A commit under `synchronous_standby_names` is acknowledged once `k` of the standbys it names have flushed it. After
//! the primary is gone, a commit can only be on some `k` of those `n` names, and we cannot know which: a sampled
//! `sync_state` is out of date the moment it is read. So the votes in an election must include a member of *every* set
//! of `k` names, that is, at least `n - k + 1` of them; the winner, having the most WAL among the voters, then holds
//! every acknowledged commit. `FIRST k` is treated as `ANY k`, because a change of connections changes which one is first.
//!
//! Its parts, all pure:
//!
//! * [`setting`] reads `synchronous_standby_names` exactly as PostgreSQL does;
//! * [`published`] is the text in which a primary publishes its promises, in one line;
//! * [`receivers`] says which receivers confirm commits;
//! * [`verdict`](mod@verdict) decides from that and the votes whether a candidate may be promoted;
//! * [`steps`] says what the primary does next: publish, apply a setting, or nothing;
//! * [`weak`] says where a commit is acknowledged before it is as safe as that, and what the loss of one node would stop;
//! * [`waiting`] says that commits wait for a standby which does not answer.
//!
//! # What the rules rely on
//!
//! * Publishing comes first. A primary publishes a setting before it takes effect, and a candidate publishes its own
//!   ([`before_promotion`]) before it is promoted. Where a DBA owns the setting, the primary can only publish after the
//!   fact: until its next monitor, a setting weakened by hand is not known to the others.
//! * A name stands for one node. PostgreSQL counts connections, not names: two walsenders called `srv2` satisfy
//!   `ANY 2 (srv2, srv3)`, and an old connection that has not timed out yet counts for as long as it is listed.
//! * Only what reports a flush position is eligible: `pg_receivewal` and a base backup do so with a slot or
//!   `--synchronous`, otherwise they stay `async` even under `*` ([`receivers`]). A node that has left is forgotten once nodes
//!   hold what it may have confirmed.
//! * `synchronous_commit` is `on` or `remote_apply`. With `remote_write` a standby acknowledges what its own operating
//!   system may still lose, with `local` and `off` no client was promised anything.
//! * A list that is too long is safe, one that is too short is not: an extra name only raises the number of votes
//!   needed. Names outside the cluster are therefore counted, although they never vote.

pub mod published;
pub mod receivers;
pub mod setting;
pub mod steps;
pub mod verdict;
pub mod waiting;
pub mod weak;

#[cfg(test)]
mod strangers_walk;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;

pub use published::{Electorate, Guard, Published};
pub use setting::{BadSetting, Member, Method, SyncSetting};
pub use steps::{Management, PrimaryFacts, Step, Strictness, before_promotion, next_step};
pub use verdict::{
    LastPrimary, Loss, OVERRIDE_COMMAND, Operator, PromotionFacts, Proof, Refusal, Shortfall, Verdict, verdict,
};
