//! Three nodes on one PostgreSQL against one, over NATS and over PostgreSQL's own NOTIFY.
//!
//! One node without a bus, and three with each bus, each crew with a database of its own in the
//! same PostgreSQL. Nodes, PostgreSQL and NATS share one core, whatever their number: so the rates
//! of one and of three nodes compare work, not cores. The questions, each with fresh connections:
//!
//! - 200 sessions of 5, all send, the members of each spread over the nodes, then kept together;
//! - one session, 100 messages a second, members on the sender's node and on another one;
//! - 200 sessions of 5 on two nodes: what the third takes, where nobody follows anything.

use crate::backing::Backing;
use crate::bench::{BREATH, Bench};
use crate::driver::{Driver, Plan, Senders};
use crate::goals::{self, Measure};
use crate::meter::{DRIVER_MAX, Meter};
use crate::report::Entry;
use crate::server::{Program, Running, Target};
use crate::stats::Runs;
use crate::verify::Faults;
use crate::world::{Shape, World};
use anyhow::Result;
use std::net::SocketAddr;
use std::time::Duration;

const MEMBERS: usize = 5;
const MANY: Shape = Shape { sessions: 200, members: MEMBERS };
const ONE: Shape = Shape { sessions: 1, members: 20 };
const INTERVAL: Duration = Duration::from_millis(10);
const WARMUP_MESSAGES: usize = 50;
/// What begins with a connection, as telling who is there, is over by then.
const SETTLED: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Alone,
    Nats,
    Notify,
}

const KINDS: [Kind; 3] = [Kind::Alone, Kind::Nats, Kind::Notify];

/// Nodes on one database.
#[derive(Debug)]
struct Crew {
    name: String,
    kind: Kind,
    nodes: Vec<Running>,
    many: World,
    one: World,
    figures: Figures,
    faults: Faults,
    others: f64,
}

#[derive(Debug, Default)]
struct Figures {
    rate: Runs,
    share: Runs,
    /// With each session's members on one node: the rate, and its share of one node's.
    kept: [Runs; 2],
    nodes: Runs,
    database: Runs,
    nats: Runs,
    /// Sender's node, another one.
    p50: [Runs; 2],
    p99: [Runs; 2],
    gap: Runs,
    rest: Runs,
    unfollowed: Runs,
}

/// What a window took.
#[derive(Debug)]
struct Window {
    seconds: f64,
    messages: f64,
    nodes_ms: Vec<f64>,
    database_ms: f64,
    nats_ms: f64,
}

impl Window {
    /// Messages a second.
    fn rate(&self) -> f64 {
        self.messages / self.seconds
    }
}

pub fn run(bench: &mut Bench) -> Result<()> {
    let place = Target { name: "backing".to_owned(), program: Program::Limit { flush: true } };
    let folder = bench.fresh_dir("nodes", &place)?;
    let Some(backing) = Backing::start(&folder, bench.options.cores())? else {
        return Ok(());
    };
    bench.say("nodes: one without a bus, three over NATS, three over PostgreSQL's NOTIFY");
    let mut crews = Vec::new();
    for target in &bench.servers {
        for kind in KINDS {
            let name = format!("crew{}", crews.len());
            crews.push(Crew::start(bench, &backing, (target, kind), &name)?);
        }
    }
    for _ in 0..bench.options.runs {
        let mut alone = 0.0;
        for crew in &mut crews {
            let window = crew.all_send(bench, &backing, false)?;
            let rate = window.rate();
            crew.note(&window);
            if crew.kind == Kind::Alone {
                alone = rate;
                continue;
            }
            crew.figures.share.push(rate / f64::max(alone, 1.0));
            let kept = crew.all_send(bench, &backing, true)?.rate();
            crew.figures.kept[0].push(kept);
            crew.figures.kept[1].push(kept / f64::max(alone, 1.0));
            crew.one_sends(bench, &backing)?;
            crew.third_idles(bench, &backing)?;
        }
    }
    tell(bench, &crews);
    Ok(())
}

fn tell(bench: &mut Bench, crews: &[Crew]) {
    type Figure = fn(&Figures) -> &Runs;
    type Is = fn(Kind) -> bool;
    let all = |_: Kind| true;
    let several = |kind| kind != Kind::Alone;
    let rows: [(Measure, Is, Figure); 15] = [
        (goals::NODES_RATE, all, |figures| &figures.rate),
        (goals::NODES_SHARE, several, |figures| &figures.share),
        (goals::NODES_KEPT_RATE, several, |figures| &figures.kept[0]),
        (goals::NODES_KEPT_SHARE, several, |figures| &figures.kept[1]),
        (goals::NODES_CPU, all, |figures| &figures.nodes),
        (goals::NODES_DATABASE_CPU, all, |figures| &figures.database),
        (goals::NODES_NATS_CPU, |kind| kind == Kind::Nats, |figures| &figures.nats),
        (goals::NODES_P50_HERE, several, |figures| &figures.p50[0]),
        (goals::NODES_P50_THERE, several, |figures| &figures.p50[1]),
        (goals::NODES_P99_HERE, several, |figures| &figures.p99[0]),
        (goals::NODES_P99_THERE, several, |figures| &figures.p99[1]),
        (goals::NODES_GAP, |kind| kind == Kind::Nats, |figures| &figures.gap),
        (goals::NODES_GAP_TOLD, |kind| kind == Kind::Notify, |figures| &figures.gap),
        (goals::NODES_REST, several, |figures| &figures.rest),
        (goals::NODES_UNFOLLOWED, several, |figures| &figures.unfollowed),
    ];
    for (measure, is_for, figure) in rows {
        let crews = crews.iter().filter(|crew| is_for(crew.kind));
        bench.add(measure, crews.map(|crew| crew.entry(figure(&crew.figures))).collect());
    }
}

impl Crew {
    fn start(
        bench: &Bench,
        backing: &Backing,
        (target, kind): (&Target, Kind),
        database: &str,
    ) -> Result<Self> {
        let url = backing.database(database)?;
        let bus = match kind {
            Kind::Alone => None,
            Kind::Nats => Some(backing.nats_url.clone()),
            Kind::Notify => Some("postgres".to_owned()),
        };
        let (count, name) = match kind {
            Kind::Alone => (1, format!("{}, one node", target.name)),
            Kind::Nats => (3, format!("{}, three, NATS", target.name)),
            Kind::Notify => (3, format!("{}, three, NOTIFY", target.name)),
        };
        let mut nodes = Vec::new();
        for at in 0..count {
            let mut node = target.clone();
            node.name = format!("{database}-{at}");
            if let Program::AssistDeck { settings, .. } = &mut node.program {
                settings.push(("ASSISTDECK_DATABASE_URL", url.clone()));
                settings.extend(bus.clone().map(|bus| ("ASSISTDECK_BUS_URL", bus)));
            }
            nodes.push(node.start(bench.options.cores(), &bench.fresh_dir("nodes", &node)?)?);
        }
        let many = World::build(target, &nodes[0], MANY)?;
        let one = World::build(target, &nodes[0], ONE)?;
        let (figures, faults) = (Figures::default(), Faults::default());
        Ok(Self { name, kind, nodes, many, one, figures, faults, others: 0.0 })
    }

    fn entry(&self, runs: &Runs) -> Entry {
        Entry {
            target: self.name.clone(),
            is_limit: false,
            is_peer: false,
            runs: runs.clone(),
            faults: Some(self.faults),
            others: self.others,
        }
    }

    fn addresses(&self, count: usize) -> Vec<SocketAddr> {
        self.nodes.iter().take(count).map(|node| node.addr).collect()
    }

    fn all_send(
        &mut self,
        bench: &Bench,
        backing: &Backing,
        is_kept_together: bool,
    ) -> Result<Window> {
        bench.await_quiet()?;
        let addresses = self.addresses(self.nodes.len());
        let plan = Plan { is_kept_together, ..Plan::members(MEMBERS) };
        let mut driver = Driver::connect_over(&self.many, &addresses, plan)?;
        driver.start(Senders::Everyone(1))?;
        driver.run_for(bench.options.warmup())?;
        let window = self.window(bench, backing, &mut driver)?;
        self.faults += driver.finish(&mut self.many)?.faults;
        std::thread::sleep(BREATH);
        Ok(window)
    }

    fn note(&mut self, window: &Window) {
        let thousands = window.messages.max(1.0) / 1000.0;
        self.figures.rate.push(window.rate());
        self.figures.nodes.push(window.nodes_ms.iter().sum::<f64>() / thousands);
        self.figures.database.push(window.database_ms / thousands);
        self.figures.nats.push(window.nats_ms / thousands);
    }

    fn one_sends(&mut self, bench: &Bench, backing: &Backing) -> Result<()> {
        bench.await_quiet()?;
        let addresses = self.addresses(2);
        let plan = Plan::members(ONE.members);
        let mut driver = Driver::connect_over(&self.one, &addresses, plan)?;
        driver.run_paced(INTERVAL, WARMUP_MESSAGES)?;
        let count = (bench.options.seconds / INTERVAL.as_secs_f64()).ceil().max(1.0) as usize;
        let meter = Meter::start_at(self.all_ms(backing)?, bench.options.cores())?;
        let mut latency = driver.run_paced(INTERVAL, count)?;
        self.others = self.others.max(meter.read_at(self.all_ms(backing)?)?.others);
        self.faults += driver.finish(&mut self.one)?.faults;
        std::thread::sleep(BREATH);
        let mut p50 = [0.0; 2];
        for (node, median) in p50.iter_mut().enumerate() {
            *median = latency.percentile_of(node, 0.50) / 1000.0;
            self.figures.p50[node].push(*median);
            self.figures.p99[node].push(latency.percentile_of(node, 0.99) / 1000.0);
        }
        self.figures.gap.push(p50[1] - p50[0]);
        Ok(())
    }

    fn third_idles(&mut self, bench: &Bench, backing: &Backing) -> Result<()> {
        bench.await_quiet()?;
        let addresses = self.addresses(2);
        let mut driver = Driver::connect_over(&self.many, &addresses, Plan::members(MEMBERS))?;
        driver.run_for(SETTLED)?;
        let quiet = self.window(bench, backing, &mut driver)?;
        driver.start(Senders::Everyone(1))?;
        driver.run_for(bench.options.warmup())?;
        let busy = self.window(bench, backing, &mut driver)?;
        self.faults += driver.finish(&mut self.many)?.faults;
        std::thread::sleep(BREATH);
        let rest = quiet.nodes_ms[2] / quiet.seconds;
        let above = busy.nodes_ms[2] - rest * busy.seconds;
        self.figures.rest.push(rest);
        self.figures.unfollowed.push(above / (busy.messages.max(1.0) / 1000.0));
        Ok(())
    }

    /// Lets the driver run on and takes the figures of that time.
    fn window(&mut self, bench: &Bench, backing: &Backing, driver: &mut Driver) -> Result<Window> {
        let delivered = driver.delivered();
        let (nodes, [database, nats]) = (self.nodes_ms()?, backing.cpu_ms()?);
        let meter = Meter::start_at(self.all_ms(backing)?, bench.options.cores())?;
        driver.run_for(bench.options.window())?;
        let deliveries = (driver.delivered() - delivered) as f64;
        let (nodes_now, [database_now, nats_now]) = (self.nodes_ms()?, backing.cpu_ms()?);
        let reading = meter.read_at(self.all_ms(backing)?)?;
        self.others = self.others.max(reading.others);
        if reading.driver_share() > DRIVER_MAX {
            let name = &self.name;
            bench.say(&format!("{name}: the load generator is busy, the rate may be its own"));
        }
        Ok(Window {
            seconds: reading.seconds,
            messages: deliveries / MEMBERS as f64,
            nodes_ms: nodes_now.iter().zip(&nodes).map(|(now, before)| now - before).collect(),
            database_ms: database_now - database,
            nats_ms: nats_now - nats,
        })
    }

    fn nodes_ms(&self) -> Result<Vec<f64>> {
        self.nodes.iter().map(Running::cpu_ms).collect()
    }

    fn all_ms(&self, backing: &Backing) -> Result<f64> {
        Ok(self.nodes_ms()?.iter().sum::<f64>() + backing.cpu_ms()?.iter().sum::<f64>())
    }
}
