//! Whether there were two primaries, from their acknowledgements.

use super::*;

/// Upper case acknowledges as configured, lower case locally; the letter is the server, the digit its timeline, then
/// when it was sent and acknowledged, in milliseconds: `A1:0-2 b2:5-7`.
fn primaries_in(text: &str) -> String {
    let acks: Vec<Ack> = text
        .split_whitespace()
        .map(|word| {
            let (writer, when) = word.split_once(':').unwrap();
            let (sent, acked) = when.split_once('-').unwrap();
            let letter = writer.chars().next().unwrap();
            let at = |text: &str| Moment(text.parse::<u64>().unwrap() * 1000);
            Ack {
                instance: server(letter.to_ascii_uppercase(), writer[1..].parse().unwrap()),
                proof: if letter.is_uppercase() { Proof::Ackable } else { Proof::Writable },
                sent: at(sent),
                acked: at(acked),
            }
        })
        .collect();
    let found = primaries(&acks);
    assert_eq!(found.never_two(), found.witnesses == 0 && found.dual_writable_ms == 0);
    format!("{} {} {}", found.dual_writable_ms, found.dual_ackable_ms, found.witnesses)
}

macro_rules! primary_tables {
    ($($name:ident: $acks:expr => $found:expr;)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(primaries_in($acks), $found);
        })*
    };
}

primary_tables! {
    // acks                                                           writable ms, ackable ms, witnesses
    no_commit:                     ""                                       => "0 0 0";
    one_primary:                   "A1:0-2 A1:50-52 A1:100-102"             => "0 0 0";
    failover:                      "A1:0-2 A1:50-52 B2:100-102 B2:150-152"  => "0 0 0";
    there_and_back:                "A1:0-2 B2:50-52 C3:100-102"             => "0 0 0";
    planted_witness:               "A1:0-2 B2:50-52 A1:100-102"             => "0 0 1";
    planted_overlap:               "A1:0-2 B2:50-52 A1:100-102 B2:150-152"  => "48 48 2";
    locally_only:                  "a1:0-2 B2:50-52 a1:100-102 B2:150-152"  => "48 0 2";
    neither_acknowledges:          "a1:0-2 b2:50-52 a1:100-102 b2:150-152"  => "48 0 2";
    same_timeline_still_two:       "A1:0-2 B1:50-52 A1:100-102"             => "0 0 1";
    sent_as_the_other_is_acked:    "A1:0-2 B2:2-100 A1:100-102"             => "0 0 1";
    restarted_meanwhile:           "A1:0-2 B2:50-52 Z3:100-102"             => "0 0 0";
    promoted_meanwhile:            "A1:0-2 B2:50-52 A3:100-102"             => "0 0 0";
    a_late_answer_proves_nothing:  "B1:0-90 A2:50-52 A2:100-102"            => "0 0 0";
    three_at_once_count_once:      "A1:0-2 B2:0-2 C3:0-2 A1:9-11 B2:9-11 C3:9-11" => "7 7 0";
    order_of_recording_is_nothing_here: "A1:100-102 B2:50-52 A1:0-2"        => "0 0 1";
}
