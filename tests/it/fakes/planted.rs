//! Bugs that the simulation must notice.

/// Planted bugs: each is one that PAF has, or that this agent must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// PAF #225: a vote counts only WAL received since the standby was started.
    VotesWithReceivedOnly,
    /// A vote for which not all WAL was read counts as one for which it was.
    CutVotesAreExact,
    /// PAF #131: the votes are waited for until all have come.
    WaitsForEveryVote,
    /// PAF #180: no node checks the record of promotions.
    IgnoresTheRecord,
    /// PAF #195: a primary that is recovered is promoted without an election.
    RecoversWithoutElection,
    /// No node checks the primary's promises.
    IgnoresPromises,
    /// PAF #26, #220: no node becomes a candidate when none is promotable.
    KeepsNegativeScores,
    /// Votes that an earlier election has left behind count in the next one.
    CountsOldVotes,
    /// `srv10` is taken for `srv1`.
    MatchesNamesByPrefix,
    /// No node publishes that its disk is full.
    ConcealsFullDisks,
    /// No node publishes that it recovers and cannot be promoted yet.
    ConcealsRecovery,
    /// No node publishes that it runs as a primary, or did so when it was stopped.
    ConcealsPrimaries,
    /// A node forgets that it has written the timeline of another, once it has been restarted.
    ForgetsForks,
    /// A primary publishes its synchronous guarantee after it is in force, not before.
    PromisesTooLate,
    /// A timeline that no election has announced counts like one on record.
    StraysAreOnRecord,
    /// A primary that no election made is on record as the primary as far as itself sees.
    StraysPublish,
    /// A node that acknowledged commits proves them by being there, without a check of its WAL.
    HolderIsAName,
    /// A vote, the record and the promises do not name their database.
    DatabasesAreAlike,
    /// The record of another database stays as it is.
    OldRecordStays,
    /// Where a primary was shut down cleanly is not recorded.
    EndIsNotRecorded,
    /// No node sees that Pacemaker may not promote another.
    BansAreUnseen,
    /// A base backup counts as a standby that confirms commits.
    BackupsConfirm,
}
