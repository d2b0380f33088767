//! Joins and removals in sessions that have 10 to 10,000 participants already.
//!
//! Over REST, by the owner, 4,000 of each: with nobody online, and the joins again while the owner
//! follows the session on a v1 socket, who is told of each.

use super::{Cost, Stopped};
use crate::bench::{BREATH, Bench, Stage};
use crate::crowd::Crowd;
use crate::curve::Curve;
use crate::fill::Fill;
use crate::rest::{self, Request};
use crate::world::{Member, Session};
use anyhow::Result;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
const CHANGES: usize = 4_000;
/// Longer than the server gathers what it tells of a session.
const GATHERED: Duration = Duration::from_millis(400);

pub fn run(bench: &mut Bench) -> Result<()> {
    let axes = ("participants of the session", "server CPU, µs each");
    let names = ["a removal", "a join", "a join, the owner online"];
    let mut curve = Curve::new("participants", "Joins and removals", axes, &names);
    let stopped = Stopped::fresh(bench, "participants")?;
    let (guests, sessions) = stopped.fill(made)?;
    let mut stage = stopped.start(bench, sessions)?;
    for (at, size) in SIZES.into_iter().enumerate() {
        bench.say(&format!("growth: a session of {size}"));
        for (line, cost) in measure(bench, &mut stage, at, &guests)?.into_iter().enumerate() {
            curve.add(line, size, cost.runs, cost.others);
        }
    }
    stage.running.stop()?;
    bench.report.curves.push(curve);
    Ok(())
}

/// A removal, a join, a join that is told.
fn measure(bench: &Bench, stage: &mut Stage, at: usize, guests: &[Member]) -> Result<[Cost; 3]> {
    let [mut removal, mut join, mut told] = <[Cost; 3]>::default();
    let session = stage.world.sessions[at].clone();
    let addr = stage.running.addr;
    let change = |is_join| change(addr, &session, guests, is_join);
    change(true)?;
    change(false)?;
    for _ in 0..bench.options.runs {
        join.take(bench, stage, CHANGES, || change(true))?;
        removal.take(bench, stage, CHANGES, || change(false))?;
        let mut crowd = Crowd::connect(addr, std::slice::from_ref(&session))?;
        told.take(bench, stage, CHANGES, || {
            change(true)?;
            crowd.run_for(GATHERED)
        })?;
        drop(crowd);
        std::thread::sleep(BREATH);
        change(false)?;
    }
    Ok([removal, join, told])
}

fn change(addr: SocketAddr, session: &Session, guests: &[Member], is_join: bool) -> Result<()> {
    let path = format!("/api/chat/sessions/{}/participants", session.id);
    let owner = &session.members[0].token;
    rest::each(addr, guests, |client, guest| {
        let (status, request) = if is_join {
            (201, Request::post(&path, json!({ "user_id": guest.user })))
        } else {
            (200, Request::delete(format!("{path}/{}", guest.user)))
        };
        client.json(status, &request.by(owner))
    })?;
    Ok(())
}

fn made(fill: &Fill) -> Result<(Vec<Member>, Vec<Session>)> {
    let everyone = fill.users(SIZES[SIZES.len() - 1])?;
    let teams = SIZES.iter().map(|size| everyone[..*size].to_vec()).collect();
    Ok((fill.users(CHANGES)?, fill.sessions(teams)?))
}
