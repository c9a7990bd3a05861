//! What becomes of diverged nodes, in tables.

use super::*;
use crate::rules::table;

const SINCE: &str = "stage=nothing\nabout=2@0/100\nattempts=1";
const SPENT: &str = "stage=nothing\nabout=2@0/100\nattempts=3\nwhy=no connection";
const ORDERED: &str = "stage=ordered\nabout=2@0/100";
const ORDERED_BEFORE: &str = "stage=ordered\nabout=1@0/80";
const ORDERED_SPENT: &str = "stage=ordered\nabout=2@0/100\nattempts=3\nwhy=no connection";
const HALF: &str = "stage=rewinding\nabout=2@0/100\nattempts=1\nevidence=/e";
const HALF_SPENT: &str = "stage=rewinding\nabout=2@0/100\nattempts=3\nevidence=/e\nwhy=the source was gone";
const ONCE: &str = "stage=rewound\nabout=2@0/100\nattempts=1\nevidence=/e";
const ONCE_FOR_ANOTHER: &str = "stage=rewound\nabout=1@0/80\nattempts=1\nevidence=/e";
const SPENT_SILENTLY: &str = "stage=nothing\nabout=2@0/100\nattempts=3";
const SPENT_FOR_ANOTHER: &str = "stage=nothing\nabout=1@0/80\nattempts=3\nwhy=no connection";
const ORDERED_BEFORE_AND_SPENT: &str = "stage=ordered\nabout=1@0/80\nattempts=3\nwhy=no connection";
const ORDERED_AND_TRIED: &str = "stage=ordered\nabout=2@0/100\nattempts=1\nwhy=no connection";
const BLOCKED_FOR_ANOTHER: &str = "stage=blocked\nabout=1@0/80\nattempts=1\nwhy=no space";
const HOPELESS: &str = "stage=hopeless\nabout=2@0/100\nattempts=1\nwhy=WAL is gone";
const HOPELESS_FOR_ANOTHER: &str = "stage=hopeless\nabout=1@0/80\nattempts=1\nwhy=WAL is gone";
const BLOCKED: &str = "stage=blocked\nabout=2@0/100\nattempts=1\nwhy=no space";

fn diverged() -> Divergence {
    Divergence {
        by_hand: false,
        timeline: Timeline(2),
        switch: Lsn(0x100),
        node: NodeName::new("srv2"),
        at: Some(Lsn(0x100)),
        end: Lsn(0x180),
    }
}

/// Policy, notes, whether it has diverged, whether there is a primary → what start does.
fn starts((policy, notes, strayed, primary): (Rejoin, &str, bool, bool)) -> &'static str {
    let divergence = strayed.then(diverged);
    begins(before_launch(policy, &notes.parse().unwrap(), divergence.as_ref(), None, primary))
}

/// Notes → what start does where a rewind would not be begun.
fn starts_with_an_obstacle(notes: &str) -> &'static str {
    let obstacle = Some("it has a backup_label");
    begins(before_launch(Rejoin::Rewind, &notes.parse().unwrap(), Some(&diverged()), obstacle, true))
}

table! { starts_with_an_obstacle;
    what_is_impossible_is_not_begun: "" => "as it is";
    half_rewound_has_a_backup_label: HALF => "rewind";
}

fn begins(verdict: BeforeLaunch) -> &'static str {
    match verdict {
        BeforeLaunch::AsItIs => "as it is",
        BeforeLaunch::Rewind => "rewind",
        BeforeLaunch::Refuse(_) => "refuse",
    }
}

table! { starts;
    a_node_on_the_history_is_left_alone: (Rejoin::Rewind, "", false, true) => "as it is";
    a_strayed_node_is_rewound_if_that_is_wanted: (Rejoin::Rewind, "", true, true) => "rewind";
    no_rewind_is_wanted: (Rejoin::Report, "", true, true) => "as it is";
    the_policy_is_none: (Rejoin::None, "", true, true) => "as it is";
    a_copy_is_wanted_instead: (Rejoin::Rebuild, "", true, true) => "as it is";
    without_a_primary_there_is_no_source: (Rejoin::Rewind, "", true, false) => "as it is";
    an_operator_asked: (Rejoin::Report, ORDERED, true, true) => "rewind";
    an_order_is_for_one_promotion: (Rejoin::Report, ORDERED_BEFORE, true, true) => "as it is";
    however_often_that_was_tried: (Rejoin::Report, ORDERED_BEFORE_AND_SPENT, true, true) => "as it is";
    what_could_not_be_done_for_another_may_be_possible: (Rejoin::Rewind, BLOCKED_FOR_ANOTHER, true, true) => "rewind";
    an_order_for_a_node_that_follows_is_void: (Rejoin::Report, ORDERED, false, true) => "as it is";
    once_for_one_promotion: (Rejoin::Rewind, ONCE, true, true) => "as it is";
    another_promotion_is_another_matter: (Rejoin::Rewind, ONCE_FOR_ANOTHER, true, true) => "rewind";
    what_cannot_be_done_is_not_tried_again: (Rejoin::Rewind, BLOCKED, true, true) => "as it is";
    nor_is_what_can_never_be_done: (Rejoin::Rewind, HOPELESS, true, true) => "as it is";
    it_may_be_done_for_another: (Rejoin::Rewind, HOPELESS_FOR_ANOTHER, true, true) => "rewind";
    it_is_tried_again: (Rejoin::Rewind, SINCE, true, true) => "rewind";
    a_start_that_happens_anyway_may_try: (Rejoin::Rewind, SPENT, true, true) => "rewind";
    half_rewound_goes_on: (Rejoin::Rewind, HALF, true, true) => "rewind";
    half_rewound_goes_on_although_it_looks_well: (Rejoin::Rewind, HALF, false, true) => "rewind";
    half_rewound_goes_on_under_each_policy: (Rejoin::None, HALF, false, true) => "rewind";
    half_rewound_is_never_launched: (Rejoin::Rewind, HALF, false, false) => "refuse";
    half_rewound_too_often: (Rejoin::Rewind, HALF_SPENT, true, true) => "refuse";
}

/// Policy, notes, obstacle → what the monitor says.
fn says((policy, notes, obstacle): (Rejoin, &str, Option<&str>)) -> String {
    match while_running(policy, &notes.parse().unwrap(), &diverged(), obstacle, "pgsqld") {
        Diverged::Report(reason) => reason,
        Diverged::Restart(reason) => format!("RESTART: {reason}"),
        Diverged::Rebuild => "REBUILD".to_owned(),
    }
}

const STRAYED: &str = "it diverged from timeline 2 (srv2) at 0/100 by 128 bytes of WAL";
const RESTART: &str =
    "RESTART: restarts to be rewound: it diverged from timeline 2 (srv2) at 0/100 by 128 bytes of WAL";

fn report(more: &str) -> String {
    format!("run `pgsqlms rejoin --resource pgsqld` here{more}: {STRAYED}")
}

table! { says;
    a_report_names_the_command: (Rejoin::Report, "", None) => report("");
    wanted_is_done: (Rejoin::Rewind, "", None) => RESTART;
    ordered_is_done: (Rejoin::Report, ORDERED, None) => RESTART;
    ordered_is_done_under_each_policy: (Rejoin::None, ORDERED, None) => RESTART;
    tried_in_vain_is_tried_again: (Rejoin::Rewind, SINCE, None) => RESTART;
    but_not_for_ever: (Rejoin::Rewind, SPENT, None) => report(" (no connection)");
    without_a_word_of_why: (Rejoin::Rewind, SPENT_SILENTLY, None) => report("");
    another_promotion_begins_anew: (Rejoin::Rewind, SPENT_FOR_ANOTHER, None) => RESTART;
    so_it_does_where_it_was_impossible: (Rejoin::Rewind, BLOCKED_FOR_ANOTHER, None) => RESTART;
    nor_for_an_operator: (Rejoin::Report, ORDERED_SPENT, None) => report(" (no connection)");
    once_is_enough: (Rejoin::Rewind, ONCE, None) => report(" once more");
    a_note_about_another_promotion_is_not_reported: (Rejoin::Report, ONCE_FOR_ANOTHER, None) => report("");
    impossible_is_said: (Rejoin::Rewind, BLOCKED, None) =>
        format!("not rewound, no space; then `pgsqlms rejoin --resource pgsqld`: {STRAYED}");
    hopeless_is_said_with_what_helps: (Rejoin::Rewind, HOPELESS, None) =>
        format!("run `pgsqlms rebuild --resource pgsqld` here, WAL is gone: {STRAYED}");
    under_another_policy: (Rejoin::Report, HOPELESS, None) =>
        format!("run `pgsqlms rebuild --resource pgsqld` here, WAL is gone: {STRAYED}");
    it_was_about_another_promotion: (Rejoin::Rewind, HOPELESS_FOR_ANOTHER, None) => RESTART;
    an_obstacle_is_said_at_once: (Rejoin::Rewind, ORDERED, Some("no checksums")) =>
        format!("run `pgsqlms rebuild --resource pgsqld` here, no checksums: {STRAYED}");
    a_copy_is_made_if_that_is_wanted: (Rejoin::Rebuild, "", None) => "REBUILD";
    also_after_a_failed_rewind: (Rejoin::Rebuild, BLOCKED, None) => "REBUILD";
    a_rewind_that_is_impossible_is_no_matter: (Rejoin::Rebuild, "", Some("no checksums")) => "REBUILD";
    an_operators_rewind_comes_first: (Rejoin::Rebuild, ORDERED, None) => RESTART;
    as_with_paf: (Rejoin::None, "", None) =>
        format!("stop the resource here, then rebuild this node by pg_rewind or pg_basebackup: {STRAYED}");
}

/// Notes, whether it runs, whether it follows → how far it is.
fn is_at((notes, runs, follows): (&str, bool, bool)) -> Progress {
    progress(&notes.parse().unwrap(), runs.then_some(Phase::Ready), follows)
}

table! { is_at;
    ordered_and_not_begun: (ORDERED, true, false) => Progress::Waiting;
    restarted_in_vain: (ORDERED_SPENT, true, false) => Progress::Failed("no connection".to_owned());
    it_is_tried_once_more: (ORDERED_AND_TRIED, true, false) => Progress::Waiting;
    it_does_not_run_and_nothing_was_tried: (ORDERED, false, false) => Progress::Waiting;
    half_way_and_not_running: (HALF, false, false) => Progress::Rewinding;
    it_does_not_run_after_that: ("stage=ordered\nwhy=no connection", false, false) =>
        Progress::Failed("no connection".to_owned());
    half_way: (HALF, true, false) => Progress::Rewinding;
    half_way_for_the_last_time: (HALF_SPENT, true, false) => Progress::Rewinding;
    half_way_for_ever: (HALF_SPENT, false, false) => Progress::Failed("the source was gone".to_owned());
    not_possible: (BLOCKED, true, false) => Progress::Failed("no space".to_owned());
    never_possible: (HOPELESS, true, false) => Progress::Failed("WAL is gone".to_owned());
    rewound_and_on_its_way: (ONCE, true, false) => Progress::Starting;
    there: (ONCE, true, true) => Progress::Done;
}

fn progress_text(progress: Progress) -> String {
    progress.to_string()
}

table! { progress_text;
    that_pacemaker_has_to_act: Progress::Waiting => "Waiting for Pacemaker to restart PostgreSQL here (not in maintenance \
        mode, and there must be a primary) ...";
    that_it_goes_on: Progress::Rewinding => "Rewinding ...";
    that_the_worst_is_over: Progress::Starting => "Rewound. Waiting for it to follow the primary ...";
    that_it_is_over: Progress::Done => "It follows the primary.";
    what_went_wrong: Progress::Failed("no luck".to_owned()) => "It went wrong: no luck";
}

fn explains(half: Half) -> String {
    half.message("pgsqld")
}

table! { explains;
    that_the_primary_is_missing: Half::NoPrimary =>
        "it is half rewound and there is no primary to go on with: clean up when there is one";
    that_it_was_enough: Half::GaveUp("no luck".to_owned()) =>
        "it is half rewound: run `pgsqlms rejoin --resource pgsqld --yes`, or `rebuild`; no luck";
}

/// Vote, record → the divergence.
fn diverges((vote, record): (&str, &str)) -> Option<String> {
    divergence(&NodeName::new("srv1"), &vote.parse().unwrap(), &record.parse().unwrap())
        .map(|divergence| divergence.to_string())
}

table! { diverges;
    what_only_this_node_has_is_at_stake: ("1#512 history=1", "2@0/100 srv2 0 history=1@0/100,2") =>
        Some("diverged from timeline 2 (srv2) at 0/100 by 256 bytes of WAL".to_owned());
    who_can_follow_has_not: ("1#256 history=1", "2@0/100 srv2 0 history=1@0/100,2") => None;
    two_timelines_of_one_number: ("2#512 history=1@0/80,2", "2@0/100 srv2 0 history=1@0/100,2") =>
        Some("diverged from timeline 2 (srv2) at 0/80 by 384 bytes of WAL".to_owned());
    a_later_timeline_of_its_own: ("3#512 history=1@0/80,3", "2@0/100 srv2 0 history=1@0/100,2") =>
        Some("diverged from timeline 2 (srv2) at 0/80 by 384 bytes of WAL".to_owned());
}

/// The order, the score of srv1, which has diverged → whether it says that it must never be promoted.
fn goes_back((ordered, score): (&str, Option<i32>)) -> bool {
    let ordered = (!ordered.is_empty()).then(|| NodeName::new(ordered));
    steps_back(&NodeName::new("srv1"), ordered.as_ref(), score.map(Score))
}

table! { goes_back;
    a_former_primary: ("", Some(1001)) => true;
    one_that_is_connected: ("", Some(-1)) => true;
    one_that_is_not: ("", Some(-1000)) => true;
    one_that_was_never_ranked: ("", None) => true;
    once_is_enough_for_that: ("", Some(-1_000_000)) => false;
    an_operator_wants_it_all_the_same: ("srv1", Some(1)) => false;
    an_operator_wants_another: ("srv10", Some(1)) => true;
}
