use super::*;
use crate::rules::table;

/// Every keyword with its value in angle brackets, or why not.
fn read(text: &str) -> String {
    match text.parse::<Conninfo>() {
        Ok(conninfo) => conninfo.iter().map(|(keyword, value)| format!("{keyword}<{value}>")).collect(),
        Err(error) => error.to_string(),
    }
}

table! { read;
    nothing: "" => "";
    spaces_only: " \t\n" => "";
    one: "host=srv1" => "host<srv1>";
    several: "host=srv1 port=5433\tuser=rep" => "host<srv1>port<5433>user<rep>";
    spaces_around_the_equals_sign: "host = srv1 port =5432" => "host<srv1>port<5432>";
    quotes: "password='a b' user=rep" => "password<a b>user<rep>";
    a_quote_in_quotes: r"password='it\'s'" => "password<it's>";
    a_quote_without_quotes: "password=it's" => "password<it's>";
    a_backslash_in_quotes: r"password='a\\b'" => r"password<a\b>";
    a_backslash_without_quotes: r"password=a\ b\\c" => r"password<a b\c>";
    a_backslash_at_the_end: r"password=a\" => "password<a>";
    an_equals_sign_in_a_value: "options=-csearch_path=x" => "options<-csearch_path=x>";
    nothing_between_a_quote_and_the_next_keyword: "host='srv1'port=1" => "host<srv1>port<1>";
    an_empty_value: "passfile= '' user=rep" => "passfile<>user<rep>";
    an_empty_value_at_the_end: "user=" => "user<>";
    an_empty_value_before_another_keyword: "user= host=x" => "user<host=x>";
    the_last_of_duplicates_wins: "host=a port=1 host=b" => "host<b>port<1>";
    unknown_keywords_are_kept: "tomorrow=1 host=a" => "tomorrow<1>host<a>";
    letters_of_all_languages: "user=jürgen password='пароль 密'" => "user<jürgen>password<пароль 密>";
    no_equals_sign: "host=a secret" => "an equals sign is missing at byte 7 of the connection string";
    no_keyword: "host=a =b" => "a keyword is missing at byte 7 of the connection string";
    an_open_quote: "host=a password='b" => "the quote at byte 16 of the connection string is never closed";
    a_quote_that_was_escaped: r"password='b\'" => "the quote at byte 9 of the connection string is never closed";

    a_uri: "postgresql://rep:pw@srv1:5433/app?sslmode=verify-full&application_name=srv%202"
        => "user<rep>password<pw>host<srv1>port<5433>dbname<app>sslmode<verify-full>application_name<srv 2>";
    a_short_uri: "postgres://" => "";
    a_uri_with_an_address: "postgresql://[2001:db8::1]:5433" => "host<2001:db8::1>port<5433>";
    a_uri_with_hosts: "postgresql://a:1,b,[::1]:3/" => "host<a,b,::1>port<1,,3>";
    a_uri_with_a_directory: "postgresql://%2Frun%2Fpg/?host=x" => "host<x>";
    a_uri_with_a_secret_of_signs: "postgresql://u:a%40b%2f%25@h" => "user<u>password<a@b/%>host<h>";
    a_uri_with_an_old_option: "postgresql://h?ssl=true" => "host<h>sslmode<require>";
    a_uri_with_an_open_bracket: "postgresql://[::1" => "the connection URI has a bracket that is never closed";
    a_uri_with_half_an_escape: "postgresql://h?user=%4" => "the connection URI has a percent sign without two hexadecimal digits";
    a_uri_with_a_zero: "postgresql://h%00" => "the connection URI has a percent sign without two hexadecimal digits";
    a_uri_that_ends_with_an_ampersand: "postgresql://h?user=a&" => "host<h>user<a>";
    a_uri_with_two_equals_signs: "postgresql://h?user=a=b" => "the connection URI has an equals sign too many";
    a_uri_with_an_empty_keyword: "postgresql://h?=a" => "the connection URI has a value without a keyword";
    a_uri_without_a_value: "postgresql://h?user" => "the connection URI has a keyword without a value";
}

/// What is printed after it has been read.
fn printed(text: &str) -> String {
    text.parse::<Conninfo>().unwrap().text()
}

table! { printed;
    plain: " host =  srv1  port='5432' " => "host=srv1 port=5432";
    empty: "passfile=''" => "passfile=''";
    with_spaces: "options='-c a=b'" => "options='-c a=b'";
    with_quotes_and_backslashes: r"password='it\'s \\ '" => r"password='it\'s \\ '";
    a_uri_becomes_keywords: "postgresql://u:a%20b@h/d" => "user=u password='a b' host=h dbname=d";
}

/// All texts of up to `most` of these characters.
fn texts_of(alphabet: &[char], most: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut begin = 0;
    for _ in 0..most {
        let end = all.len();
        let longer = all[begin..end].iter().flat_map(|text| alphabet.iter().map(move |c| format!("{text}{c}")));
        let longer: Vec<_> = longer.collect();
        all.extend(longer);
        begin = end;
    }
    all
}

#[test]
fn every_value_comes_back() {
    for value in texts_of(&['a', ' ', '\'', '\\', '=', '\n', '%', 'ü'], 4) {
        let mut conninfo = Conninfo::default();
        conninfo.set("host", "srv1");
        conninfo.set("password", &value);
        conninfo.set("user", "rep");
        assert_eq!(conninfo.text().parse(), Ok(conninfo), "{value:?}");
    }
}

#[test]
fn each_conninfo_is_read_again_after_printing() {
    let texts = texts_of(&['a', ' ', '\'', '\\', '='], 7);
    let read = texts.iter().filter_map(|text| text.parse::<Conninfo>().ok());
    let count = read.inspect(|conninfo| assert_eq!(conninfo.text().parse().as_ref(), Ok(conninfo))).count();
    assert!(count > 1000, "{count}");
    for rest in texts_of(&['a', ':', '@', '/', '?', '%', '=', '['], 6) {
        if let Ok(conninfo) = format!("postgresql://{rest}").parse::<Conninfo>() {
            assert_eq!(conninfo.text().parse(), Ok(conninfo), "{rest:?}");
        }
    }
}

#[test]
fn no_secret_is_shown() {
    let mut conninfo: Conninfo = "host=h password='sec ret' sslpassword=secret user=rep".parse().unwrap();
    conninfo.set("scram_client_key", "secret");
    let shown = "host=h password=*** sslpassword=*** user=rep scram_client_key=***";
    assert_eq!(conninfo.to_string(), shown);
    assert_eq!(format!("{conninfo:?}"), format!("Conninfo({shown})"));
    let (open, password) = conninfo.split();
    assert_eq!(open.text(), "host=h user=rep");
    assert_eq!(format!("{password:?}"), "Some(***)");
    assert_eq!(password.unwrap().reveal(), "sec ret");
    for bad in ["password=a secret", "password='secret", "password=x =secret", "postgresql://u:secret@h?x"] {
        let error = bad.parse::<Conninfo>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}

#[test]
fn values_are_set_where_they_stand() {
    let mut conninfo: Conninfo = "user=rep host=a sslmode=require hostaddr=10.0.0.1 passfile=''".parse().unwrap();
    conninfo.set("host", "srv 2");
    conninfo.set("port", "5433");
    conninfo.remove("hostaddr");
    assert_eq!(conninfo.text(), "user=rep host='srv 2' sslmode=require passfile='' port=5433");
    let values = ["host", "port", "hostaddr", "passfile"].map(|keyword| conninfo.get(keyword));
    assert_eq!(values, [Some("srv 2"), Some("5433"), None, None]);
}
