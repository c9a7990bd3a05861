//! Only promotions on record make history. 0/100 is #256, 0/200 is #512, 0/300 is #768.

use super::chosen;
use crate::rules::table;

table! { chosen;
    promoted_by_hand_beside_the_primary: (
        "srv2=3#776,history=1@0/100|2@0/300|3 srv3=2#900,history=1@0/100|2", "2@0/100 srv1 0 kept", "") => "srv3";
    promoted_by_hand_with_promises: (
        "srv2=3#776,history=1@0/100|2@0/300|3 srv3=2#900,history=1@0/100|2",
        "2@0/100 srv1 0 kept", "srv1: ANY 1 (srv1, srv2, srv3)") => "none: Synchronous";
    the_primary_is_back_beside_one_promoted_by_hand: (
        "srv2=3#9000,history=1@0/100|2@0/300|3 srv1=2#900,history=1@0/100|2",
        "2@0/100 srv1 0 kept", "srv1: ANY 1 (srv1, srv2, srv3)") => "srv1";
    promoted_by_hand_from_the_first_timeline: ("srv2=2#776,history=1@0/300|2 srv3=1#900", "1@0/0 srv1 0 kept", "") => "srv3";
    promoted_by_hand_and_nothing_is_lost: (
        "srv2=3#776,history=1@0/100|2@0/300|3 srv3=2#768,history=1@0/100|2", "2@0/100 srv1 0 kept", "")
        => "srv2, timeline 3 of srv2 adopted";
    all_follow_who_was_promoted_by_hand: (
        "srv2=3#776,history=1@0/100|2@0/300|3 srv3=3#770,history=1@0/100|2@0/300|3",
        "2@0/100 srv1 0 kept end=0/300", "srv1: ANY 1 (srv2, srv3)") => "srv2, timeline 3 of srv2 adopted";
    promoted_by_hand_before_the_clean_end: (
        "srv2=3#776,history=1@0/100|2@0/300|3", "2@0/100 srv1 0 kept end=0/308", "") => "none: History";
    promoted_by_hand_before_a_noted_position: (
        "srv2=3#776,history=1@0/100|2@0/300|3", "2@0/100 srv1 0 kept known=0/308@5", "") => "none: History";
    promoted_by_hand_and_one_is_silent: (
        "srv2=3#776,history=1@0/100|2@0/300|3 srv3=-", "2@0/100 srv1 0 kept", "") => "none: History";
    promoted_by_hand_and_another_would_win_while_one_is_silent: (
        "srv1=3#776,history=1@0/100|2@0/300|3 srv2=2#768,history=1@0/100|2 srv3=-", "2@0/100 srv3 0 kept", "")
        => "srv1, timeline 3 of srv1 adopted, silent srv3";
    promoted_by_hand_and_the_other_is_barred_while_one_is_silent: (
        "srv1=3#776,history=1@0/100|2@0/300|3 srv2=2#768,history=1@0/100|2 srv3=- !srv2", "2@0/100 srv3 0 kept", "")
        => "none: AllBarred";
    promoted_by_hand_and_one_has_not_read_all: (
        "srv2=3#776,history=1@0/100|2@0/300|3 srv3=2#700,history=1@0/100|2,extent=atleast", "2@0/100 srv1 0 kept", "") => "srv3";
    no_second_one_beside_who_was_promoted_by_hand: (
        "srv2=3#776,history=1@0/100|2@0/300|3 srv3=2#900,history=1@0/100|2 *srv2", "2@0/100 srv1 0 kept", "") => "none: RunningPrimary";
    who_wrote_the_recorded_timeline_of_another_and_was_stopped: (
        "srv1=2#700,history=1@0/100|2 srv2:2#900,history~1@0/100|2,primary~yes", "2@0/100 srv3 0 kept", "") => "srv1";
    who_was_stopped_on_its_own_timeline: (
        "srv1=2#700,history=1@0/100|2 srv2:2#900,history~1@0/100|2,primary~yes", "2@0/100 srv2 0 kept", "") => "none: AllBarred";
    who_was_stopped_on_the_timeline_that_was_only_announced: (
        "srv1=2#700,history=1@0/100|2 srv2:2#900,history~1@0/100|2", "2@0/100 srv2 0 intended history=1@0/100,2", "")
        => "none: AllBarred";
    two_were_promoted_by_hand: (
        "srv2=3#776,history=1@0/100|2@0/300|3 srv3=3#784,history=1@0/100|2@0/308|3", "2@0/100 srv1 0 kept", "") => "srv3, timeline 3 of srv3 adopted";
    two_were_promoted_by_hand_one_after_the_other: (
        "srv2=3#776,history=1@0/100|2@0/300|3 srv3=4#784,history=1@0/100|2@0/308|4", "2@0/100 srv1 0 kept", "") => "srv3, timeline 4 of srv3 adopted";
    two_were_promoted_by_hand_and_one_holds_more: (
        "srv1=2#800,history=1@0/100|2 srv2=3#776,history=1@0/100|2@0/300|3 srv3=4#784,history=1@0/100|2@0/308|4",
        "2@0/100 srv1 0 kept", "") => "srv1";
    two_were_promoted_by_hand_at_one_point: (
        "srv2=3#776,history=1@0/100|2@0/300|3 srv3=4#784,history=1@0/100|2@0/300|4", "2@0/100 srv1 0 kept", "") => "none: History";
    promoted_by_hand_from_before_the_last_promotion: (
        "srv2=3#300,history=1@0/F0|3 srv3=2#512,history=1@0/100|2", "2@0/100 srv1 0 kept", "") => "srv3";
    promoted_by_hand_with_the_number_that_was_announced: (
        "srv3=3#776,history=1@0/100|2@0/300|3 srv2=2#800,history=1@0/100|2",
        "3@0/310 srv2 1 intended history=1@0/100,2@0/310,3; 2@0/100 srv1 0 kept history=1@0/100,2", "") => "srv2";
    no_record_and_two_made_one_timeline: ("srv1=2#300,history=1@0/90|2 srv2=2#310,history=1@0/100|2", "", "")
        => "none: Namesakes";
    no_record_and_the_old_primary_had_more: ("srv1=1#900 srv2=2#310,history=1@0/100|2", "", "") => "srv2";
}
