//! The example for crmsh configures the same working cluster as the one for pcs.

use anyhow::{Context, Result};
use lab::Configurator;

use super::{
    a_first_start_gives_a_primary_and_streaming_standbys as first_start, a_move_promotes_another_node_and_back,
};
use crate::operator::no_complaint;
use crate::stage::Stage;

pub fn play(stage: &mut Stage) -> Result<()> {
    let builder = stage.builder().configured_by(Configurator::Crmsh);
    let lab = stage.bring_up(builder)?;
    let said = lab.nodes()[0].path("/var/log/3nodes-vip-crmsh.sh.log");
    no_complaint(&std::fs::read_to_string(said).context("crmsh's output is gone")?)?;
    first_start::play(lab)?;
    a_move_promotes_another_node_and_back::play(lab)
}
