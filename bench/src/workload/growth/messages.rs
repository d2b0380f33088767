//! What a message costs, a page of the newest, and a start, from an empty store to one of
//! millions.
//!
//! 200 sessions of 5, all sending, one in flight each, as in W3: once without a `client_id` and
//! once with. The first session gets every tenth message of the fill, the rest is spread at
//! random. A start is told to its first answer and to the first message that it has stored; it
//! follows the windows, so that ids of messages that are not in their table yet are there to be
//! read again, as after any busy hour.

use super::{Cost, Stopped};
use crate::bench::{BREATH, Bench, Stage};
use crate::curve::Curve;
use crate::driver::{Driver, Plan, Senders};
use crate::fill::{Chance, Fill};
use crate::rest::Request;
use crate::stats::Runs;
use crate::verify::Faults;
use crate::workload::{cold, fanout};
use crate::world::Session;
use anyhow::Result;
use serde_json::json;
use std::time::Instant;

const SIZES: [usize; 6] = [0, 10_000, 100_000, 1_000_000, 3_000_000, 10_000_000];
const SESSIONS: usize = 200;
const MEMBERS: usize = 5;
const STARTS_A_RUN: usize = 3;

/// What the pages deep in a history are read from.
#[derive(Debug)]
pub struct Filled {
    pub stopped: Stopped,
    pub sessions: Vec<Session>,
}

pub fn run(bench: &mut Bench) -> Result<Filled> {
    let axes = ("messages in the store", "server CPU, µs a message");
    let names = ["without client_id", "with client_id"];
    let mut cost = Curve::new("messages", "A message, by what is stored", axes, &names);
    let axes = ("messages in the store", "server CPU, µs a request");
    let mut page = Curve::new("page", "The last 50 messages of a session", axes, &["limit=50"]);
    let axes = ("messages in the store", "ms after the start");
    let names = ["first answer", "first message stored"];
    let mut start = Curve::new("start", "A cold start", axes, &names);

    let stopped = Stopped::fresh(bench, "messages")?;
    let mut sessions = stopped.fill(teams)?;
    let (mut written, mut chance) = (0, Chance::new());
    for size in SIZES.into_iter().filter(|size| *size <= bench.options.messages) {
        let since = Instant::now();
        stopped.fill(|fill| {
            let mut pick = |at: usize| match at % 10 {
                0 => 0,
                _ => 1 + chance.below(SESSIONS - 1),
            };
            fill.messages(&mut sessions, size - written, &mut pick)
        })?;
        written = size;
        bench.say(&format!("growth: {size} messages, filled in {:.0?}", since.elapsed()));
        let mut stage = stopped.start(bench, sessions)?;
        for (line, client_ids) in [(0, false), (1, true)] {
            let (runs, faults) = send(bench, &mut stage, client_ids)?;
            cost.faults += faults;
            cost.add(line, size, runs, stage.others);
        }
        let last_fifty = format!("/api/chat/sessions/{}/messages?limit=50", session(&stage).id);
        let reader = session(&stage).members[0].clone();
        let mut pages = Cost::default();
        pages.take_get(bench, &mut stage, &last_fifty, &reader)?;
        page.add(0, size, pages.runs, pages.others);
        stage.running.stop()?;
        sessions = stage.world.sessions;
        let [answer, message] = starts(bench, &stopped, &mut sessions)?;
        start.add(0, size, answer, 0.0);
        start.add(1, size, message, 0.0);
    }
    bench.report.curves.extend([cost, page, start]);
    Ok(Filled { stopped, sessions })
}

fn teams(fill: &Fill) -> Result<Vec<Session>> {
    let users = fill.users(SESSIONS * MEMBERS)?;
    fill.sessions(users.chunks(MEMBERS).map(<[_]>::to_vec).collect())
}

fn session(stage: &Stage) -> &Session {
    &stage.world.sessions[SESSIONS / 2]
}

/// Microseconds a message, over windows with fresh connections.
fn send(bench: &Bench, stage: &mut Stage, client_ids: bool) -> Result<(Runs, Faults)> {
    let (mut runs, mut faults) = (Runs::default(), Faults::default());
    for _ in 0..bench.options.runs {
        bench.await_quiet()?;
        let plan = Plan { client_ids, ..Plan::members(MEMBERS) };
        let mut driver = Driver::connect(&stage.world, stage.running.addr, plan)?;
        driver.start(Senders::Everyone(1))?;
        driver.run_for(bench.options.warmup())?;
        let window = fanout::window(bench, stage, &mut driver)?;
        faults += driver.finish(&mut stage.world)?.faults;
        // Milliseconds for a thousand deliveries are µs for one.
        runs.push(window.cpu_ms_per_1000 * MEMBERS as f64);
        std::thread::sleep(BREATH);
    }
    Ok((runs, faults))
}

fn starts(bench: &Bench, stopped: &Stopped, sessions: &mut [Session]) -> Result<[Runs; 2]> {
    let [mut answer, mut message] = <[Runs; 2]>::default();
    let Stopped { target, data_dir } = stopped;
    for _ in 0..bench.options.runs * STARTS_A_RUN {
        let session = &mut sessions[SESSIONS / 2];
        let path = format!("/api/chat/sessions/{}/messages", session.id);
        let send = Request::post(path, json!({ "content": "good morning" }));
        let send = send.by(&session.members[0].token);
        let both = [(Request::get("/healthz"), 200), (send, 201)];
        let times = cold::start(bench, target, data_dir, &both)?;
        session.head += 1;
        answer.push(times[0]);
        message.push(times[1]);
    }
    Ok([answer, message])
}
