//! `rejoin=rewind`, a database of a gigabyte, and clients that write all the time: ten times the primary loses power, one node
//! after the other. Each comes back by itself and soon, and its dropped commits are kept.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use lab::cluster::Cluster;
use lab::lab::RESOURCE;
use lab::{Lab, Node, eventually, progress};

use super::strays;
use crate::operator::{pcs, wait_until_idle};
use crate::trial::{Ending, LIMIT, Return, Trial};

const ROUNDS: usize = 10;

/// From Pacemaker being up on the node until its PostgreSQL streams.
const SOON: Duration = Duration::from_secs(15);

/// Rows of about a kilobyte.
const ROWS: usize = 1_000_000;
/// As many as one statement writes.
const BATCH: usize = 50_000;
/// As many as are written in each round on the old primary, and on the new one.
const CHANGED: usize = 20_000;

/// How one node came back.
struct Comeback {
    boot: Duration,
    join: Duration,
    rewound: bool,
}

pub fn play(lab: &Lab) -> Result<()> {
    let trial = Trial::begin(lab)?;
    let first = trial.primary()?;
    trial.fault("create a database of a gigabyte", || create(lab, first))?;
    pcs(first, &["resource", "update", RESOURCE, "rejoin=rewind"])?;
    wait_until_idle(first)?;
    let (mut fenced, mut comebacks) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let old = trial.primary()?;
        prefer_next(lab, old)?;
        // In every other round it holds WAL that no other node has; in the others that depends on the last instant.
        comebacks.push(one_round(&trial, old, round).with_context(|| format!("round {round}"))?);
        fenced.push(old);
    }
    print_times(&comebacks);
    for node in lab.nodes() {
        let times = fenced.iter().filter(|old| old.name() == node.name()).count();
        ensure!(times >= 2, "{} lost its power {times} times only", node.name());
        pcs(node, &["node", "attribute", node.name(), "pgsqlms-priority="])?;
    }
    ensure!(comebacks.iter().filter(|back| back.rewound).count() >= ROUNDS / 2, "too few were rewound");
    let last = trial.primary()?;
    pcs(last, &["resource", "update", RESOURCE, "rejoin="])?;
    last.psql_in("app", "DROP TABLE ballast")?;
    wait_until_idle(last)?;
    trial.end(&Ending { fenced: &fenced, elected: true, ..Ending::default() })
}

/// The primary loses power and gets it again once another one has been written to.
fn one_round(trial: &Trial<'_>, old: &Node, round: usize) -> Result<Comeback> {
    change(old, round)?;
    let before = evidence(old)?;
    let new = if round % 2 == 1 {
        strays(trial, old)?
    } else {
        trial.fault("cut the power of the primary", || old.power_off())?;
        trial.another_primary(old)?
    };
    change(new, ROUNDS + round)?;
    let began = Instant::now();
    let boot = trial.fault("give it power again", || {
        thread::scope(|scope| {
            let booted = scope.spawn(|| old.power_on());
            let is_online = |cluster: &Cluster| cluster.online().contains(&old.name());
            trial.lab.wait_for(LIMIT, "Pacemaker to be online there", is_online)?;
            let boot = began.elapsed();
            booted.join().map_err(|_| anyhow!("giving it power panicked"))??;
            Ok(boot)
        })
    })?;
    ensure!(trial.comes_back(old)? == Return::Streaming, "{} does not come back by itself", old.name());
    let join = began.elapsed().saturating_sub(boot);
    let rewound = evidence(old)? > before;
    progress::step(format!(
        "round {round}: {} streams {:.1} s after Pacemaker was online, which took {:.1} s; rewound: {rewound}",
        old.name(),
        join.as_secs_f64(),
        boot.as_secs_f64()
    ));
    ensure!(join < SOON, "it took {join:?} until {} streamed again", old.name());
    ensure!(rewound || round % 2 == 0, "nothing is kept of what {} had written for itself", old.name());
    let stray = new.psql_in("app", "SELECT to_regclass('stray') IS NOT NULL")?;
    ensure!(stray == "f", "{} has what {} had written for itself", new.name(), old.name());
    if rewound {
        let newest = "cat \"$(ls -t /var/lib/pgsqlms/pgsqld/*/summary.txt | head -n 1)\"";
        let summary = old.run(&["sh", "-c", newest])?;
        ensure!(summary.contains("COMMIT") || round % 2 == 0, "no report of what {} dropped: {summary}", old.name());
    }
    all_promotable(trial.lab)?;
    let rows = "SELECT count(*), md5(string_agg(md5(filler), '' ORDER BY number)) FROM ballast WHERE number % 50 = 0";
    eventually(LIMIT, "the same rows on the node that came back", || {
        let (here, there) = (old.psql_in("app", rows)?, new.psql_in("app", rows)?);
        ensure!(here == there, "{here} instead of {there}");
        Ok(())
    })?;
    Ok(Comeback { boot, join, rewound })
}

fn create(lab: &Lab, primary: &Node) -> Result<()> {
    primary.psql_in("app", "CREATE TABLE ballast (number int PRIMARY KEY, filler text)")?;
    for begin in (0..ROWS).step_by(BATCH) {
        let end = begin + BATCH - 1;
        primary.psql_in(
            "app",
            &format!("INSERT INTO ballast SELECT n, repeat(md5(n::text), 31) FROM generate_series({begin}, {end}) n"),
        )?;
    }
    // Otherwise the first session that reads the table writes as much WAL again.
    primary.psql_in("app", "VACUUM (FREEZE) ballast")?;
    let size: u64 = primary.psql_in("app", "SELECT pg_database_size('app')")?.parse()?;
    ensure!(size >= 1 << 30, "the database has {size} bytes only");
    all_promotable(lab)?;
    lab.nodes().iter().try_for_each(|node| node.psql("CHECKPOINT").map(drop))
}

/// Other rows in every round.
fn change(primary: &Node, round: usize) -> Result<()> {
    let (begin, end) = (round * CHANGED, (round + 1) * CHANGED);
    let sql = format!(
        "UPDATE ballast SET filler = repeat(md5(number::text || '{round}'), 31) WHERE number >= {begin} AND number < {end}"
    );
    primary.psql_in("app", &sql).map(drop)
}

/// Lets the election prefer the node after `old`, by name.
fn prefer_next(lab: &Lab, old: &Node) -> Result<()> {
    let nodes = lab.nodes();
    let place =
        nodes.iter().position(|node| node.name() == old.name()).context("the primary is not among the nodes")?;
    let next = &nodes[(place + 1) % nodes.len()];
    for node in nodes {
        let priority = if node.name() == next.name() { "pgsqlms-priority=1" } else { "pgsqlms-priority=0" };
        pcs(old, &["node", "attribute", node.name(), priority])?;
    }
    let best = |cluster: &Cluster| {
        nodes
            .iter()
            .filter(|node| node.name() != old.name())
            .max_by_key(|node| cluster.score(RESOURCE, node.name()))
            .is_some_and(|best| best.name() == next.name())
    };
    lab.wait_for(LIMIT, &format!("{} to be the best standby", next.name()), best).map(drop)
}

fn all_promotable(lab: &Lab) -> Result<()> {
    let promotable = "every node to be promotable, and no failure";
    lab.wait_for(LIMIT, promotable, |cluster| {
        let nodes = lab.nodes().iter();
        nodes.map(|node| cluster.score(RESOURCE, node.name())).all(|score| score.is_some_and(|score| score > 0))
    })
    .map(drop)
}

/// How many rewinds a node has kept something of; it has power.
fn evidence(node: &Node) -> Result<usize> {
    let listed = node.run(&["sh", "-c", "ls -d /var/lib/pgsqlms/pgsqld/*/ 2>/dev/null || true"])?;
    Ok(listed.lines().count())
}

fn print_times(comebacks: &[Comeback]) {
    for (what, time) in [("boot", (|back| back.boot) as fn(&Comeback) -> Duration), ("rejoin", |back| back.join)] {
        let mut times: Vec<f64> = comebacks.iter().map(|back| time(back).as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        let median = f64::midpoint(times[(times.len() - 1) / 2], times[times.len() / 2]);
        let (least, most) = (times[0], times[times.len() - 1]);
        progress::step(format!("{what}: {least:.1} s at least, {median:.1} s in the median, {most:.1} s at most"));
    }
    let rewound = comebacks.iter().filter(|back| back.rewound).count();
    progress::step(format!("{rewound} of {} were rewound", comebacks.len()));
}
