//! Where the server runs: in this process, to be stopped in good order; as the shipped binary, to
//! be killed; as three nodes of it behind a balancer, on a bus that loses what it can.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

use super::balancer::Balancer;
use super::lossy::{Carrier, Lossy};
use super::process::{Launch, ServerProcess};
use crate::support::token::SECRET;
use crate::support::{TestServer, nats, postgres};

const NODES: usize = 3;

/// How a server is restarted, where a plan says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restarts {
    Never,
    /// Stopped in good order.
    Stops,
    /// By `kill -9`.
    Kills,
    /// One of three nodes, by `kill -9`.
    OneOfThree(Bus),
}

/// How the nodes hear of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    Notify,
    Nats,
}

/// A server, or several that are one.
pub enum Home {
    Inside(TestServer),
    Process { folder: TempDir, process: Option<ServerProcess> },
    Nodes(Box<Nodes>),
}

/// Three nodes on one database, of which each has a folder of its own.
pub struct Nodes {
    folder: TempDir,
    nodes: Vec<Option<ServerProcess>>,
    balancer: Balancer,
    lossy: Lossy,
    kills: usize,
}

impl Home {
    pub async fn new(restarts: Restarts, seed: u64) -> Self {
        match restarts {
            Restarts::Never | Restarts::Stops => {
                let server = TestServer::with(|config| config.drain_seconds = 2).await;
                Self::Inside(server)
            }
            Restarts::Kills => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let process = Some(launch(folder.path()));
                Self::Process { folder, process }
            }
            Restarts::OneOfThree(bus) => Self::Nodes(Box::new(Nodes::start(bus, seed).await)),
        }
    }

    /// `127.0.0.1:port`.
    pub fn authority(&self) -> String {
        match self {
            Self::Inside(server) => server.authority().to_owned(),
            Self::Process { process, .. } => {
                address(process.as_ref().expect("it runs")).to_string()
            }
            Self::Nodes(nodes) => nodes.balancer.address().to_string(),
        }
    }

    /// Ends it and starts it again on the same folder, on another port.
    pub async fn restart(&mut self) {
        match self {
            Self::Inside(server) => server.restart().await,
            Self::Process { folder, process } => tokio::task::block_in_place(|| {
                process.take().expect("it runs").kill9();
                *process = Some(launch(folder.path()));
            }),
            Self::Nodes(nodes) => nodes.kill_one(),
        }
    }

    pub async fn stop(self) {
        match self {
            Self::Inside(mut server) => server.stop().await,
            Self::Process { process, .. } => drop(process),
            Self::Nodes(nodes) => eprintln!("the bus: {}", nodes.lossy.summary()),
        }
    }
}

impl Nodes {
    async fn start(bus: Bus, seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cluster = postgres::shared();
        let (lossy, database, bus) = match bus {
            Bus::Notify => {
                let lossy = Lossy::before(Carrier::Postgres(cluster.socket()), seed).await;
                let database = cluster.schema_over(lossy.address());
                (lossy, database, "postgres".to_owned())
            }
            Bus::Nats => {
                let lossy = Lossy::before(Carrier::Nats(nats::shared().address()), seed).await;
                let bus = format!("nats://{}", lossy.address());
                (lossy, cluster.schema(), bus)
            }
        };
        let settings = format!(
            "database_url = {database:?}\nbus_url = {bus:?}\nhead_check_interval = \"1s\"\n"
        );
        let start = |number: usize| {
            let home = folder.path().join(number.to_string());
            fs::create_dir(&home).expect("a new folder");
            fs::write(home.join("assistdeck.toml"), &settings).expect("written");
            Some(launch(&home))
        };
        let nodes = (0..NODES).map(start).collect();
        let nodes = Self { folder, nodes, balancer: Balancer::start().await, lossy, kills: 0 };
        nodes.balance();
        nodes
    }

    /// Kills one, lets the others do its work for a moment, and starts it again.
    fn kill_one(&mut self) {
        let number = self.kills % NODES;
        self.kills += 1;
        tokio::task::block_in_place(|| {
            self.nodes[number].take().expect("it runs").kill9();
            self.balance();
            self.nodes[number] = Some(launch(&self.folder.path().join(number.to_string())));
        });
        self.balance();
    }

    fn balance(&self) {
        self.balancer.set(self.nodes.iter().flatten().map(address).collect());
    }
}

fn address(process: &ServerProcess) -> SocketAddr {
    let authority = process.url().trim_start_matches("http://");
    authority.parse().expect("it is an address")
}

fn launch(folder: &Path) -> ServerProcess {
    tokio::task::block_in_place(|| {
        Launch::serve(folder).env("ASSISTDECK_JWT_SECRET", SECRET).start()
    })
}
