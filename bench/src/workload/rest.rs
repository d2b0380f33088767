//! Two requests over REST, each beside hyper with an answer of the same size.
//!
//! The small one is the profile of the caller: routing, token, user. The large one is the last
//! 50 messages of 200 bytes, from the store. 16 kept-alive connections, each another user's.

use crate::bench::{BREATH, Bench, Stage};
use crate::driver::{Driver, Plan, Senders};
use crate::goals::{self, Measure};
use crate::rest::{Client, Request};
use crate::rest_load::RestLoad;
use crate::server::Target;
use crate::stats::Runs;
use crate::world::{Session, Shape, World};
use anyhow::{Result, ensure};

const CONNECTIONS: usize = 16;
const SHAPE: Shape = Shape { sessions: 1, members: CONNECTIONS };
const MESSAGES: u64 = 60;
const PROFILE_PATH: &str = "/api/users/profile";
/// The size of the answers when no server is there to ask.
const USUAL_BYTES: [usize; 2] = [170, 21_600];

#[derive(Debug, Default, Clone)]
struct Figures {
    rate: Runs,
    cpu: Runs,
}

pub fn run(bench: &mut Bench) -> Result<()> {
    let servers = bench.servers.clone();
    let mut stages = bench.stages("rest", &servers, SHAPE)?;
    for stage in &mut stages {
        write_messages(stage)?;
    }
    let small = (goals::PROFILE_RATE, goals::PROFILE_CPU, USUAL_BYTES[0]);
    compare(bench, &mut stages, small, |_| PROFILE_PATH.to_owned())?;
    let large = (goals::PAGE_RATE, goals::PAGE_CPU, USUAL_BYTES[1]);
    compare(bench, &mut stages, large, |session| {
        format!("/api/chat/sessions/{}/messages?limit=50", session.id)
    })
}

fn write_messages(stage: &mut Stage) -> Result<()> {
    let mut driver = Driver::connect(&stage.world, stage.running.addr, Plan::members(1))?;
    driver.start(Senders::Owners(MESSAGES))?;
    let outcome = driver.finish(&mut stage.world)?;
    ensure!(outcome.faults == crate::verify::Faults::default(), "{:?}", outcome.faults);
    Ok(())
}

fn compare(
    bench: &mut Bench,
    stages: &mut [Stage],
    (rate, cpu, usual_bytes): (Measure, Measure, usize),
    path: impl Fn(&Session) -> String,
) -> Result<()> {
    let bytes = match stages.first() {
        Some(stage) => answer_bytes(stage, &path)?,
        None => usual_bytes,
    };
    let mut hyper = hyper_stage(bench, bytes)?;
    let mut figures = vec![Figures::default(); stages.len() + 1];
    for _ in 0..bench.options.runs {
        let plain = Request::get(PROFILE_PATH).bytes(hyper.running.addr);
        measure(bench, &mut hyper, vec![plain; CONNECTIONS], &mut figures[0])?;
        for (stage, figures) in stages.iter_mut().zip(&mut figures[1..]) {
            let session = &stage.world.sessions[0];
            let requests = session.members.iter().map(|member| {
                Request::get(path(session)).by(&member.token).bytes(stage.running.addr)
            });
            let requests = requests.collect();
            measure(bench, stage, requests, figures)?;
        }
    }
    let all = || std::iter::once(&hyper).chain(&*stages).zip(&figures);
    let rates = all().map(|(stage, figures)| stage.entry(figures.rate.clone(), None)).collect();
    let costs = all().map(|(stage, figures)| stage.entry(figures.cpu.clone(), None)).collect();
    bench.add(rate, rates);
    bench.add(cpu, costs);
    Ok(())
}

fn answer_bytes(stage: &Stage, path: &impl Fn(&Session) -> String) -> Result<usize> {
    let session = &stage.world.sessions[0];
    let request = Request::get(path(session)).by(&session.members[0].token);
    let answer = Client::connect(stage.running.addr)?.call(&request)?;
    ensure!(answer.status == 200, "{}", String::from_utf8_lossy(&answer.body));
    Ok(answer.body.len())
}

fn hyper_stage(bench: &Bench, bytes: usize) -> Result<Stage> {
    let mut target = Target::hyper(bytes);
    target.name = format!("{}, {bytes} B", target.name);
    let data_dir = bench.fresh_dir("rest", &target)?;
    let running = target.start(bench.options.cores(), &data_dir)?;
    let world = World { sessions: Vec::new() };
    Ok(Stage { target, running, world, data_dir, others: 0.0 })
}

fn measure(
    bench: &Bench,
    stage: &mut Stage,
    requests: Vec<Vec<u8>>,
    figures: &mut Figures,
) -> Result<()> {
    bench.await_quiet()?;
    let mut load = RestLoad::connect(stage.running.addr, requests)?;
    load.run_for(bench.options.warmup())?;
    let (before, meter) = (load.answered, stage.meter(bench)?);
    load.run_for(bench.options.window())?;
    let reading = stage.read(bench, &meter)?;
    let answered = (load.answered - before) as f64;
    figures.rate.push(answered / reading.seconds);
    figures.cpu.push(reading.server_ms * 1000.0 / answered.max(1.0));
    drop(load);
    std::thread::sleep(BREATH);
    Ok(())
}
