//! The same report for programs. A field that is there stays there.

use serde_json::{Value, json};

use crate::rules::doctor::{Diagnosis, Facts, Mistake};

/// The report, as one object.
pub(super) fn report(facts: &Facts, diagnosis: &Diagnosis) -> String {
    json!({
        "version": 1,
        "resource": facts.seen.resource,
        "seen_from": facts.seen.me.as_str(),
        "level": diagnosis.level.to_string().to_lowercase(),
        "checks": diagnosis.checked,
        "findings": diagnosis.mistakes.iter().map(mistake).collect::<Vec<_>>(),
        "not_seen": diagnosis.unseen,
    })
    .to_string()
}

fn mistake(Mistake { id, severity, place, text, cure }: &Mistake) -> Value {
    json!({
        "id": id,
        "level": severity.to_string().to_lowercase(),
        "place": place,
        "text": text,
        "commands": [{ "command": cure.command, "costs": cure.costs }],
    })
}
