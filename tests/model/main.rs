//! The random model test: devices that keep copies of logs are driven through connect, drop,
//! stall, resume, send, edit, delete, add, remove and much else, on real sockets against the
//! running server. What they are handed must fit to all that is known at every moment, and at
//! quiet points every copy must be what the store holds.
//!
//! A seed determines the plan, not how its steps interleave: those run at the same time. A
//! failure prints the seed and a plan from which steps were left out while it still failed.
//! docs/testing.md tells how to run it longer.

mod answers;
#[path = "../support/balancer.rs"]
mod balancer;
mod copy;
mod deeds;
mod device;
mod dial;
mod home;
mod known;
mod link;
#[path = "../support/lossy.rs"]
mod lossy;
mod memory;
mod plan;
#[path = "../support/process.rs"]
mod process;
mod run;
mod shrink;
mod steps;
#[path = "../it/support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod support;
mod talk;
mod truth;
mod verdict;
mod wire;
mod world;

use std::sync::Arc;
use std::time::Instant;

use home::{Bus, Restarts};
use support::Dice;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Runs at the same time.
const RUNS: usize = 4;
const SEEDS: u64 = 20;
/// The real process takes longer to start.
const SEEDS_OF_KILLS: u64 = 8;
/// So do three of them.
const SEEDS_OF_NODES: u64 = 4;
const STEPS: u64 = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_copy_is_the_log() {
    run_seeds(Restarts::Never, SEEDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_copy_is_the_log_across_restarts() {
    run_seeds(Restarts::Stops, SEEDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_copy_is_the_log_across_kills() {
    run_seeds(Restarts::Kills, SEEDS_OF_KILLS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_copy_is_the_log_on_three_nodes_of_which_one_is_killed() {
    run_seeds(Restarts::OneOfThree(Bus::Notify), SEEDS_OF_NODES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_copy_is_the_log_on_three_nodes_over_nats_of_which_one_is_killed() {
    run_seeds(Restarts::OneOfThree(Bus::Nats), SEEDS_OF_NODES).await;
}

/// All seeds, or the one that `MODEL_SEED` names; `MODEL_STEPS` each.
async fn run_seeds(restarts: Restarts, seeds: u64) {
    let steps = number("MODEL_STEPS").unwrap_or(STEPS);
    let seeds = match number("MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("MODEL_SEEDS").unwrap_or(seeds) + 1,
    };
    let room = Arc::new(Semaphore::new(RUNS));
    let mut runs = JoinSet::new();
    for seed in seeds {
        let room = room.clone();
        runs.spawn(async move {
            let _place = room.acquire_owned().await.expect("never closed");
            let plan = plan::plan(seed, steps as usize, restarts != Restarts::Never);
            let began = Instant::now();
            let done = run::run(&plan, (restarts, seed), shrink::PATIENCE).await;
            (seed, plan, done, began.elapsed())
        });
    }
    while let Some(run) = runs.join_next().await {
        let (seed, plan, done, took) = run.expect("a run does not panic");
        match done {
            Ok(summary) => eprintln!("seed {seed}: {summary:?} in {took:.1?}"),
            Err((step, failure)) => {
                runs.shutdown().await;
                eprintln!("seed {seed} failed at step {step} after {took:.1?}: {failure}");
                let (shrunk, failure) = shrink::shrink(plan, (restarts, seed), step, failure).await;
                panic!(
                    "MODEL_SEED={seed} MODEL_STEPS={steps} ({restarts:?}): {failure}\n\
                     shrunk to {} steps: {shrunk:#?}",
                    shrunk.len(),
                );
            }
        }
    }
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}
