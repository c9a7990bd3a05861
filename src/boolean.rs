//! Yes and no as Pacemaker spells them (`crm_str_to_boolean`).

/// Whether `text` says yes. What is neither does not.
pub fn is_yes(text: &str) -> bool {
    is_one_of(text, ["true", "on", "yes", "y", "1"])
}

/// Whether `text` says no. What is neither does not.
pub fn is_no(text: &str) -> bool {
    is_one_of(text, ["false", "off", "no", "n", "0"])
}

fn is_one_of(text: &str, words: [&str; 5]) -> bool {
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}
