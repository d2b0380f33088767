//! A page of 50 messages at several depths of a long history: a tenth of all that was filled,
//! mixed in the store with nine times as much of others.

use super::Cost;
use super::messages::Filled;
use crate::bench::Bench;
use crate::curve::Curve;
use anyhow::Result;

const DEPTHS: [usize; 6] = [0, 100, 1_000, 10_000, 100_000, 900_000];

pub fn run(bench: &mut Bench, filled: Filled) -> Result<()> {
    bench.say("growth: pages deep in a history");
    let Filled { stopped, sessions } = filled;
    let mut stage = stopped.start(bench, sessions)?;
    let (id, reader) =
        (stage.world.sessions[0].id.clone(), stage.world.sessions[0].members[0].clone());
    let head = usize::try_from(stage.world.sessions[0].head)?;
    let axes = ("messages behind the page", "server CPU, µs a request");
    let mut curve = Curve::new("depth", "50 messages deep in a history", axes, &["limit=50"]);
    for depth in DEPTHS.into_iter().filter(|depth| depth + 50 < head) {
        let before = head + 1 - depth;
        let path = format!("/api/chat/sessions/{id}/messages?limit=50&before={before}");
        let mut cost = Cost::default();
        cost.take_get(bench, &mut stage, &path, &reader)?;
        curve.add(0, depth, cost.runs, cost.others);
    }
    bench.say(&format!("growth: the history had {head} messages"));
    stage.running.stop()?;
    bench.report.curves.push(curve);
    Ok(())
}
