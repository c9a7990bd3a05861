//! Named rows for the parser of `synchronous_standby_names`.

use super::*;
use crate::rules::table;

/// What PostgreSQL makes of a value, in its longest form; or why it refuses.
fn read(text: &str) -> String {
    text.parse::<SyncSetting>().map_or_else(|error| format!("! {error}"), |setting| setting.to_string())
}

// Each row was put to PostgreSQL 15.18, which accepts and refuses the same ones, as it does 3,700 generated values.
table! { read;
    empty_is_off:                 ""                          => "";
    blank_is_not_empty:           " "                         => "! the list of synchronous standbys ends early";
    one_name:                     "srv2"                      => "FIRST 1 (srv2)";
    plain_list_is_first_one:      "srv2, srv3"                => "FIRST 1 (srv2, srv3)";
    number_alone_is_first:        "2(srv2,srv3)"              => "FIRST 2 (srv2, srv3)";
    first:                        "FIRST 2 (srv2, srv3)"      => "FIRST 2 (srv2, srv3)";
    any:                          "ANY 2 (srv2, srv3)"        => "ANY 2 (srv2, srv3)";
    keywords_in_any_case:         "aNy 1 (a)"                 => "ANY 1 (a)";
    vertical_tab:                 "a,\x0Bb"                   => "FIRST 1 (a, b)";
    any_space:                    "\t ANY\r1\n(\x0Ca ,b ) "   => "ANY 1 (a, b)";
    keyword_needs_no_space:       "any 1(a)"                  => "ANY 1 (a)";
    keyword_and_number_are_a_word: "any1 (a)"                 => "! unexpected \"(\" at byte 5 of the synchronous standbys";
    keyword_is_no_name:           "first"                     => "! the list of synchronous standbys ends early";
    keyword_in_a_list:            "a, any"                    => "! unexpected \"any\" at byte 3 of the synchronous standbys";
    keyword_needs_a_number:       "any (a)"                   => "! unexpected \"(\" at byte 4 of the synchronous standbys";
    keyword_needs_a_list:         "any 1"                     => "! the list of synchronous standbys ends early";
    name_starts_like_a_keyword:   "anyone, first_"            => "FIRST 1 (anyone, first_)";
    quoted_keyword:               "\"first\", \"Any\""        => "FIRST 1 (\"first\", \"Any\")";
    quoted_name:                  "\"node-1.example\""        => "FIRST 1 (\"node-1.example\")";
    quoted_quote:                 "\"a\"\"b\""                => "FIRST 1 (\"a\"\"b\")";
    quoted_separators:            "\"a, b)\", c"              => "FIRST 1 (\"a, b)\", c)";
    quoted_nothing:               "\"\""                      => "FIRST 1 (\"\")";
    two_quoted_in_a_row:          "\"a\" \"b\""               => "! unexpected \"b\" at byte 4 of the synchronous standbys";
    quote_not_closed:             "\"a"                       => "! a double-quoted standby name is not closed";
    quote_closed_by_two:          "\"a\"\""                   => "! a double-quoted standby name is not closed";
    bare_dash:                    "node-1"                    => "! unexpected \"-\" at byte 4 of the synchronous standbys";
    bare_dollar_inside:           "a$1, _b"                   => "FIRST 1 (a$1, _b)";
    bare_dollar_first:            "$a"                        => "! unexpected \"$\" at byte 0 of the synchronous standbys";
    single_quotes:                "'a'"                       => "! unexpected \"'\" at byte 0 of the synchronous standbys";
    letters_beyond_ascii:         "sörver, ö"                 => "FIRST 1 (sörver, ö)";
    byte_position_beyond_ascii:   "ö -"                       => "! unexpected \"-\" at byte 3 of the synchronous standbys";
    number_as_name:               "12"                        => "FIRST 1 (\"12\")";
    number_and_list_of_numbers:   "1 (2, 3)"                  => "FIRST 1 (\"2\", \"3\")";
    numbers_as_a_list:            "1, 2"                      => "FIRST 1 (\"1\", \"2\")";
    digit_first_is_two_tokens:    "1a"                        => "! unexpected \"a\" at byte 1 of the synchronous standbys";
    quoted_number_is_no_count:    "\"1\" (a)"                 => "! unexpected \"(\" at byte 4 of the synchronous standbys";
    none_required:                "ANY 0 (a)"                 => "! the number of synchronous standbys must be positive, not 0";
    none_required_but_bad_list:   "ANY 0 (a"                  => "! the list of synchronous standbys ends early";
    minus_one:                    "-1 (a)"                    => "! unexpected \"-\" at byte 0 of the synchronous standbys";
    leading_zeros:                "ANY 007 (a)"               => "ANY 7 (a)";
    largest_number:               "2147483647 (a)"            => "FIRST 2147483647 (a)";
    number_wraps_to_negative:     "2147483648 (a)"            => "! the number of synchronous standbys must be positive, not 2147483648";
    number_wraps_to_zero:         "4294967296 (a)"            => "! the number of synchronous standbys must be positive, not 4294967296";
    number_wraps_to_one:          "4294967297 (a)"            => "FIRST 1 (a)";
    number_beyond_a_long:         "99999999999999999999 (a)"  => "! the number of synchronous standbys must be positive, not 99999999999999999999";
    more_required_than_named:     "ANY 3 (a)"                 => "ANY 3 (a)";
    named_twice:                  "ANY 2 (a, a)"              => "ANY 2 (a, a)";
    star:                         "*"                         => "FIRST 1 (*)";
    star_in_a_list:               "any 2 (a,*,b)"             => "ANY 2 (a, *, b)";
    quoted_star_is_a_star:        "\"*\""                     => "FIRST 1 (*)";
    star_is_no_pattern:           "srv*"                      => "! unexpected \"*\" at byte 3 of the synchronous standbys";
    no_list:                      "ANY 1 ()"                  => "! unexpected \")\" at byte 7 of the synchronous standbys";
    list_without_a_number:        "(a)"                       => "! unexpected \"(\" at byte 0 of the synchronous standbys";
    comma_last:                   "a,"                        => "! the list of synchronous standbys ends early";
    comma_first:                  ",a"                        => "! unexpected \",\" at byte 0 of the synchronous standbys";
    no_comma:                     "a b"                       => "! unexpected \"b\" at byte 2 of the synchronous standbys";
    not_closed:                   "ANY 1 (a"                  => "! the list of synchronous standbys ends early";
    more_after_the_list:          "ANY 1 (a), b"              => "! unexpected \",\" at byte 9 of the synchronous standbys";
    nested:                       "ANY 1 ((a))"               => "! unexpected \"(\" at byte 7 of the synchronous standbys";
}

/// Reading back what was written gives the same.
#[test]
fn a_setting_reads_what_it_writes() {
    for text in ["", "any 2 (*, \"a\"\"b\", \"first\", 12, \"\", sörver)", "a, \"*\""] {
        let setting: SyncSetting = text.parse().unwrap();
        assert_eq!(setting.to_string().parse(), Ok(setting));
    }
}
