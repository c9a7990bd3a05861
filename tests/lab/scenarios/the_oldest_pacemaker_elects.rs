//! Pacemaker 2.0.5, PostgreSQL 13 and pcs 0.10 of Debian 11: `attrd_updater` prints text only there, and roles have their old
//! names. The C library is older than this machine's, so the agent brings its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{
    a_first_start_gives_a_primary_and_streaming_standbys as first_start, the_primary_loses_power,
    the_primarys_node_is_put_on_standby,
};
use crate::stage::Stage;

pub fn play(stage: &mut Stage) -> Result<()> {
    let builder = stage.builder().suite("bullseye").agent_binary(static_agent()?);
    let lab = stage.bring_up(builder)?;
    let version = lab.nodes()[0].run(&["pacemakerd", "--version"])?;
    ensure!(version.contains("2.0.5"), "this is another Pacemaker: {version}");
    first_start::play(lab)?;
    the_primary_loses_power::play(lab)?;
    the_primarys_node_is_put_on_standby::play(lab)
}

/// The agent with the C library in it, as README says to build it for old distributions.
fn static_agent() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    lab::progress::step("building the agent with the C library in it");
    let mut make = Command::new("make");
    // It is built for this scenario alone: quickly.
    make.envs([("CARGO_PROFILE_RELEASE_LTO", "off"), ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")]);
    let made = make.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").args(["--no-print-directory", "build-static"]);
    let made = made.current_dir(here).output()?;
    ensure!(made.status.success(), "make build-static: {}", String::from_utf8_lossy(&made.stderr));
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    let path = said.lines().last().context("make build-static does not say where it is")?;
    Ok(here.join(path.trim()))
}
