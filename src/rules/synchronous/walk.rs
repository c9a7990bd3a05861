//! Walks through every order of events a small cluster can go through and checks, at each interruption, that no set of
//! survivors is declared safe without holding every acknowledged commit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;

use super::*;
use crate::location::Lsn;
use crate::node::NodeName;

type Nodes = BTreeSet<NodeName>;

/// The truth, which the rules do not see: under whose setting commits were acknowledged, and the nodes that surely hold them.
type Truth = BTreeMap<(NodeName, SyncSetting), Nodes>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    primary: NodeName,
    /// What may be in effect: two settings if a reload was interrupted, none if no node is the primary.
    live: BTreeSet<SyncSetting>,
    published: Published,
    truth: Truth,
}

/// Whether primaries die and others are promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Elections {
    None,
    Some,
}

#[derive(Debug, Clone)]
struct Wish {
    streaming: Nodes,
    management: Management,
}

fn nodes(count: usize) -> Nodes {
    (1..=count).map(|number| NodeName::new(format!("n{number}"))).collect()
}

fn subsets(of: &Nodes) -> impl Iterator<Item = Nodes> {
    let of: Vec<_> = of.iter().cloned().collect();
    (0..1u32 << of.len()).map(move |bits| {
        of.iter().enumerate().filter(|(index, _)| bits & (1 << index) != 0).map(|(_, node)| node.clone()).collect()
    })
}

/// All that an operator and the network may ask for. Strictness matters only when no standby is streaming.
fn wishes(standbys: &Nodes) -> Vec<Wish> {
    let mut wishes = Vec::new();
    for streaming in subsets(standbys) {
        let number = streaming.len() as u32;
        for wanted in (1..=number.max(1)).filter_map(NonZeroU32::new) {
            for strictness in [Strictness::Strict, Strictness::Lenient].into_iter().skip(usize::from(number > 0)) {
                wishes
                    .push(Wish { streaming: streaming.clone(), management: Management::Quorum { wanted, strictness } });
            }
        }
    }
    wishes
}

fn facts(state: &State, members: &Nodes, effective: &SyncSetting, wish: &Wish, caught_up: &Nodes) -> PrimaryFacts {
    let flushed = |node: &NodeName| (node.clone(), Lsn(if caught_up.contains(node) { 1 } else { 0 }));
    PrimaryFacts {
        primary: state.primary.clone(),
        members: members.clone(),
        published: state.published.clone(),
        effective: effective.clone(),
        now: Lsn(1),
        flushed: wish.streaming.iter().map(flushed).collect(),
        connected: BTreeSet::new(),
    }
}

/// The states that follow when the primary takes its next step, for each set of standbys that have caught up by then. That
/// matters only at the end of a change; until then none has, which is the worst case.
fn after_step(state: &State, members: &Nodes, wish: &Wish) -> Vec<State> {
    let mut next = Vec::new();
    for (effective, caught_up) in state.live.iter().flat_map(|live| subsets(&wish.streaming).map(move |up| (live, up)))
    {
        let mut after = state.clone();
        after.live = BTreeSet::from([effective.clone()]);
        for ((primary, setting), holders) in &mut after.truth {
            if *primary != state.primary || setting != effective {
                holders.extend(caught_up.iter().cloned());
            }
        }
        match next_step(&facts(state, members, effective, wish, &caught_up), wish.management) {
            Step::Publish(published) => after.published = published,
            Step::Apply(setting) => {
                after.truth.insert((state.primary.clone(), setting.clone()), BTreeSet::from([state.primary.clone()]));
                after.live.insert(setting);
                if !caught_up.is_empty() {
                    continue;
                }
            }
            Step::Nothing => continue,
        }
        after.truth.retain(|_, holders| holders.len() < members.len());
        next.push(after);
    }
    next
}

/// The states that follow when a node wins an election that lacks the primary, or includes it again after its death.
/// The winner has published, and is promoted or dies before that.
fn after_election(state: &State, members: &Nodes) -> Vec<State> {
    let mut next = Vec::new();
    for votes in subsets(members).filter(|votes| is_safe(state, members, votes)) {
        for winner in &votes {
            let mut heir = State { primary: winner.clone(), live: BTreeSet::new(), ..state.clone() };
            heir.truth.values_mut().for_each(|holders| _ = holders.insert(winner.clone()));
            let others = &votes - &BTreeSet::from([winner.clone()]);
            let management = Management::Quorum { wanted: NonZeroU32::MIN, strictness: Strictness::Strict };
            let wish = Wish { streaming: others.clone(), management };
            let local = SyncSetting::any(NonZeroU32::MIN, members.iter().map(|node| node.as_str()));
            let (setting, published) = before_promotion(&facts(&heir, members, &local, &wish, &others), management);
            heir.published = published;
            next.push(heir.clone());
            heir.live = BTreeSet::from([setting.clone()]);
            heir.truth.insert((winner.clone(), setting), BTreeSet::from([winner.clone()]));
            next.push(heir);
        }
    }
    next
}

fn is_safe(state: &State, members: &Nodes, votes: &Nodes) -> bool {
    let facts = PromotionFacts {
        candidate: NodeName::new("n1"),
        members: members.clone(),
        published: Some(state.published.clone()),
        votes: votes.iter().map(|node| (node.clone(), Some(Lsn(1)))).collect(),
        last_primary: None,
        operator: Operator::Silent,
    };
    matches!(verdict(&facts), Verdict::Safe(_))
}

/// Loses nothing: the nodes that are declared safe, the candidate at least, include a holder of all commits that may have been
/// acknowledged.
fn check_safety(state: &State, members: &Nodes) {
    for votes in subsets(members).filter(|votes| !votes.is_empty() && is_safe(state, members, votes)) {
        for ((primary, setting), holders) in &state.truth {
            let SyncSetting::Quorum { required, members: listed, .. } = setting else { continue };
            let named = |node: &&NodeName| listed.contains(&Member::Named(node.to_string())) && *node != primary;
            let elsewhere = members.iter().filter(named).filter(|node| !votes.contains(*node)).count();
            let lost = elsewhere >= required.get() as usize && holders.is_disjoint(&votes);
            assert!(!lost, "{votes:?} lack commits of {primary} under {setting}: {state:?}");
        }
    }
}

/// Blocks nothing: while all standbys are alive, losing the primary leaves a safe set of voters.
fn check_succession(state: &State, members: &Nodes) {
    let survivors = members - &BTreeSet::from([state.primary.clone()]);
    assert!(is_safe(state, members, &survivors), "no node can follow: {state:?}");
}

/// Blocks nothing: at rest, what is required is there, and if one more is there, losing any one does not stop commits.
/// Strictly, nothing is acknowledged without a standby.
fn check_commits(state: &State, members: &Nodes, wish: &Wish) {
    let Some(effective) = state.live.first().filter(|_| state.live.len() == 1) else { return };
    let step = next_step(&facts(state, members, effective, wish, &wish.streaming), wish.management);
    let Management::Quorum { wanted, strictness } = wish.management else { return };
    if let (Step::Apply(setting), Strictness::Strict) = (&step, strictness) {
        assert_ne!(*setting, SyncSetting::Off, "silently asynchronous: {state:?}");
    }
    if let (Step::Nothing, SyncSetting::Quorum { required, members: listed, .. }) = (step, effective) {
        let alive = wish.streaming.iter().filter(|node| listed.contains(&Member::Named(node.to_string()))).count();
        assert_eq!(alive, wish.streaming.len(), "streaming and not named: {state:?}");
        assert!(alive == 0 || *required == wanted, "not what was wanted: {state:?}");
    }
}

/// At rest with some setting, one for each number of standbys named and required; which ones they are does not matter.
fn beginnings(members: &Nodes) -> impl Iterator<Item = State> {
    let primary = NodeName::new("n1");
    let pairs = (1..members.len()).flat_map(|number| (1..=number as u32).map(move |required| (number, required)));
    let names: Vec<_> = members.iter().skip(1).map(|node| node.to_string()).collect();
    let quorums = pairs.filter_map(move |(number, required)| {
        Some(SyncSetting::any(NonZeroU32::new(required)?, names.iter().take(number).cloned()))
    });
    quorums.chain([SyncSetting::Off]).map(move |setting| State {
        primary: primary.clone(),
        live: BTreeSet::from([setting.clone()]),
        published: Published::starting_over(&primary, setting.clone()),
        truth: BTreeMap::from([((primary.clone(), setting), BTreeSet::from([primary.clone()]))]),
    })
}

/// Visits every state that `changes` of the wish, or as many elections, can lead to, each at any moment.
/// Returns how many there are; panics at the first bad one.
fn explore(count: usize, changes: usize, elections: Elections) -> usize {
    let members = nodes(count);
    let mut known = BTreeSet::new();
    let mut queue: VecDeque<_> = beginnings(&members).map(|state| (state, None, changes)).collect();
    let mut visited = BTreeSet::new();
    while let Some((state, held, changes)) = queue.pop_front() {
        if visited.insert(state.clone()) {
            check_safety(&state, &members);
            check_succession(&state, &members);
        }
        let all = wishes(&(&members - &BTreeSet::from([state.primary.clone()])));
        let mut next = Vec::new();
        for (index, wish) in all.iter().enumerate() {
            let left = if held == Some(index) { Some(changes) } else { changes.checked_sub(1) };
            let Some(left) = left else { continue };
            check_commits(&state, &members, wish);
            next.extend(after_step(&state, &members, wish).into_iter().map(|state| (state, Some(index), left)));
        }
        if let (true, Some(left)) = (elections == Elections::Some, changes.checked_sub(1)) {
            next.extend(after_election(&state, &members).into_iter().map(|state| (state, None, left)));
        }
        queue.extend(next.into_iter().filter(|item| known.insert(item.clone())));
    }
    visited.len()
}

#[test]
fn three_nodes_lose_nothing_in_two_changes() {
    assert!(explore(3, 2, Elections::None) > 500);
}

#[test]
fn three_nodes_lose_nothing_in_elections() {
    assert!(explore(3, 2, Elections::Some) > 4_000);
}

#[test]
fn four_nodes_lose_nothing_in_a_change() {
    assert!(explore(4, 1, Elections::None) > 500);
}

#[test]
fn five_nodes_lose_nothing_in_a_change() {
    assert!(explore(5, 1, Elections::None) > 2_000);
}

#[test]
#[ignore = "takes a minute"]
fn more_changes_lose_nothing() {
    explore(3, 3, Elections::None);
    explore(3, 3, Elections::Some);
    explore(4, 2, Elections::None);
    explore(4, 2, Elections::Some);
}
