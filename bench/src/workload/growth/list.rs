//! The session list of users with 10 to 5,000 sessions: its first ten, and what one line of all
//! (1,000 at most) costs.
//!
//! All users' sessions lie mixed in one store, among as many of others, with a message in each.

use super::{Cost, Stopped};
use crate::bench::Bench;
use crate::curve::Curve;
use crate::fill::{Chance, Fill};
use crate::stats::Runs;
use crate::world::{Member, Session};
use anyhow::Result;

const SIZES: [usize; 4] = [10, 100, 1_000, 5_000];
const OTHERS: usize = 10_000;
const LISTED_MAX: usize = 1_000;

pub fn run(bench: &mut Bench) -> Result<()> {
    bench.say("growth: session lists");
    let axes = ("sessions of the user", "server CPU, µs a request");
    let mut first = Curve::new("list", "The first ten of the session list", axes, &["limit=10"]);
    let axes = ("sessions of the user", "server CPU, µs a listed session");
    let mut whole = Curve::new("list-whole", "The whole session list", axes, &["no limit"]);
    let stopped = Stopped::fresh(bench, "list")?;
    let (users, sessions) = stopped.fill(made)?;
    let mut stage = stopped.start(bench, sessions)?;
    for (size, user) in SIZES.into_iter().zip(&users) {
        let mut cost = Cost::default();
        cost.take_get(bench, &mut stage, "/api/chat/sessions?limit=10", user)?;
        first.add(0, size, cost.runs, cost.others);
        let mut cost = Cost::default();
        cost.take_get(bench, &mut stage, "/api/chat/sessions", user)?;
        let listed = size.min(LISTED_MAX) as f64;
        let runs: Runs = cost.runs.0.iter().map(|micros| micros / listed).collect();
        whole.add(0, size, runs, cost.others);
    }
    stage.running.stop()?;
    bench.report.curves.extend([first, whole]);
    Ok(())
}

fn made(fill: &Fill) -> Result<(Vec<Member>, Vec<Session>)> {
    let users = fill.users(SIZES.len())?;
    let others = fill.users(OTHERS / 100)?;
    let mut owners: Vec<&Member> = Vec::new();
    for (size, user) in SIZES.into_iter().zip(&users) {
        owners.extend(std::iter::repeat_n(user, size));
    }
    owners.extend(others.iter().flat_map(|user| std::iter::repeat_n(user, 100)));
    let mut chance = Chance::new();
    for at in (1..owners.len()).rev() {
        owners.swap(at, chance.below(at + 1));
    }
    let mut sessions =
        fill.sessions(owners.into_iter().map(|owner| vec![owner.clone()]).collect())?;
    let count = sessions.len();
    fill.messages(&mut sessions, count, |at| at)?;
    Ok((users, sessions))
}
