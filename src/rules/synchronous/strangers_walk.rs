//! Walks through every order of events in which a receiver from outside the cluster confirms commits under `*`, comes and goes:
//! no set of survivors is declared safe without holding every acknowledged commit, and no receiver is remembered for ever.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::location::Lsn;
use crate::node::NodeName;

/// How many commits are acknowledged in one life.
const COMMITS: u64 = 5;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    published: Published,
    /// The end of the primary's WAL: one position for each commit.
    now: u64,
    /// What a and b have flushed.
    flushed: [u64; 2],
    /// The stranger x is connected.
    connected: bool,
    /// The receivers that hold each commit, of a and b.
    holders: Vec<[bool; 2]>,
}

fn nodes(names: &[&str]) -> BTreeSet<NodeName> {
    names.iter().map(|name| NodeName::new(*name)).collect()
}

impl State {
    fn begin() -> Self {
        let published = "p: * ~ a, b".parse().unwrap();
        Self { published, now: 0, flushed: [0, 0], connected: false, holders: Vec::new() }
    }

    /// The primary's monitor.
    fn monitored(&self) -> Self {
        let flushed = [("a", self.flushed[0]), ("b", self.flushed[1])];
        let flushed: BTreeMap<_, _> = flushed.map(|(node, at)| (NodeName::new(node), Lsn(at))).into();
        let x = self.connected.then_some("x");
        let facts = PrimaryFacts {
            primary: NodeName::new("p"),
            members: nodes(&["p", "a", "b"]),
            published: self.published.clone(),
            effective: "*".parse().unwrap(),
            now: Lsn(self.now),
            flushed,
            connected: ["a", "b"].into_iter().chain(x).map(str::to_owned).collect(),
        };
        match next_step(&facts, Management::Observed) {
            Step::Publish(published) => Self { published, ..self.clone() },
            Step::Apply(setting) => panic!("{setting} is to be set"),
            Step::Nothing => self.clone(),
        }
    }

    /// A commit, confirmed by a, b or x only.
    fn committed(&self, by: usize) -> Self {
        let mut after = self.clone();
        after.now += 1;
        let mut holders = [false; 2];
        if by < 2 {
            // A receiver that has flushed a commit has flushed all before it.
            after.holders.iter_mut().for_each(|holders| holders[by] = true);
            after.flushed[by] = after.now;
            holders[by] = true;
        }
        after.holders.push(holders);
        after
    }

    fn caught_up(&self, node: usize) -> Self {
        let mut after = self.clone();
        after.flushed[node] = after.now;
        after.holders.iter_mut().for_each(|holders| holders[node] = true);
        after
    }

    /// A receiver that connects and confirms before the primary's monitor has seen it is not known: `*` has that hole.
    fn is_seen(&self) -> bool {
        self.published.0.iter().any(|guard| guard.until.is_none() && guard.seen.contains("x"))
    }

    fn next(&self) -> Vec<Self> {
        let mut next = vec![self.monitored(), self.caught_up(0), self.caught_up(1)];
        next.push(Self { connected: !self.connected, ..self.clone() });
        if self.now < COMMITS {
            next.extend([self.committed(0), self.committed(1)]);
            next.extend((self.connected && self.is_seen()).then(|| self.committed(2)));
        }
        next
    }

    fn is_safe(&self, voters: &[&str]) -> bool {
        let facts = PromotionFacts {
            candidate: NodeName::new(voters[0]),
            members: nodes(&["p", "a", "b"]),
            published: Some(self.published.clone()),
            votes: voters.iter().map(|node| (NodeName::new(*node), Some(Lsn(0)))).collect(),
            last_primary: None,
            operator: Operator::Silent,
        };
        matches!(verdict(&facts), Verdict::Safe(_))
    }

    fn check(&self) {
        for (voters, held) in [(vec!["a"], [true, false]), (vec!["b"], [false, true]), (vec!["a", "b"], [true, true])] {
            let holds = |holders: &[bool; 2]| (holders[0] && held[0]) || (holders[1] && held[1]);
            assert!(!self.is_safe(&voters) || self.holders.iter().all(holds), "{voters:?} lack commits: {self:?}");
        }
    }
}

#[test]
fn nothing_that_a_stranger_confirmed_is_lost() {
    let (mut known, mut queue) = (BTreeSet::from([State::begin()]), vec![State::begin()]);
    while let Some(state) = queue.pop() {
        state.check();
        queue.extend(state.next().into_iter().filter(|next| known.insert(next.clone())));
    }
    assert!(known.len() > 500, "{}", known.len());
    let alone = known.iter().filter(|state| state.holders.contains(&[false, false]));
    assert!(alone.count() > 100, "x has hardly ever confirmed anything alone");
}

#[test]
fn who_is_gone_is_forgotten_once_the_nodes_have_what_it_confirmed() {
    let seen = State { connected: true, ..State::begin() }.monitored();
    let confirmed = seen.committed(2);
    let gone = State { connected: false, ..confirmed };
    let mut behind = gone.clone();
    (0..5).for_each(|_| behind = behind.monitored());
    assert!(!behind.is_safe(&["a", "b"]), "neither has it: {}", behind.published);
    let mut one_has_it = behind.caught_up(0);
    (0..3).for_each(|_| one_has_it = one_has_it.monitored());
    assert_eq!(one_has_it.published, State::begin().published);
    assert!(one_has_it.is_safe(&["a", "b"]));
}
