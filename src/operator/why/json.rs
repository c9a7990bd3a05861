//! The same explanation for programs. A field that is there stays there.

use serde_json::{Value, json};

use crate::rules::overview::Cure;
use crate::rules::why::{Answer, Cause, Facts, Forecast, Found, Loss, NoWinner};

/// The explanation, as one object.
pub(super) fn report(facts: &Facts, answer: &Answer) -> String {
    let (kind, found) = match &answer.found {
        Found::Forecast(it) => ("forecast", forecast(it)),
        Found::Cause(it) => ("cause", cause(it)),
        Found::IsPrimary(node) => ("is-primary", json!(node.as_str())),
        Found::Barred(node, primary, it) => (
            "barred",
            json!({
                "node": node.as_str(),
                "primary": primary.as_ref().map(|primary| primary.as_str().to_owned()),
                "cause": cause(it),
            }),
        ),
        Found::NoSuchNode(node) => ("no-such-node", json!(node.as_str())),
        Found::Several(nodes) => ("several-primaries", nodes.iter().map(|node| json!(node.as_str())).collect()),
        Found::Unseen(why) => ("not-seen", json!(why)),
    };
    let row = |(node, score, because): &(crate::node::NodeName, String, String)| json!({ "name": node.as_str(), "score": score, "because": because });
    json!({
        "version": 1,
        "resource": facts.seen.resource,
        "seen_from": facts.seen.me.as_str(),
        "file": facts.file,
        "level": answer.level.to_string().to_lowercase(),
        "found": kind,
        kind: found,
        "nodes": answer.nodes.iter().map(row).collect::<Vec<_>>(),
        "not_seen": answer.unseen,
    })
    .to_string()
}

fn cause(Cause { number, id, text, cures }: &Cause) -> Value {
    let cure = |Cure { command, costs }: &Cure| json!({ "command": command, "costs": costs });
    json!({ "number": number, "id": id, "text": text, "commands": cures.iter().map(cure).collect::<Vec<_>>() })
}

fn forecast(it: &Forecast) -> Value {
    let (winner, no_winner, unseen) = match &it.winner {
        Ok(winner) => (Some(winner.as_str()), None, None),
        Err(NoWinner::Cause(it)) => (None, Some(cause(it)), None),
        Err(NoWinner::Unseen(why)) => (None, None, Some(why)),
    };
    let loss = it.loss.as_ref().map(|loss| match loss {
        Loss::Nothing(why) => json!({ "bytes": 0, "text": why }),
        Loss::Bytes(bytes, why) => json!({ "bytes": bytes, "text": why }),
        Loss::Unknown(why) => json!({ "bytes": null, "text": why }),
    });
    let fails = |(node, why): &(crate::node::NodeName, String)| json!({ "node": node.as_str(), "text": why });
    json!({
        "primary": it.primary.as_str(),
        "promoted": winner,
        "not_promoted": no_winner,
        "not_seen": unseen,
        "next": it.next.iter().map(|node| node.as_str()).collect::<Vec<_>>(),
        "loss": loss,
        "outage": it.outage,
        "remarks": it.remarks,
        "fails_without": it.fails_without.iter().map(fails).collect::<Vec<_>>(),
    })
}
