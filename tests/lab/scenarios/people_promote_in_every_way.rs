//! Promotions by hand in every way on each standby beside the primary, then power cuts in every order, and starts of every part
//! of the nodes that has quorum: with and without synchronous replication, with and without a virtual address. The server that
//! was promoted by hand is never promoted by the agent, and nothing is lost that a standby held. With synchronous replication the
//! dead primary is waited for: what the one that was promoted by hand had confirmed is not known.

use anyhow::{Context, Result, ensure};
use lab::provision::on_all;
use lab::{Lab, Node, eventually, progress};

use crate::operator::{any_node, rejoin, wait_until_idle};
use crate::people::{FORCED, as_it_is, is_named, is_refused, with_a_virtual_address, without_a_virtual_address};
use crate::replication::{another_primary, bring_back, commits_wait_for, forget_failures, no_node_is_promoted};
use crate::trial::{Ending, LIMIT, Return, Trial};

/// A node by its role when a standby is promoted by hand beside the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NodeRole {
    Primary,
    Stray,
    Heir,
}

use NodeRole::{Heir, Primary, Stray};

/// The order in which nodes lose power and get it again.
#[derive(Debug, Clone, Copy)]
enum Power {
    /// One node after the other loses it, and gets it again.
    Fails([NodeRole; 3]),
    /// All lose it, and only these get it again.
    Returns(&'static [NodeRole]),
}

const EVERY_ORDER: [Power; 9] = [
    Power::Fails([Primary, Stray, Heir]),
    Power::Fails([Primary, Heir, Stray]),
    Power::Fails([Stray, Primary, Heir]),
    Power::Fails([Stray, Heir, Primary]),
    Power::Fails([Heir, Primary, Stray]),
    Power::Fails([Heir, Stray, Primary]),
    Power::Returns(&[Stray, Heir]),
    Power::Returns(&[Stray, Primary]),
    Power::Returns(&[Stray, Primary, Heir]),
];

pub fn synchronous(lab: &Lab) -> Result<()> {
    every_round(lab, true)
}

pub fn asynchronous(lab: &Lab) -> Result<()> {
    every_round(lab, false)
}

pub fn synchronous_without_an_address(lab: &Lab) -> Result<()> {
    without_a_virtual_address(lab)?;
    every_round(lab, true)?;
    with_a_virtual_address(lab)
}

pub fn asynchronous_without_an_address(lab: &Lab) -> Result<()> {
    without_a_virtual_address(lab)?;
    every_round(lab, false)?;
    with_a_virtual_address(lab)
}

fn every_round(lab: &Lab, synchronous: bool) -> Result<()> {
    for power in EVERY_ORDER {
        for which in 0..2 {
            progress::step(format!("{power:?}, standby {which} is promoted by hand"));
            Round::begin(lab, synchronous, which)
                .and_then(|round| round.play(power))
                .with_context(|| format!("{power:?}, standby {which}"))?;
        }
    }
    Ok(())
}

/// From one promotion by hand to a healthy cluster.
struct Round<'a> {
    trial: Trial<'a>,
    synchronous: bool,
    primary: &'a Node,
    stray: &'a Node,
    heir: &'a Node,
}

impl<'a> Round<'a> {
    fn begin(lab: &'a Lab, synchronous: bool, which: usize) -> Result<Self> {
        let trial = Trial::begin(lab)?;
        let (primary, standbys) = (trial.primary()?, trial.standbys()?);
        let (stray, heir) = (standbys[which], standbys[1 - which]);
        if !synchronous {
            commits_wait_for(lab, "")?;
        }
        let before = as_it_is(lab)?;
        for argv in FORCED {
            trial.fault(&format!("{} on {}", argv.join(" "), stray.name()), || is_refused(stray, primary, argv))?;
        }
        trial.writes_go_on()?;
        let now = as_it_is(lab)?;
        ensure!(now == before, "it was {before:?} and is {now:?}");
        trial.promote_by_hand(stray)?;
        is_named(lab, stray)?;
        trial.writes_go_on()?;
        ensure!(trial.primary()?.name() == primary.name(), "{} is the primary now", trial.primary()?.name());
        Ok(Self { trial, synchronous, primary, stray, heir })
    }

    fn node(&self, role: NodeRole) -> &'a Node {
        match role {
            Primary => self.primary,
            Stray => self.stray,
            Heir => self.heir,
        }
    }

    fn play(self, power: Power) -> Result<()> {
        let fenced: Vec<&Node> = match power {
            Power::Fails(order) => {
                order.iter().try_for_each(|role| self.fails(self.node(*role)))?;
                order.iter().map(|role| self.node(*role)).collect()
            }
            Power::Returns(to) => {
                self.returns(to)?;
                [Primary, Heir].iter().filter(|role| !to.contains(role)).map(|role| self.node(*role)).collect()
            }
        };
        is_named(self.trial.lab, self.stray)?;
        rejoin(self.stray)?;
        forget_failures(self.trial.lab)?;
        self.trial.end(&Ending { fenced: &fenced, elected: true, ..Ending::default() })
    }

    /// A node loses its power, and gets it again.
    fn fails(&self, node: &'a Node) -> Result<()> {
        let trial = &self.trial;
        let (primary, lab) = (trial.primary()?, trial.lab);
        if node.name() == primary.name() {
            let heir = if node.name() == self.primary.name() { self.heir } else { self.primary };
            self.cut(primary, heir, || node.power_off())?;
            if self.synchronous {
                return self.is_waited_for(node, heir);
            }
            let new = another_primary(trial, node)?;
            ensure!(new.name() == heir.name(), "{} was promoted, and {} held everything", new.name(), heir.name());
            return bring_back(trial, node, new);
        }
        let before = trial.fenced()?.len();
        trial.fault(&format!("cut the power of {}", node.name()), || node.cut_power())?;
        eventually(LIMIT, &format!("{} to be fenced", node.name()), || {
            ensure!(trial.fenced()?.len() == before + 1, "fenced so far: {:?}", trial.fenced()?);
            Ok(())
        })?;
        if node.name() == self.stray.name() {
            is_named(lab, node)?;
        } else {
            ensure!(trial.comes_back(node)? == Return::Streaming, "{} does not stream", node.name());
        }
        trial.writes_go_on()?;
        ensure!(trial.primary()?.name() == primary.name(), "{} is the primary now", trial.primary()?.name());
        wait_until_idle(any_node(lab)?)
    }

    /// What the stray had confirmed before it was promoted by hand is not known: no node is promoted before the dead primary is back.
    fn is_waited_for(&self, primary: &'a Node, heir: &'a Node) -> Result<()> {
        let trial = &self.trial;
        no_node_is_promoted(trial.lab, &["may be missing"])?;
        trial.fault(&format!("{} gets power again", primary.name()), || primary.power_on())?;
        let new = another_primary(trial, self.stray)?;
        bring_back(trial, if new.name() == heir.name() { primary } else { heir }, new)
    }

    /// All nodes lose their power. Of these that get it again, the one that was promoted by hand is not promoted.
    fn returns(&self, to: &[NodeRole]) -> Result<()> {
        let (trial, nodes) = (&self.trial, self.trial.lab.nodes());
        self.cut(self.primary, self.heir, || on_all(nodes, Node::power_off))?;
        let returning: Vec<Node> = to.iter().map(|role| self.node(*role).clone()).collect();
        trial.fault(&format!("give power to {to:?}"), || on_all(&returning, Node::power_on))?;
        if self.synchronous && !to.contains(&Primary) {
            return self.is_waited_for(self.primary, self.heir);
        }
        let new = another_primary(trial, self.stray)?;
        ensure!(
            to.contains(&Primary) || new.name() == self.heir.name(),
            "{} is the primary, which is to be off",
            new.name()
        );
        for node in [self.primary, self.heir].into_iter().filter(|node| node.name() != new.name()) {
            bring_back(trial, node, new)?;
        }
        Ok(())
    }

    /// Cuts power. Commits that `heir` held are kept, and with synchronous replication all acknowledged ones.
    fn cut(&self, primary: &Node, heir: &Node, cut: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.synchronous {
            self.trial.fault("cut power", cut)
        } else {
            self.trial.cut_power_once_held(primary, heir, cut)
        }
    }
}
