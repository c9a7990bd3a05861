//! All nodes lose power in the same instant, and get it back together.

use anyhow::Result;
use lab::provision::on_all;
use lab::{Lab, Node};

use crate::trial::{Ending, LIMIT, Trial};

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    trial.fault("cut the power of all nodes", || on_all(lab.nodes(), Node::power_off))?;
    trial.fault("give power to all nodes", || on_all(lab.nodes(), Node::power_on))?;
    lab.wait_for_primary(LIMIT, lab.nodes().len() - 1)?;
    trial.writes_go_on()?;
    trial.end(&Ending { elected: true, ..Ending::default() })
}
